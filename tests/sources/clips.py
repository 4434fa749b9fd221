"""Small tricky videos and images, made on the fly so that tests know exactly what is in them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray


def gray_level(index: int) -> int:
    """The brightness that frame ``index`` is filled with, far enough apart to survive compression."""
    return 20 + (index * 23) % 200


def flat(width: int, height: int, level: int) -> NDArray[np.uint8]:
    """An even gray picture (H, W, 3)."""
    return np.full((height, width, 3), level, dtype=np.uint8)


def quadrants(width: int, height: int) -> NDArray[np.uint8]:
    """Red top left, green top right, blue bottom left, white bottom right: every orientation looks different."""
    image = np.zeros((height, width, 3), dtype=np.uint8)
    y, x = height // 2, width // 2
    image[:y, :x] = 255, 0, 0
    image[:y, x:] = 0, 255, 0
    image[y:, :x] = 0, 0, 255
    image[y:, x:] = 255, 255, 255
    return image


def write_video(
    path: Path,
    images: Iterable[NDArray[np.uint8]],
    *,
    codec: str = "mpeg4",
    pixel_format: str = "yuv420p",
    rate: int | Fraction = 25,
    pts: Sequence[int] | None = None,
    time_base: Fraction | None = None,
    rotation: int = 0,
    matrix: Sequence[int] | None = None,
    pixel_aspect: Fraction | None = None,
    container_format: str | None = None,
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
    metadata: dict[str, str] | None = None,
) -> Path:
    """Encode ``images``; ``pts`` are in units of ``time_base``."""
    with av.open(str(path), "w", format=container_format, container_options=container_options or {}) as container:
        container.metadata.update(metadata or {})
        stream = None
        for index, image in enumerate(images):
            if stream is None:
                stream = container.add_stream(codec, rate=rate, options=options or {})
                stream.height, stream.width = image.shape[:2]
                stream.pix_fmt = pixel_format
                if time_base is not None:
                    stream.codec_context.time_base = time_base
                if rotation:
                    stream.set_display_rotation(rotation)
                if matrix is not None:
                    stream.set_display_matrix(matrix)
                if pixel_aspect is not None:
                    stream.codec_context.sample_aspect_ratio = pixel_aspect
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts = index if pts is None else pts[index]
            frame.time_base = time_base or 1 / Fraction(rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def write_audio(path: Path, seconds: float = 0.5) -> Path:
    """A tone and nothing else."""
    rate = 8000
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=rate, layout="mono")
        samples = (8000 * np.sin(np.arange(int(rate * seconds)) * 0.3)).astype(np.int16)[None]
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
        frame.sample_rate = rate
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path
