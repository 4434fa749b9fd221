"""Errors meant for the person at the keyboard.

Everything a user can cause (a missing file, a busy port, no camera) is raised as a ``TrackerError``: its text is one
line that says what was expected, what came, and how to fix it. The command line prints it and exits with ``exit_code``;
any other exception is a defect of ours.
"""

from __future__ import annotations


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
