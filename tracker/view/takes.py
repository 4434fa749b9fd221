"""A take, with its video where there is one, into a view."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import islice

from tracker.errors import RecordingError
from tracker.recording import Take
from tracker.rendering.take_video import TakeVideo
from tracker.types import FrameResult
from tracker.view.display import Display
from tracker.view.picture import Picture, compress


def show_take(
    take: Take, video: str | None, display: Display, frames: int | None = None, *, quiet: bool = False
) -> int:
    """Log a take, at most ``frames`` of it, with a progress bar; returns how many frames that were.

    Raises:
        RecordingError: the video is not the one that the take was made from.
    """
    from rich.console import Console
    from rich.progress import Progress

    total = len(take) if frames is None else min(frames, len(take))
    display.log.state(_summary(take))
    shown = 0
    with Progress(console=Console(stderr=True), disable=quiet or not sys.stderr.isatty(), transient=True) as progress:
        task = progress.add_task("preparing the view", total=total)
        for result, picture in islice(_with_pictures(take, video), total):
            display.log.frame(result, picture)
            progress.advance(task)
            shown += 1
            if not display.alive:
                return shown
    if shown < total:
        raise RecordingError(
            f"{video} ended after {shown} of the {total} frames of {take.path}; give the video it was made from"
        )
    display.flush()
    return shown


def _with_pictures(take: Take, video: str | None) -> Iterator[tuple[FrameResult, Picture | None]]:
    if video is None:
        yield from ((result, None) for result in take)
        return
    beside = TakeVideo(take, video)
    with beside.open(threads=1) as source:
        for frame, row in beside.pairs(source):
            yield take.frame(row), compress(frame.image)


def _summary(take: Take) -> str:
    rate = f", {float(take.rate):.4g} frames/s" if take.rate else ""
    ended = "" if take.complete else ", cut short"
    return f"**{take.path.name}**  \n{len(take)} frames{rate}{ended}  \nface model {take.meta['model']['name']}"
