"""The panels, and what is left of the add-on when it is disabled."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from tests.blender.conftest import Stage, until
from tests.blender.in_blender.session import MODULE, add_armature, bpy, connect, live, settings, tick


def test_disabling_leaves_nothing_behind(stage: Callable[..., Stage]) -> None:
    bpy.ops.facestream.build_head()
    session = connect(stage())
    until(lambda: session.feed.latest is not None, tick)
    timer, peer = live()._tick, session.feed._peer
    assert peer._socket is not None
    for _ in range(3):
        bpy.ops.preferences.addon_disable(module=MODULE)
        assert not bpy.app.timers.is_registered(timer)
        assert peer._socket is None
        assert not hasattr(bpy.types.Scene, "facestream") and not hasattr(bpy.types, "FACESTREAM_PT_stream")
        assert timer() is None
        bpy.ops.preferences.addon_enable(module=MODULE)
        assert hasattr(bpy.types.Scene, "facestream")


def test_panels_ask_only_for_what_there_is(stage: Callable[..., Stage]) -> None:
    """Panels cannot be drawn without a window; this layout checks each property, operator and icon by Blender's own tables."""
    said: list[str] = []

    class Layout:
        enabled = True

        def row(self) -> Layout:
            return self

        column = box = row

        def label(self, *, text: str, icon: str = "NONE") -> None:
            said.append(text)
            self.check(icon)

        def prop(self, data: Any, name: str, *, text: str = "") -> None:
            assert name in data.bl_rna.properties

        def prop_search(self, data: Any, name: str, collection: Any, kind: str) -> None:
            assert name in data.bl_rna.properties and kind in collection.bl_rna.properties

        def operator(self, name: str, *, icon: str = "NONE", text: str = "") -> None:
            module, _, verb = name.partition(".")
            assert getattr(getattr(bpy.ops, module), verb).get_rna_type()
            self.check(icon)

        def check(self, icon: str) -> None:
            assert icon in bpy.types.UILayout.bl_rna.functions["label"].parameters["icon"].enum_items

    def draw() -> str:
        said.clear()
        panel = importlib.import_module(MODULE + ".panel")
        for each in panel._CLASSES:
            each.draw(type("Panel", (), {"layout": Layout()})(), bpy.context)
        return "\n".join(said)

    draw()
    settings().armature = add_armature()
    bpy.ops.facestream.build_head()
    session = connect(stage())
    until(lambda: session.feed.latest is not None, tick)
    bpy.ops.facestream.record()
    tick()
    text = draw()
    assert "52 of 52 expressions found" in text and "Faces: 1" in text and "Face model: builtin" in text
    assert "fps" in text and "ms late" in text
