"""How far one engine's outputs lie from another's: landmarks in pixels of the crop, by region; anything else by number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from engines.engine import Array, Engine
from engines.header import NetworkHeader, OutputHeader

USUAL_CROP: Final = 256
"""Side in pixels that fractions are counted of where a network does not see the crop itself."""


@dataclass(frozen=True, slots=True)
class Deviation:
    """Of one region of the landmarks, or of one output."""

    what: str
    """A region of the face, or an output's name."""
    unit: str
    """``px`` of the crop, or ``relative``: to the spread (standard deviation) of the reference over the rows."""
    mean: float
    p95: float
    worst: float


def run_rows(engine: Engine, inputs: Mapping[str, Array], batch: int | None = None) -> dict[str, Array]:
    """All rows through an engine, ``batch`` at a time (default: as many as it takes), outputs stacked again.

    Networks whose outputs have no batch axis are run row by row, and get one.
    """
    rows = len(next(iter(inputs.values())))
    step = batch or engine.batch.maximum
    collected: dict[str, list[Array]] = {spec.name: [] for spec in engine.outputs}
    for start in range(0, rows, step):
        count = min(step, rows - start)
        padded = {name: _padded(array[start : start + count], engine, step) for name, array in inputs.items()}
        for name, array in engine.infer(padded).items():
            given = array if array.ndim and array.shape[0] == len(next(iter(padded.values()))) else array[None]
            collected[name].append(given[:count].copy())
    return {name: np.concatenate(arrays) for name, arrays in collected.items()}


def _padded(rows: Array, engine: Engine, step: int) -> Array:
    """A last batch that is too short for the engine is filled up with copies of its last row."""
    least = engine.batch.minimum if not engine.batch.fixed else step
    return rows if len(rows) >= least else np.concatenate([rows, np.repeat(rows[-1:], least - len(rows), axis=0)])


def deviations(
    network: NetworkHeader | None, reference: Mapping[str, Array], other: Mapping[str, Array]
) -> list[Deviation]:
    """Per region of the landmarks and per other output.

    Args:
        network: roles, units and regions of the outputs; without it every output is told by number.
        reference: outputs by name, rows first, e.g. of ``run_rows``.
        other: the same of the engine in question; outputs are taken in order, as backends may rename them.
    """
    found: list[Deviation] = []
    for (name, expected), got in zip(reference.items(), other.values(), strict=True):
        made = None if network is None else next((made for made in network.outputs if made.name == name), None)
        if made is not None and made.role == "points" and network is not None:
            found += _of_points(network, made, expected, got)
        else:
            found.append(_relative(name, expected, got))
    return found


def _of_points(network: NetworkHeader, made: OutputHeader, expected: Array, got: Array) -> list[Deviation]:
    count = max((max(indices, default=-1) for indices in network.regions.values()), default=-1) + 1
    rows = len(expected)
    per_point = expected.size // rows // count if count else _coordinates(expected)
    crop = next((given.size for given in network.inputs if given.kind == "crop" and given.size), USUAL_CROP)
    shape = (rows, -1, per_point)
    distance = np.linalg.norm((got.reshape(shape) - expected.reshape(shape))[..., :2].astype(np.float64), axis=2)
    distance *= crop if made.unit == "fraction" else 1
    regions: Mapping[str, tuple[int, ...]] = network.regions or {"landmarks": tuple(range(distance.shape[1]))}
    return [
        Deviation(region, "px", float(some.mean()), float(np.percentile(some, 95)), float(some.max()))
        for region, indices in regions.items()
        if indices
        for some in (distance[:, list(indices)],)
    ]


def _coordinates(points: Array) -> int:
    return points.shape[-1] if points.ndim >= 3 and points.shape[-1] in (2, 3) else 2


def _relative(name: str, expected: Array, got: Array) -> Deviation:
    spread = max(float(np.std(expected)), 1e-6)
    error = np.abs(got.astype(np.float64).ravel() - expected.astype(np.float64).ravel()) / spread
    return Deviation(name, "relative", float(error.mean()), float(np.percentile(error, 95)), float(error.max()))
