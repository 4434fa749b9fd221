"""The population: random MakeHuman adults, aligned at the eyes, and their principal components."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tools.build_head.makehuman import MakeHuman

SEED = 20240917
SAMPLES = 2000
COMPONENTS = 100
LOCAL_SIGMA = 0.18
"""Standard deviation of the local targets' weights; puts the spread of face measures near anthropometric tables."""
HEIGHT_SIGMA = 0.15
"""Standard deviation of the height phenotype, which is mostly a scale of the head."""
HEAD_SHAPE_SIGMA = 0.1
"""Standard deviation of the whole-head shapes (oval, round, ...), each of which alters the face's width by 20 mm."""
ASYMMETRY_SIGMA = 0.05
"""Standard deviation of the left-right difference of paired targets and of the sideways ones."""
MEAN_WEIGHTS: dict[str, float] = {
    "eyes/eye-trans": 0.24,
    "eyes/eye-push1": 0.03,
    "eyes/eye-push2": 0.45,
    "eyes/eye-height2": 0.39,
    "mouth/mouth-scale-horiz": 0.10,
    "head/head-scale-horiz": 0.21,
    "head/head-scale-vert": 0.29,
    "nose/nose-scale-vert": -0.44,
}
"""Mean weights of sliders, by least squares, that bring the mean head to the anthropometric tables (NIOSH 2005, both sexes
pooled): interpupillary breadth 63.2 mm, face width 140, sellion to menton 118, lip length 49.6, nose length 50.1."""
LOCAL_FOLDERS = ("head", "forehead", "eyebrows", "eyes", "nose", "cheek", "mouth", "chin", "ears")
SIGN_PAIRS = (
    ("decr", "incr"),
    ("down", "up"),
    ("in", "out"),
    ("backward", "forward"),
    ("concave", "convex"),
    ("compress", "uncompress"),
)
# Whole-head translation is undone by the alignment, ageing comes with the age phenotype.
SKIPPED = ("head-trans", "head-age")

Array = NDArray[np.float64]


@dataclass(frozen=True)
class LocalControl:
    """A slider: positive weights apply ``positive``, negative ones ``negative``, or ``positive`` backwards without one."""

    name: str
    negative: str | None
    positive: str
    sideways: bool


@dataclass(frozen=True)
class Population:
    """Aligned samples in metres, split into their mirror-symmetric and antisymmetric halves: N samples, V vertices."""

    mean: Array
    """(V, 3) symmetric."""
    symmetric: Array
    """(N, V, 3) deviations from the mean."""
    antisymmetric: Array
    """(N, V, 3)."""


def local_controls(data: MakeHuman) -> list[LocalControl]:
    """All face sliders; those of the left eye, cheek and ear stand for both sides (see ``_local_weights``)."""
    controls: list[LocalControl] = []
    for folder in LOCAL_FOLDERS:
        paths = [p for p in data.targets_in(folder) if not p.split("/")[1].startswith(SKIPPED)]
        taken: set[str] = set()
        for path in paths:
            if path in taken:
                continue
            stem, _, ending = path.rpartition("-")
            pair = next(((low, high) for low, high in SIGN_PAIRS if ending in (low, high)), None)
            if pair is None:
                controls.append(LocalControl(path, None, path, sideways=False))
                continue
            low, high = f"{stem}-{pair[0]}", f"{stem}-{pair[1]}"
            taken.update((low, high))
            middle = stem.rpartition("/")[2] in ("nose-trans", "mouth-trans", "head-angle") and pair == ("in", "out")
            both = low in paths and high in paths
            controls.append(
                LocalControl(stem if both else path, low if both else None, high if both else path, sideways=middle)
            )
    return controls


def sample_shapes(data: MakeHuman, keep: NDArray[np.int64], rng: np.random.Generator, count: int) -> Array:
    """(count, len(keep), 3) random adult shapes in decimetres, not aligned."""
    base = data.mesh.vertices[keep]
    weights: dict[str, Array] = {}
    _phenotype_weights(rng, count, weights, data)
    _local_weights(rng, count, weights, local_controls(data))
    names = sorted(weights)
    stacked = np.stack([data.target(name)[keep].ravel() for name in names])
    table = np.stack([weights[name] for name in names], axis=1)
    return base + (table @ stacked).reshape(count, -1, 3)


def _phenotype_weights(rng: np.random.Generator, count: int, weights: dict[str, Array], data: MakeHuman) -> None:
    # As MakeHuman does: each macro target is weighted by the product of its phenotypes' shares.
    gender = rng.beta(0.5, 0.5, count)
    old = rng.uniform(0.0, 0.9, count)
    races = rng.dirichlet((0.6, 0.6, 0.6), count)
    height = np.clip(rng.normal(0.0, HEIGHT_SIGMA, count), -1, 1)
    proportions = np.clip(rng.normal(0.0, 0.4, count), -1, 1)
    shares = {
        "gender": {"female": 1 - gender, "male": gender},
        "age": {"young": 1 - old, "old": old},
        "muscle": _three_way(np.clip(rng.normal(0.0, 0.35, count), -1, 1), "muscle"),
        "weight": _three_way(np.clip(rng.normal(0.0, 0.4, count), -1, 1), "weight"),
    }
    for race, share in zip(("african", "asian", "caucasian"), races.T, strict=True):
        for (gender_name, gender_share), (age, age_share) in itertools.product(
            shares["gender"].items(), shares["age"].items()
        ):
            weights[f"macrodetails/{race}-{gender_name}-{age}"] = share * gender_share * age_share
    for body in itertools.product(*(shares[key].items() for key in ("gender", "age", "muscle", "weight"))):
        name = "-".join(part[0] for part in body)
        share = np.prod([part[1] for part in body], axis=0)
        extras = {
            f"macrodetails/universal-{name}": np.ones(count),
            f"macrodetails/height/{name}-minheight": np.maximum(-height, 0),
            f"macrodetails/height/{name}-maxheight": np.maximum(height, 0),
            f"macrodetails/proportions/{name}-uncommonproportions": np.maximum(-proportions, 0),
            f"macrodetails/proportions/{name}-idealproportions": np.maximum(proportions, 0),
        }
        for path, factor in extras.items():
            if data.has_target(path):
                weights[path] = share * factor


