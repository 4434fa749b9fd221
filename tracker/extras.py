"""Packages that only some features need."""

from __future__ import annotations

import importlib
from typing import Any

from tracker.errors import RecordingError, TrackerError


def require(module: str, extra: str, purpose: str, error: type[TrackerError] = RecordingError) -> Any:
    """Import ``module`` or say how to get it.

    Args:
        module: its full name, such as ``mcap.writer``.
        extra: the extra of this distribution that brings it.
        purpose: what it is for, as the subject of a sentence: "an .mcap take".
        error: what to raise.

    Raises:
        TrackerError: ``error``, when it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError:
        package = module.partition(".")[0]
        raise error(
            f"{purpose} needs the Python package {package}: pip install 'facestream-tracker[{extra}]'"
        ) from None
