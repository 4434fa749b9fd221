"""This program's own version."""

from __future__ import annotations

from importlib import metadata


def own_version() -> str:
    """Of the installed distribution; ``unknown`` in a bare checkout."""
    try:
        return metadata.version("facestream-tracker")
    except metadata.PackageNotFoundError:
        return "unknown"
