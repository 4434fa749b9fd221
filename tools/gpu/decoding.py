"""Video decoded by NVDEC: the CPU's frames at the CPU's times, and how fast."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from tools.gpu.steps import Outcome, SkippedError

FRAMES = 150


def run(outcome: Outcome) -> None:
    """Write two clips of 1920x1080, with frames that are sent in another order; read them through NVDEC and on the CPU."""
    from tracker.sources.nvdec import missing

    if (why := missing()) is not None:
        raise SkippedError(why)
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for codec, suffix in (("libx264", "mp4"), ("libx265", "mkv")):
            clip = _written(Path(folder) / f"clip.{suffix}", codec)
            rows.append({"codec": codec, **_compared(clip)})
    outcome.tables[f"{FRAMES} frames of 1920x1080"] = rows
    if any(row["frames off"] for row in rows):
        raise RuntimeError(f"NVDEC's frames are not FFmpeg's: {rows}")


def _pictures() -> Iterator[np.ndarray[Any, Any]]:
    y, x = np.mgrid[:1080, :1920]
    for index in range(FRAMES):
        red = (x // 8 + 3 * index) % 256
        green = (y // 5 - 2 * index) % 256
        blue = ((x - 9 * index) ** 2 + (y - 540) ** 2 < 200**2) * 200
        yield np.stack([red, green, blue], -1).astype(np.uint8)


def _written(path: Path, codec: str) -> Path:
    import av

    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(
            codec, rate=Fraction(30000, 1001), options={"preset": "ultrafast", "bf": "2"}
        )
        stream.width, stream.height, stream.pix_fmt = 1920, 1080, "yuv420p"
        for picture in _pictures():
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def _compared(clip: Path) -> dict[str, Any]:
    from tracker.sources.open import open_source

    taken: dict[str, float] = {}
    for decoder in ("cpu", "nvdec"):
        with open_source(str(clip), decoder="nvdec" if decoder == "nvdec" else "cpu") as source:
            begun = time.perf_counter()
            count = sum(1 for _ in source)
            taken[decoder] = (time.perf_counter() - begun) / max(count, 1) * 1e3
    off = 0
    with open_source(str(clip), decoder="nvdec") as ours, open_source(str(clip)) as theirs:
        for one, other in zip(ours, theirs, strict=True):
            off += one.pts_s != other.pts_s or not np.array_equal(one.image, other.image)
    return {"frames": count, "frames off": off, "ms a frame, CPU": taken["cpu"], "ms a frame, NVDEC": taken["nvdec"]}
