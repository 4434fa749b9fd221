"""What the panel's buttons do."""

# No postponed annotations: Blender reads those of operators as values.
from pathlib import Path

import bpy
from bpy.props import BoolProperty, IntProperty, StringProperty
from bpy_extras.io_utils import ImportHelper

from . import live
from .building import adopt_identity, build_camera, build_head, is_built_from
from .driving import BONES, Channel, channels, guess_bones, matching_of
from .feed import ControlRequest
from .head_model import HeadError
from .keyframes import frame_range, set_scene_rate, write_clip
from .properties import settings_of
from .samples import Clip, Recorder, TakeError, read_take

Result = set[str]


class FACESTREAM_OT_connect(bpy.types.Operator):
    """Receive the tracker's stream and drive what is chosen below"""

    bl_idname = "facestream.connect"
    bl_label = "Connect"

    def execute(self, context: bpy.types.Context) -> Result:
        try:
            live.start(settings_of(context.scene).endpoint)
        except ValueError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        return {"FINISHED"}


class FACESTREAM_OT_disconnect(bpy.types.Operator):
    """Stop receiving. A recording in progress is kept"""

    bl_idname = "facestream.disconnect"
    bl_label = "Disconnect"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return live.session() is not None

    def execute(self, context: bpy.types.Context) -> Result:
        clip = live.stop()
        if clip is not None and clip.samples:
            return _write(self, context, clip, context.scene.frame_current)
        return {"FINISHED"}


class FACESTREAM_OT_recenter(bpy.types.Operator):
    """Ask the tracker to take the present head pose as the neutral one"""

    bl_idname = "facestream.recenter"
    bl_label = "Recenter"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return live.session() is not None

    def execute(self, context: bpy.types.Context) -> Result:
        session = live.session()
        try:
            request = ControlRequest(settings_of(context.scene).control, "recenter")
        except ValueError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        if session.request is not None:
            session.request.close()
        session.request, session.note = request, "asking for a new centre"
        return {"FINISHED"}


class FACESTREAM_OT_build_head(bpy.types.Operator):
    """Add a head with all of ARKit's shape keys and drive it"""

    bl_idname = "facestream.build_head"
    bl_label = "Build Head"
    bl_options = {"REGISTER", "UNDO"}

    def execute(self, context: bpy.types.Context) -> Result:
        settings = settings_of(context.scene)
        try:
            model = live.load_head(settings.head_file)
        except HeadError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        head = build_head(model, context.scene)
        settings.face = settings.head_object = head
        return {"FINISHED"}


class FACESTREAM_OT_find_bones(bpy.types.Operator):
    """Look for bones with usual names: Rigify, Mixamo, VRM, Unreal"""

    bl_idname = "facestream.find_bones"
    bl_label = "Find Bones"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return settings_of(context.scene).armature is not None

    def execute(self, context: bpy.types.Context) -> Result:
        settings = settings_of(context.scene)
        found = guess_bones([bone.name for bone in settings.armature.data.bones])
        for role, name in found.items():
            if name:
                setattr(settings, BONES[role], name)
        missing = [role.replace("_", " ") for role, name in found.items() if not name]
        if missing:
            self.report({"WARNING"}, f"no bone found for {', '.join(missing)}; choose by hand or leave empty")
        return {"FINISHED"}


class FACESTREAM_OT_report_keys(bpy.types.Operator):
    """List which of ARKit's names the mesh has no shape key for, and which shape keys follow nothing"""

    bl_idname = "facestream.report_keys"
    bl_label = "List Unmatched"

    def execute(self, context: bpy.types.Context) -> Result:
        matching = matching_of(settings_of(context.scene).face)
        if matching is None:
            self.report({"ERROR"}, "the face has no shape keys; choose a mesh with ARKit's, or build a head")
            return {"CANCELLED"}
        self.report({"INFO"}, f"{len(matching.bindings)} shape keys follow the stream")
        if matching.missing:
            self.report({"WARNING"}, f"no shape key for {', '.join(matching.missing)}")
        if matching.unused:
            self.report({"WARNING"}, f"these follow nothing: {', '.join(matching.unused)}")
        return {"FINISHED"}


class FACESTREAM_OT_add_camera(bpy.types.Operator):
    """Add a camera at the origin with the optics of the tracked one and render in its resolution"""

    bl_idname = "facestream.add_camera"
    bl_label = "Add Matching Camera"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        session = live.session()
        return session is not None and session.feed.latest is not None

    def execute(self, context: bpy.types.Context) -> Result:
        build_camera(live.session().feed.latest, context.scene)
        return {"FINISHED"}


