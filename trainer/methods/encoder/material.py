"""What the encoder learns from, made once: labelled clips, blended people, renders, and people held out."""

from __future__ import annotations

import logging
from pathlib import Path

from tracker.errors import ConfigError
from trainer.data.video import shard as shards
from trainer.data.video.gather import gather
from trainer.data.video.mixing import mix
from trainer.data.video.rendered import render
from trainer.data.video.sources import HELD_OUT, SHIPPED, VideoSource, locate
from trainer.data.video.teacher import Teacher

_LOG = logging.getLogger(__name__)
_AT_ONCE = 2000


def prepare(folder: Path, material: list[Path], mixed: int, rendered: int) -> None:
    """Fill ``folder`` with what it lacks; what is there stays.

    Args:
        folder: of the shards.
        material: folders with the clips and pictures of ``sources.SHIPPED``.
        mixed: crops of blended people.
        rendered: rendered crops.

    Raises:
        ConfigError: a clip is in none of the folders.
    """
    have = set(shards.names(folder))
    for source in SHIPPED:
        if Path(source.file).stem not in have:
            shards.write(folder, Path(source.file).stem, _gathered(source, material))
    if "held_out" not in have:
        shards.write(folder, "held_out", shards.join([_gathered(source, material) for source in HELD_OUT]))
    for first in range(0, mixed, _AT_ONCE):
        name, count = f"mixed{first // _AT_ONCE}", min(_AT_ONCE, mixed - first)
        if name not in have:
            real = shards.join([shards.read(folder, Path(source.file).stem) for source in SHIPPED])
            shards.write(folder, name, mix(real, count, Teacher(8, seed=first), seed=first))
            _LOG.info("%s: %d crops", name, count)
    for first in range(0, rendered, _AT_ONCE):
        name, count = f"rendered{first // _AT_ONCE}", min(_AT_ONCE, rendered - first)
        if name not in have:
            shards.write(folder, name, render(count, Teacher(6, seed=first), seed=first))
            _LOG.info("%s: %d crops", name, count)


def _gathered(source: VideoSource, material: list[Path]) -> shards.Shard:
    path = locate(source, material)
    try:
        made, kept = gather(source, path, Teacher())
    except ValueError as error:
        raise ConfigError(str(error)) from None
    _LOG.info("%s: %d of %d faces kept", path.name, kept.kept, kept.seen)
    return made
