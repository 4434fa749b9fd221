"""Progress bar columns."""

from __future__ import annotations

from rich.progress import ProgressColumn, Task
from rich.text import Text


class FrameRateColumn(ProgressColumn):
    """Frames per second of a task, unless its field ``unit`` says that it counts clips."""

    def render(self, task: Task) -> Text:
        """The current speed, or nothing before it is known."""
        speed = None if task.fields.get("unit") == "clips" else task.finished_speed or task.speed
        return Text(f"{speed:5.0f} frames/s" if speed else "")
