"""The one error of this package."""

from __future__ import annotations


class EngineError(Exception):
    """A network cannot be built, loaded or was fed something it does not take. The message is one line meant for the user."""


def first_line(error: BaseException) -> str:
    """What a library said, on one line: its first line that says anything."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
