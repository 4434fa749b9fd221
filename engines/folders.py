"""The folder of the user's cache that this program's parts share."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final

FOLDER_NAME: Final = "facestream-tracker"
"""Name of the folder below the platform's cache folder; the same as the distribution's name."""


def program_cache(*parts: str) -> Path:
    """The user's cache folder for this program, or a folder below it; nothing is created.

    ``TRACKER_CACHE`` wins when it is set. Otherwise: ``$XDG_CACHE_HOME`` (or ``~/.cache``) on Linux,
    ``~/Library/Caches`` on macOS, ``%LOCALAPPDATA%`` on Windows, plus ``facestream-tracker``.
    """
    override = os.environ.get("TRACKER_CACHE")
    root = Path(override).expanduser().absolute() if override else platform_cache() / FOLDER_NAME
    return root.joinpath(*parts)


def platform_cache() -> Path:
    """Where this platform's programs keep what can be fetched or made again."""
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA")
        return Path(local) if local else Path.home() / "AppData" / "Local"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    xdg = os.environ.get("XDG_CACHE_HOME", "")
    # The XDG specification says that a relative path here is to be ignored.
    return Path(xdg) if os.path.isabs(xdg) else Path.home() / ".cache"
