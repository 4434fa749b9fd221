"""What can go wrong in training and is the user's to mend: one line each, as ``tracker.errors`` has it."""

from __future__ import annotations

from tracker.errors import TrackerError


class TrainingError(TrackerError):
    """A run cannot start or go on."""


class CheckpointError(TrackerError):
    """A checkpoint cannot be written, read or used for this run."""


class ExportError(TrackerError):
    """A network cannot be exported, or its export does not compute the same."""


class DataError(TrackerError):
    """A data set is missing, incomplete or damaged."""
