"""Takes: what the tracker found, frame by frame, in files (docs/takes.md)."""

from tracker.recording.outputs import SUFFIXES, TakeState, is_complete, source_signature, take_paths, take_state
from tracker.recording.take import Take, read_take
from tracker.recording.writer import TakeWriter, finish_journal, open_copy, open_writer

__all__ = [
    "SUFFIXES",
    "Take",
    "TakeState",
    "TakeWriter",
    "finish_journal",
    "is_complete",
    "open_copy",
    "open_writer",
    "read_take",
    "source_signature",
    "take_paths",
    "take_state",
]
