"""What verbs tell people while they work: lines and progress bars on stderr."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress


def say(text: str) -> None:
    """Write a line for people."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def progress_bars(*, quiet: bool = False, transient: bool = False) -> Progress:
    """Progress bars with count, speed and time left; nothing where nobody looks on.

    Tasks count frames, unless their field ``unit`` says otherwise.

    Args:
        quiet: show none.
        transient: take them away at the end.
    """
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        Task,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class _Rate(ProgressColumn):
        def render(self, task: Task) -> Text:
            speed = task.finished_speed or task.speed if task.fields.get("unit", "frames") == "frames" else None
            return Text(f"{speed:5.0f} frames/s" if speed else "")

    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Rate(), TimeRemainingColumn(),
        console=console, transient=transient, disable=quiet or not console.is_terminal,
    )  # fmt: skip