class FACESTREAM_OT_record(bpy.types.Operator):
    """Record from now on, until Stop"""

    bl_idname = "facestream.record"
    bl_label = "Record"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        session = live.session()
        return session is not None and session.recorder is None

    def execute(self, context: bpy.types.Context) -> Result:
        if not _targets(self, context):
            return {"CANCELLED"}
        live.session().recorder = Recorder(_next_name(settings_of(context.scene).take_name))
        return {"FINISHED"}


class FACESTREAM_OT_record_stop(bpy.types.Operator):
    """Stop recording; the take becomes an action that begins at the current frame"""

    bl_idname = "facestream.record_stop"
    bl_label = "Stop"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        session = live.session()
        return session is not None and session.recorder is not None

    def execute(self, context: bpy.types.Context) -> Result:
        session = live.session()
        clip, session.recorder = session.recorder.clip, None
        if not clip.samples:
            self.report({"WARNING"}, f"nothing was recorded: {session.state}")
            return {"CANCELLED"}
        return _write(self, context, clip, context.scene.frame_current)


class FACESTREAM_OT_import_take(bpy.types.Operator, ImportHelper):
    """Turn a take of the tracker (.npz) into keyframes"""

    bl_idname = "facestream.import_take"
    bl_label = "Import Take"
    bl_options = {"REGISTER", "UNDO"}

    filename_ext = ".npz"
    filter_glob: StringProperty(default="*.npz", options={"HIDDEN"})
    slot: IntProperty(name="Face", description="Which of the take's faces, from 0", default=0, min=0)
    start: IntProperty(name="Start frame", default=1)
    take_rate: BoolProperty(
        name="Frame rate of the take", description="Give the scene the exact frame rate of the take", default=True
    )

    def execute(self, context: bpy.types.Context) -> Result:
        settings = settings_of(context.scene)
        try:
            clip = read_take(Path(bpy.path.abspath(self.filepath)), self.slot)
            if settings.mirror:
                clip.samples = [sample.mirrored() for sample in clip.samples]
            if settings.adopt_shape and clip.identity is not None and is_built_from(settings.face, clip.model):
                adopt_identity(settings.face, live.load_head(settings.head_file), clip.identity)
        except (TakeError, HeadError) as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        if self.take_rate and clip.rate is not None:
            set_scene_rate(context.scene, clip.rate)
        return _write(self, context, clip, self.start)


def _write(operator: bpy.types.Operator, context: bpy.types.Context, clip: Clip, start: int) -> Result:
    scene = context.scene
    driven = _targets(operator, context)
    if not driven:
        return {"CANCELLED"}
    write_clip(clip, driven, scene, start, whole_frames=settings_of(scene).whole_frames)
    _, last = frame_range(clip, scene, start)
    scene.frame_end = max(scene.frame_end, last)
    operator.report(
        {"INFO"}, f"{clip.name}: {len(clip.samples)} frames, {float(clip.times[-1]):.2f} s, to frame {last}"
    )
    return {"FINISHED"}


def _targets(operator: bpy.types.Operator, context: bpy.types.Context) -> list[Channel]:
    """What is driven; what is wrong is reported, as an error where nothing is left."""
    driven, problems = channels(settings_of(context.scene))
    for problem in problems:
        operator.report({"WARNING" if driven else "ERROR"}, problem)
    return driven


def _next_name(stem: str) -> str:
    number = 1
    while any(action.name.startswith(f"{stem} {number:03d}") for action in bpy.data.actions):
        number += 1
    return f"{stem} {number:03d}"


_CLASSES = (
    FACESTREAM_OT_connect, FACESTREAM_OT_disconnect, FACESTREAM_OT_recenter, FACESTREAM_OT_build_head,
    FACESTREAM_OT_find_bones, FACESTREAM_OT_report_keys, FACESTREAM_OT_add_camera, FACESTREAM_OT_record,
    FACESTREAM_OT_record_stop, FACESTREAM_OT_import_take,
)  # fmt: skip


def _menu(menu: bpy.types.Menu, _: bpy.types.Context) -> None:
    menu.layout.operator(FACESTREAM_OT_import_take.bl_idname, text="Face Take (.npz)")


def register() -> None:
    for each in _CLASSES:
        bpy.utils.register_class(each)
    bpy.types.TOPBAR_MT_file_import.append(_menu)


def unregister() -> None:
    bpy.types.TOPBAR_MT_file_import.remove(_menu)
    for each in reversed(_CLASSES):
        bpy.utils.unregister_class(each)