def _three_way(value: Array, label: str) -> dict[str, Array]:
    return {
        f"min{label}": np.maximum(-value, 0),
        f"average{label}": 1 - np.abs(value),
        f"max{label}": np.maximum(value, 0),
    }


def _local_weights(
    rng: np.random.Generator, count: int, weights: dict[str, Array], controls: list[LocalControl]
) -> None:
    drawn: dict[str, Array] = {}
    for control in controls:
        folder, _, name = control.name.partition("/")
        side, _, rest = name.partition("-")
        if side in ("l", "r"):
            # Both sides of a face are the same up to little.
            common = drawn.setdefault(f"{folder}/{rest}", rng.normal(0, LOCAL_SIGMA, count))
            value = common + rng.normal(0, ASYMMETRY_SIGMA, count)
        else:
            sigma = (
                ASYMMETRY_SIGMA
                if control.sideways
                else HEAD_SHAPE_SIGMA
                if folder == "head" and control.negative is None
                else LOCAL_SIGMA
            )
            value = rng.normal(0, sigma, count)
        value = value + MEAN_WEIGHTS.get(f"{folder}/{rest}" if side in ("l", "r") else control.name, 0.0)
        if control.negative is None:
            # One-sided targets (an oval head, a triangular ear) are also used backwards, so that they do not move the mean.
            weights[control.positive] = value
        else:
            weights[control.negative] = np.maximum(-value, 0)
            weights[control.positive] = np.maximum(value, 0)


def align(shapes: Array, weight: Array, eyes: tuple[NDArray[np.int64], NDArray[np.int64]]) -> Array:
    """Turn every shape onto the mean (no scaling) and put the midpoint between its eye centres at the origin.

    Args:
        shapes: (N, V, 3).
        weight: (V,) influence of each vertex on the rotation.
        eyes: vertex indices whose means are the left and the right eye's centre.
    """

    def centred(points: Array) -> Array:
        middle = (points[:, eyes[0]].mean(1) + points[:, eyes[1]].mean(1)) / 2
        result: Array = points - middle[:, None]
        return result

    shapes = centred(shapes)
    share = weight / weight.sum()
    for _ in range(3):
        target = shapes.mean(0)
        target = target - share @ target
        moments = np.einsum(
            "nvi,v,vj->nij", shapes - np.einsum("v,nvi->ni", share, shapes)[:, None], share, target, optimize=True
        )
        left, _values, right = np.linalg.svd(moments)
        flip = np.linalg.det(left @ right)
        left[:, :, 2] *= flip[:, None]
        turn = left @ right
        shapes = centred(np.einsum("nvi,nij->nvj", shapes, turn, optimize=True))
    return shapes


def build_population(shapes: Array, mirror: NDArray[np.int64]) -> Population:
    """Split aligned shapes into symmetric and antisymmetric parts: the population closed under mirroring."""
    mirrored = shapes[:, mirror] * np.array([-1.0, 1.0, 1.0])
    symmetric = (shapes + mirrored) / 2
    mean = symmetric.mean(0)
    return Population(mean, symmetric - mean, (shapes - mirrored) / 2)


def principal_components(population: Population, weight: Array, count: int = COMPONENTS) -> tuple[Array, Array]:
    """The first components in a weighted metric, scaled to unit variance.

    The covariance of a population closed under mirroring splits into a symmetric and an antisymmetric block, so every component
    is exactly one of the two.

    Args:
        weight: (V,) weight of each vertex in the metric (area times importance).

    Returns:
        basis (V, 3, count) in metres per standard deviation, and the share of the weighted variance each explains (count,).
    """
    root = np.sqrt(weight)[None, :, None]
    candidates: list[tuple[float, Array]] = []
    total = 0.0
    for part in (population.symmetric, population.antisymmetric):
        flat = (part * root).reshape(len(part), -1)
        gram = flat @ flat.T / len(part)
        values, vectors = np.linalg.eigh(gram)
        total += values.sum()
        for i in np.argsort(values)[::-1][:count]:
            # With gram = U diag(s) U^T / and X centred, X^T u / sqrt(n) has the length of one standard deviation.
            component = np.einsum("n,nvi->vi", vectors[:, i], part) / np.sqrt(len(part))
            candidates.append((float(values[i]), component))
    candidates.sort(key=lambda item: -item[0])
    chosen = candidates[:count]
    basis = np.stack([_fix_sign(component) for _, component in chosen], axis=2)
    return basis, np.array([value for value, _ in chosen]) / total


def _fix_sign(component: Array) -> Array:
    flat = component.ravel()
    # Components have their extreme twice, left and right, and rounding decides which is larger: take the first of both.
    lead = flat[np.argmax(np.abs(flat) > 0.999 * np.abs(flat).max())]
    return component if lead > 0 else -component
