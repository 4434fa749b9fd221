"""What the encoder learns from, made once: labelled clips, blended people, renders, and people held out.

Clips are followed side by side; blends and renders are made in pieces, which lie in a folder of their own until the shard they
belong to is complete. Whatever is interrupted loses the pieces under way and nothing else, and what is made does not depend on
how many processes make it.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from tracker.errors import ConfigError
from trainer.data.video import shard as shards
from trainer.data.video.sources import HELD_OUT, SHIPPED, VideoSource, locate
from trainer.parallel import spread

_LOG = logging.getLogger(__name__)
_AT_ONCE: Final = 2000
"""Crops of one shard of blends or renders."""
_PIECE: Final = 125
_HELD_OUT: Final = "held_out"

_Job = Callable[[], str]
"""Makes one shard; says in a line what it is."""


def prepare(folder: Path, material: list[Path], mixed: int, rendered: int, processes: int = 0) -> None:
    """Fill ``folder`` with what it lacks; what is there stays.

    Args:
        folder: of the shards.
        material: folders with the clips and pictures of ``sources.SHIPPED``.
        mixed: crops of blended people.
        rendered: rendered crops.
        processes: at a time; 0: one for each core.

    Raises:
        ConfigError: a clip is in none of the folders, or no face in it is understood.
        TrainingError: a process died.
    """
    pieces = folder / "pieces"
    have, begun = set(shards.names(folder)), set(shards.names(pieces))
    clips: list[_Job] = [
        partial(_gather, folder, source, locate(source, material)) for source in SHIPPED if _stem(source) not in have
    ]
    watched = [] if _HELD_OUT in have else [_stem(source) for source in HELD_OUT]
    clips += [
        partial(_gather, pieces, source, locate(source, material))
        for source in HELD_OUT
        if _stem(source) in watched and _stem(source) not in begun
    ]
    renders = [each for each in _planned("rendered", rendered) if each[0] not in have]
    blends = [each for each in _planned("mixed", mixed) if each[0] not in have]
    first = clips + [
        partial(_render, pieces, name, seed, count)
        for _, parts in renders
        for name, seed, count in parts
        if name not in begun
    ]
    # Blends are made of the clips, so they come after them.
    second: list[_Job] = [
        partial(_mix, folder, pieces, name, seed, count)
        for _, parts in blends
        for name, seed, count in parts
        if name not in begun
    ]
    with _progress(len(first) + len(second)) as advance:
        for jobs in (first, second):
            for _, line in spread(jobs, processes):
                _LOG.info("%s", line)
                advance()
    if watched:
        _assemble(folder, _HELD_OUT, watched)
    for name, parts in renders + blends:
        _assemble(folder, name, [piece for piece, _, _ in parts])
    shutil.rmtree(pieces, ignore_errors=True)


def _planned(kind: str, count: int) -> list[tuple[str, list[tuple[str, int, int]]]]:
    """(shard, its pieces as (name, seed, crops))."""
    planned = []
    for number, first in enumerate(range(0, count, _AT_ONCE)):
        until = min(count, first + _AT_ONCE)
        parts = [(f"{kind}_{seed}", seed, min(_PIECE, until - seed)) for seed in range(first, until, _PIECE)]
        planned.append((f"{kind}{number}", parts))
    return planned


def _assemble(folder: Path, name: str, parts: list[str]) -> None:
    pieces = folder / "pieces"
    shards.write(folder, name, shards.join([shards.read(pieces, part) for part in parts]))
    for part in parts:
        shards.remove(pieces, part)


def _stem(source: VideoSource) -> str:
    return Path(source.file).stem


def _gather(folder: Path, source: VideoSource, path: Path) -> str:
    from trainer.data.video.gather import gather
    from trainer.data.video.teacher import Teacher

    try:
        made, kept = gather(source, path, Teacher())
    except ValueError as error:
        raise ConfigError(str(error)) from None
    shards.write(folder, _stem(source), made)
    return f"{path.name}: {kept.kept} of {kept.seen} faces kept"


def _render(folder: Path, name: str, seed: int, count: int) -> str:
    from trainer.data.video.rendered import render
    from trainer.data.video.teacher import Teacher

    shards.write(folder, name, render(count, Teacher(6, seed=seed), seed=seed))
    return f"{name}: {count} crops"


def _mix(folder: Path, pieces: Path, name: str, seed: int, count: int) -> str:
    from trainer.data.video.mixing import mix
    from trainer.data.video.teacher import Teacher

    real = shards.join([shards.read(folder, _stem(source)) for source in SHIPPED])
    made = mix(real, count, Teacher(8, seed=seed), seed=seed)
    shards.write(pieces, name, made)
    return f"{name}: {len(made)} crops"


@contextmanager
def _progress(total: int) -> Iterator[Callable[[], None]]:
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not (console.is_terminal and total)) as progress:
        task = progress.add_task("labelled crops, pieces", total=total)
        yield lambda: progress.advance(task)
