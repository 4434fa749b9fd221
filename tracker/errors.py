"""Errors meant for the person at the keyboard.

Everything a user can cause (a missing file, a busy port, no camera) is raised as a ``TrackerError``: its text is one
line that says what was expected, what came, and how to fix it. The command line prints it and exits with ``exit_code``;
any other exception is a defect of ours.
"""

from __future__ import annotations

import errno
from typing import Final


class TrackerError(Exception):
    """Base of all errors with a message for the user. ``exit_code`` is what the command line returns."""

    exit_code = 1


class SourceError(TrackerError):
    """A video, image folder, camera or URL cannot be opened or read."""


class NetworkAssetError(TrackerError):
    """A neural network file is missing, damaged or cannot be fetched."""


class FaceModelError(TrackerError):
    """A face model file is missing, damaged or of an unknown kind."""


class EnrolmentError(TrackerError):
    """A person cannot be enrolled, or an enrolment cannot be used."""


class PublishError(TrackerError):
    """A socket cannot be bound or a peer sent something unreadable."""


class RecordingError(TrackerError):
    """A take cannot be written or read."""


class ConfigError(TrackerError):
    """A setting is unknown or out of range."""

    exit_code = 2


_MENDABLE: Final = {
    errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EMFILE,
    errno.ENAMETOOLONG, errno.ELOOP, errno.ENOTDIR, errno.EISDIR,
}  # fmt: skip
_LONGEST_NAME: Final = 120


def mendable_reason(error: OSError) -> str | None:
    """One line about what the system refuses (a full disk, a name too long ...); None for what is likelier a defect of ours."""
    if error.errno not in _MENDABLE:
        return None
    name = "" if error.filename is None else str(error.filename)
    if len(name) > _LONGEST_NAME:
        name = f"{name[:_LONGEST_NAME]}…"
    return f"{error.strerror}: {name}" if name else str(error.strerror)
