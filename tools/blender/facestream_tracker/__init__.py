"""Blender add-on: drives faces by the stream of the face tracker, and turns takes into keyframes.

What needs no Blender (the receiver, names, axes, takes) lies in modules that import without it.
"""

from __future__ import annotations


def register() -> None:
    """Called by Blender when the add-on is enabled."""
    from . import operators, panel, properties

    properties.register()
    operators.register()
    panel.register()


def unregister() -> None:
    """Called by Blender when the add-on is disabled: nothing of it stays behind."""
    from . import live, operators, panel, properties

    live.stop()
    panel.unregister()
    operators.unregister()
    properties.unregister()
