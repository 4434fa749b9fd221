"""Takes in the formats of animation tools (docs/takes.md): ``tracker convert``."""

from tracker.exporting.formats import FORMATS, Format, find_format
from tracker.exporting.performance import Performance, Range, Track, read_performance

__all__ = ["FORMATS", "Format", "Performance", "Range", "Track", "find_format", "read_performance"]
