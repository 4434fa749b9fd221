"""Labelled crops on disk: ``NAME.crops.npy`` (memory-mapped) and ``NAME.labels.npz`` beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tracker.cache import atomic_target
from tracker.errors import ConfigError
from tracker.face_model.head_points import HEAD_POINT_COUNT
from tracker.types import Float32

POINTS: Final = 478 + HEAD_POINT_COUNT
"""Of ``head628``."""
STORED_PX: Final = 320
"""Side of a stored crop."""
REACH: Final = 1.4
"""Side of a stored crop over the side of the crop that the tracker would take: room to shift, turn and scale."""


class StoredCrops:
    """Crops (N, 320, 320, 3) in files, read when they are looked at.

    Another process is sent the files' names and not what is in them, which numpy's memory maps would do.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        """Raises OSError and ValueError when a file cannot be read."""
        self.paths = tuple(paths)
        self._open()

    def __len__(self) -> int:
        return int(self._ends[-1])

    def __getitem__(self, at: int | tuple[Any, ...]) -> NDArray[np.uint8]:
        """One crop, or part of one: ``crops[7]``, ``crops[7, 10:20]``. Raises IndexError beyond the last."""
        row, rest = (at[0], at[1:]) if isinstance(at, tuple) else (at, ())
        if not 0 <= row < len(self):
            raise IndexError(f"crop {row} of {len(self)}")
        part = int(np.searchsorted(self._ends, row, side="right"))
        start = int(self._ends[part - 1]) if part else 0
        crop: NDArray[np.uint8] = self._maps[part][(row - start, *rest)]
        return crop

    def __reduce__(self) -> tuple[type[StoredCrops], tuple[tuple[Path, ...]]]:
        return StoredCrops, (self.paths,)

    def parts(self) -> list[NDArray[np.uint8]]:
        """The files' arrays."""
        return list(self._maps)

    def _open(self) -> None:
        self._maps = [np.load(path, mmap_mode="r") for path in self.paths]
        self._ends = np.cumsum([len(part) for part in self._maps])


@dataclass(slots=True)
class Shard:
    """N crops and what is known about them; NaN where unknown. Points are fractions of the stored crop's side."""

    crops: NDArray[np.uint8] | StoredCrops
    """(N, 320, 320, 3)."""
    points: Float32
    """(N, L, 3) points of ``head628``; depth on the same scale, from a zero of the crop's own."""
    sigma: Float32
    """(N, L) standard deviation of the label itself."""
    visible: Float32
    """(N, L) 1 in sight, 0 not."""
    present: Float32
    """(N,) 1 where a face is, 0 where none is."""
    scores: Float32
    """(N, 52)."""
    rotation: Float32
    """(N, 3, 3) head axes to the axes of a camera that looks at the crop's centre, turned with the crop."""
    translation: Float32
    """(N, 3) head origin in that camera, metres."""
    focal: Float32
    """(N,) over the crop's side."""
    identity: Float32
    """(N, 100) of the built-in head."""
    expression: Float32
    """(N, 52) fitted weights."""
    light: Float32
    """(N, 9, 3) spherical-harmonics terms in that camera's axes, as ``tracker.appearance`` has them."""
    residual: Float32
    """(N,) median distance of fitted and observed landmarks over the crop's side."""
    person: NDArray[np.str_]
    """(N,)."""
    source: NDArray[np.str_]
    """(N,) file and frame."""

    def __len__(self) -> int:
        return len(self.crops)


_LABELS: Final = tuple(field.name for field in fields(Shard) if field.name != "crops")


def write(folder: Path, name: str, shard: Shard) -> None:
    """Write a shard. The labels come last: a shard without them does not exist."""
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_target(folder / f"{name}.crops.npy") as partial, partial.open("wb") as stream:
        parts = _arrays(shard.crops)
        shape = (len(shard), *parts[0].shape[1:])
        np.lib.format.write_array_header_1_0(stream, {"descr": "|u1", "fortran_order": False, "shape": shape})
        for part in parts:
            stream.write(np.ascontiguousarray(part).data)
    with atomic_target(folder / f"{name}.labels.npz") as partial, partial.open("wb") as stream:
        np.savez(stream, **{label: getattr(shard, label) for label in _LABELS})


def remove(folder: Path, name: str) -> None:
    """Delete a shard; its labels first, for the reason above."""
    (folder / f"{name}.labels.npz").unlink()
    (folder / f"{name}.crops.npy").unlink()


def names(folder: Path) -> list[str]:
    """The shards in a folder."""
    return sorted(path.name.removesuffix(".labels.npz") for path in folder.glob("*.labels.npz"))


def read(folder: Path, name: str) -> Shard:
    """A shard whose crops stay on disk until they are looked at.

    Raises:
        ConfigError: it is not there, or its files do not belong together.
    """
    try:
        crops = StoredCrops([folder / f"{name}.crops.npy"])
        with np.load(folder / f"{name}.labels.npz") as stored:
            labels: dict[str, Any] = {label: stored[label] for label in _LABELS}
    except (OSError, KeyError, ValueError) as error:
        raise ConfigError(
            f"{folder / name}: no shard of labelled crops ({error}); run: trainer prepare encoder"
        ) from error
    if any(len(value) != len(crops) for value in labels.values()):
        raise ConfigError(f"{folder / name}: crops and labels differ in number; run: trainer prepare encoder --fresh")
    return Shard(crops, **labels)


def join(parts: list[Shard]) -> Shard:
    """Several shards as one; crops that are on disk stay there. Raises ValueError when there are none."""
    if not parts:
        raise ValueError("join needs at least one shard")
    labels = {label: np.concatenate([getattr(part, label) for part in parts]) for label in _LABELS}
    stored = [part.crops for part in parts if isinstance(part.crops, StoredCrops)]
    if len(stored) == len(parts):
        return Shard(StoredCrops([path for crops in stored for path in crops.paths]), **labels)
    loaded = [piece for part in parts for piece in _arrays(part.crops)]
    return Shard(np.concatenate(loaded), **labels)


def _arrays(crops: NDArray[np.uint8] | StoredCrops) -> list[NDArray[np.uint8]]:
    return crops.parts() if isinstance(crops, StoredCrops) else [crops]


def nothing_known(count: int) -> dict[str, Any]:
    """Labels of faces about which nothing is known yet."""
    nan = np.nan
    return {
        "points": np.full((count, POINTS, 3), nan, np.float32),
        "sigma": np.full((count, POINTS), nan, np.float32),
        "visible": np.full((count, POINTS), nan, np.float32),
        "present": np.ones(count, np.float32),
        "scores": np.full((count, 52), nan, np.float32),
        "rotation": np.full((count, 3, 3), nan, np.float32),
        "translation": np.full((count, 3), nan, np.float32),
        "focal": np.full(count, nan, np.float32),
        "identity": np.full((count, 100), nan, np.float32),
        "expression": np.full((count, 52), nan, np.float32),
        "light": np.full((count, 9, 3), nan, np.float32),
        "residual": np.full(count, nan, np.float32),
    }
