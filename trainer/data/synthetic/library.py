"""Where the assets of renders lie."""

from __future__ import annotations

from functools import cache

from tracker.face_model import load_face_model
from trainer.data.synthetic.assets import Assets, painted_assets


@cache
def load_assets(folder: str | None = None) -> Assets:
    """The assets of a packed folder, or those of the user's cache."""
    return painted_assets(load_face_model())
