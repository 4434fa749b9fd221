"""Packages that only some model files need."""

from __future__ import annotations

import importlib
from types import ModuleType

from tracker.errors import FaceModelError


def require(module: str, purpose: str) -> ModuleType:
    """Import ``module`` or say how to get it.

    Raises:
        FaceModelError: it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError:
        package = module.partition(".")[0]
        raise FaceModelError(
            f"{purpose} needs the Python package {package}: pip install 'facestream-tracker[models]'"
        ) from None
