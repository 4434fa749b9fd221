"""The add-on's tab in the side bar of the 3D view."""

from __future__ import annotations

import bpy

from . import live
from .driving import matching_of
from .properties import settings_of


class _Panel(bpy.types.Panel):
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "Face Stream"


class FACESTREAM_PT_stream(_Panel):
    """Connection and its state."""

    bl_idname = "FACESTREAM_PT_stream"
    bl_label = "Stream"

    def draw(self, context: bpy.types.Context) -> None:
        layout, settings, session = self.layout, settings_of(context.scene), live.session()
        column = layout.column()
        column.enabled = session is None
        column.prop(settings, "endpoint")
        column.prop(settings, "control")
        if session is None:
            layout.operator("facestream.connect", icon="LINKED")
            return
        layout.operator("facestream.disconnect", icon="UNLINKED")
        feed = session.feed
        box = layout.box()
        bad = bool(feed.mistake) or not feed.connected
        _lines(box, session.state, context, "ERROR" if bad else "CHECKMARK")
        if feed.connected and feed.latest is not None:
            late = "" if feed.latency_ms is None else f", {feed.latency_ms:.0f} ms late"
            box.label(text=f"{feed.fps:.0f} fps{late}, {feed.dropped} dropped")
            ids = ", ".join(str(face.id) for face in feed.latest.faces)
            box.label(text=f"Faces: {ids or 'none'}")
            if feed.schema is not None:
                box.label(text=f"Face model: {feed.schema['model']['name']}")
        if session.target_problem:
            _lines(box, session.target_problem, context, "ERROR")
        layout.prop(settings, "face_id", text="Follow face (0: largest)")
        row = layout.row()
        row.operator("facestream.recenter", icon="PIVOT_CURSOR")
        row.operator("facestream.add_camera", text="Match Camera", icon="CAMERA_DATA")
        if session.note:
            _lines(layout, session.note, context, "INFO")


class FACESTREAM_PT_targets(_Panel):
    """What is driven."""

    bl_idname = "FACESTREAM_PT_targets"
    bl_label = "Targets"

    def draw(self, context: bpy.types.Context) -> None:
        layout, settings = self.layout, settings_of(context.scene)
        layout.operator("facestream.build_head", icon="MESH_MONKEY")
        layout.prop(settings, "head_file")
        layout.prop(settings, "face")
        matching = matching_of(settings.face)
        if matching is not None:
            layout.label(text=f"{52 - len(matching.missing)} of 52 expressions found")
            layout.operator("facestream.report_keys")
        elif settings.face is not None:
            layout.label(text="It has no shape keys", icon="ERROR")
        layout.prop(settings, "adopt_shape")
        layout.prop(settings, "head_object")
        layout.prop(settings, "head_motion")
        layout.prop(settings, "armature")
        if settings.armature is not None:
            layout.operator("facestream.find_bones", icon="BONE_DATA")
            for name in ("neck_bone", "head_bone", "eye_left_bone", "eye_right_bone"):
                layout.prop_search(settings, name, settings.armature.data, "bones")
            layout.prop(settings, "facing")


class FACESTREAM_PT_strength(_Panel):
    """How strongly."""

    bl_idname = "FACESTREAM_PT_strength"
    bl_label = "Strength"

    def draw(self, context: bpy.types.Context) -> None:
        settings = settings_of(context.scene)
        for name in ("expression_strength", "head_strength", "eye_strength", "neck_share", "mirror"):
            self.layout.prop(settings, name)


class FACESTREAM_PT_takes(_Panel):
    """Recording and importing."""

    bl_idname = "FACESTREAM_PT_takes"
    bl_label = "Takes"

    def draw(self, context: bpy.types.Context) -> None:
        layout, settings, session = self.layout, settings_of(context.scene), live.session()
        layout.prop(settings, "take_name")
        layout.prop(settings, "whole_frames")
        if session is not None and session.recorder is not None:
            layout.operator("facestream.record_stop", icon="SNAP_FACE")
            clip = session.recorder.clip
            seconds = float(clip.times[-1]) if clip.times else 0.0
            layout.label(text=f"{clip.name}: {len(clip.samples)} frames, {seconds:.1f} s", icon="REC")
        else:
            layout.operator("facestream.record", icon="REC")
        layout.operator("facestream.import_take", icon="IMPORT")


def _lines(layout: bpy.types.UILayout, text: str, context: bpy.types.Context, icon: str) -> None:
    """A message in as many labels as the width of the region needs."""
    width = max(20, int((context.region.width if context.region is not None else 240) / 8.5))
    line = ""
    for word in text.split():
        if line and len(line) + 1 + len(word) > width:
            layout.label(text=line, icon=icon)
            line, icon = word, "BLANK1"
        else:
            line = f"{line} {word}".strip()
    layout.label(text=line, icon=icon)


_CLASSES = (FACESTREAM_PT_stream, FACESTREAM_PT_targets, FACESTREAM_PT_strength, FACESTREAM_PT_takes)


def register() -> None:
    for each in _CLASSES:
        bpy.utils.register_class(each)


def unregister() -> None:
    for each in reversed(_CLASSES):
        bpy.utils.unregister_class(each)
