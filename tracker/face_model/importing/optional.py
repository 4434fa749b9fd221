"""Packages that only some model files need."""

from __future__ import annotations

from typing import Any

from tracker import extras
from tracker.errors import FaceModelError


def require(module: str, purpose: str) -> Any:
    """Import ``module`` or say how to get it.

    Raises:
        FaceModelError: it is not installed.
    """
    return extras.require(module, "models", purpose, FaceModelError)
