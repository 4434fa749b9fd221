"""Expressions as faces make them: a few acts at a time, both sides together, lids and gaze always.

An act is a group of ARKit weights that occur together, with their usual proportions. Most faces are at rest or do one to three
things; a share is drawn without such sense, so that corners of the space are seen as well. Another share is drawn from what
tracked people were recorded to do: strengths by their quantiles, together as their ranks go together (a Gaussian copula).
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import Generator, Tensor

from tracker.arkit import ARKIT_INDEX, ARKIT_NAMES

# Name without side -> strength relative to the act's; how often the act is chosen.
ACTS: Final[tuple[tuple[float, dict[str, float]], ...]] = (
    (3.0, {"mouthSmile": 1.0, "cheekSquint": 0.5, "eyeSquint": 0.35, "mouthDimple": 0.2, "mouthUpperUp": 0.25}),
    (1.2, {"mouthSmile": 0.8, "jawOpen": 0.35, "mouthUpperUp": 0.5, "mouthLowerDown": 0.35, "cheekSquint": 0.6,
           "eyeSquint": 0.4}),
    (3.0, {"jawOpen": 0.55, "mouthLowerDown": 0.35, "mouthUpperUp": 0.12}),
    (1.4, {"jawOpen": 1.0, "mouthLowerDown": 0.3, "mouthStretch": 0.15}),
    (1.4, {"mouthFunnel": 0.8, "jawOpen": 0.25, "mouthPucker": 0.3}),
    (1.4, {"mouthPucker": 1.0, "mouthFunnel": 0.15}),
    (1.0, {"jawOpen": 0.3, "mouthClose": 0.28, "mouthPucker": 0.2}),
    (1.2, {"mouthPress": 0.8, "mouthRollLower": 0.4, "mouthRollUpper": 0.4}),
    (0.6, {"mouthRollLower": 0.9, "mouthRollUpper": 0.7}),
    (1.0, {"mouthFrown": 0.9, "mouthShrugLower": 0.5, "browInnerUp": 0.2}),
    (0.8, {"mouthStretch": 0.9, "mouthLowerDown": 0.4, "jawOpen": 0.1}),
    (0.7, {"mouthShrugLower": 0.9, "mouthShrugUpper": 0.5}),
    (0.8, {"mouthUpperUp": 0.9, "noseSneer": 0.6, "browDown": 0.3}),
    (1.6, {"browInnerUp": 0.8, "browOuterUp": 0.8, "eyeWide": 0.25}),
    (0.8, {"browInnerUp": 0.9, "mouthFrown": 0.2}),
    (1.6, {"browDown": 0.9, "eyeSquint": 0.4}),
    (0.8, {"eyeWide": 0.9, "browOuterUp": 0.4}),
    (0.8, {"eyeSquint": 0.9, "cheekSquint": 0.5}),
    (0.4, {"cheekPuff": 0.9, "mouthPress": 0.3}),
    (0.3, {"jawForward": 0.8}),
    (0.3, {"tongueOut": 0.8, "jawOpen": 0.45, "mouthLowerDown": 0.2}),
    (0.5, {"noseSneer": 0.9}),
    (0.6, {"mouthLowerDown": 0.9}),
)  # fmt: skip
_SIDEWAYS: Final = (("mouthLeft", "mouthRight"), ("jawLeft", "jawRight"))
_SIDEWAYS_CHANCE: Final = 0.12
_ASYMMETRY: Final = 0.10
_ONE_SIDED: Final = 0.10
_SENSELESS: Final = 0.12
_RECORDED: Final = 0.3
_STATISTICS: Final = Path(__file__).with_name("recorded_expressions.npz")
GAZE_YAW_RAD: Final = 0.61
GAZE_PITCH_RAD: Final = 0.44
"""Turn of the eyes at full weight, about what the built-in head drives; only proportions matter here."""


def sample_expressions(count: int, generator: Generator) -> Tensor:
    """Weights (count, 52) in 0..1 in ``ARKIT_NAMES`` order, float32 on the CPU."""

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator)

    chance = torch.tensor([act[0] for act in ACTS])
    weights = torch.zeros(count, len(ARKIT_NAMES))
    amount = torch.multinomial(torch.tensor([0.22, 0.34, 0.28, 0.16]), count, True, generator=generator)
    table = _acts()
    for slot in range(3):
        chosen = torch.multinomial(chance, count, True, generator=generator)
        strength = uniform(count, 1) ** 0.8 * (amount > slot)[:, None]
        # Proportions vary from face to face, sides hardly.
        proportion = table[chosen] * (0.6 + 0.8 * _both_sides(uniform(count, len(ARKIT_NAMES))))
        weights = torch.maximum(weights, strength * proportion)
    one_sided = uniform(count) < _ONE_SIDED
    side = _sides()[(uniform(count) < 0.5).long()]
    weights = torch.where(one_sided[:, None], weights * (1.0 - 0.8 * side), weights)
    weights *= (1.0 + _ASYMMETRY * torch.randn(count, len(ARKIT_NAMES), generator=generator)).clamp(0.5, 1.5)
    for pair in _SIDEWAYS:
        which = (uniform(count) < 0.5).long()
        some = uniform(count) * (uniform(count) < _SIDEWAYS_CHANCE)
        for k, name in enumerate(pair):
            weights[:, ARKIT_INDEX[name]] = some * (which == k)
    senseless = uniform(count) < _SENSELESS
    sparse = uniform(count, len(ARKIT_NAMES)) * (uniform(count, len(ARKIT_NAMES)) < 0.1)
    weights = torch.where(senseless[:, None], sparse, weights)
    weights += 0.04 * uniform(count, len(ARKIT_NAMES)) * _resting()
    _eyes(weights, generator)
    recorded = uniform(count) < _RECORDED
    weights = torch.where(recorded[:, None], sample_recorded(count, generator), weights)
    jaw, close = ARKIT_INDEX["jawOpen"], ARKIT_INDEX["mouthClose"]
    weights[:, close] = torch.minimum(weights[:, close], weights[:, jaw])
    return weights.clamp(0.0, 1.0)


def sample_recorded(count: int, generator: Generator) -> Tensor:
    """Weights (count, 52) with the quantiles and the correlation of ranks that ``tools/record_expressions.py`` found."""
    levels, quantiles, root = _statistics()
    scores = torch.randn(count, len(ARKIT_NAMES), generator=generator) @ root.T
    rank = torch.special.ndtr(scores)
    step = torch.searchsorted(levels, rank).clamp(1, len(levels) - 1)
    share = (rank - levels[step - 1]) / (levels[step] - levels[step - 1])
    low, high = quantiles.T.gather(0, step - 1), quantiles.T.gather(0, step)
    return torch.lerp(low, high, share)


@cache
def _statistics() -> tuple[Tensor, Tensor, Tensor]:
    """Levels (L,), quantiles (52, L) at them, and a root (52, 52) of the correlation."""
    with np.load(_STATISTICS) as kept:
        order = [list(kept["names"]).index(name) for name in ARKIT_NAMES]
        quantiles = torch.tensor(kept["quantiles"][order].astype(np.float32))
        correlation = kept["correlation"][np.ix_(order, order)].astype(np.float64)
        levels = torch.tensor(kept["levels"].astype(np.float32))
    return levels, quantiles, torch.tensor(np.linalg.cholesky(correlation).astype(np.float32))


def _eyes(weights: Tensor, generator: Generator) -> None:
    """Lids and gaze, in place: mostly open and ahead, sometimes shut or half shut, at times one eye alone."""
    count = len(weights)
    state = torch.multinomial(torch.tensor([0.72, 0.14, 0.14]), count, True, generator=generator)
    lid = torch.rand(count, generator=generator)
    lid = torch.where(state == 0, 0.18 * lid, torch.where(state == 1, 0.2 + 0.6 * lid, 0.85 + 0.15 * lid))
    wink = torch.rand(count, generator=generator) < 0.04
    left = torch.rand(count, generator=generator) < 0.5
    slack = 0.04 * torch.randn(count, 2, generator=generator)
    open_again = torch.stack([wink & left, wink & ~left], 1)
    for k, side in enumerate(("Left", "Right")):
        weights[:, ARKIT_INDEX[f"eyeBlink{side}"]] = (lid + slack[:, k]).clamp(0, 1) * torch.where(
            open_again[:, k], 0.2, 1.0
        )
        weights[:, ARKIT_INDEX[f"eyeWide{side}"]] *= (lid < 0.25).float()
        weights[:, ARKIT_INDEX[f"eyeSquint{side}"]] *= (lid < 0.6).float()
    wide = torch.where(torch.rand(count, generator=generator) < 0.3, 1.0, 0.4)
    yaw = (torch.randn(count, generator=generator) * 0.5 * wide).clamp(-1, 1)
    pitch = (torch.randn(count, generator=generator) * 0.45 * wide).clamp(-1, 1)
    vergence = 0.05 * torch.randn(count, generator=generator)
    for side, sign in (("Left", 1.0), ("Right", -1.0)):
        outwards = sign * yaw + vergence
        weights[:, ARKIT_INDEX[f"eyeLookOut{side}"]] = outwards.clamp_min(0.0)
        weights[:, ARKIT_INDEX[f"eyeLookIn{side}"]] = (-outwards).clamp_min(0.0)
        weights[:, ARKIT_INDEX[f"eyeLookUp{side}"]] = pitch.clamp_min(0.0)
        weights[:, ARKIT_INDEX[f"eyeLookDown{side}"]] = (-pitch).clamp_min(0.0)


def _acts() -> Tensor:
    """(acts, 52) strengths of the acts."""
    table = torch.zeros(len(ACTS), len(ARKIT_NAMES))
    for row, (_, parts) in enumerate(ACTS):
        for name, strength in parts.items():
            for full in (name, f"{name}Left", f"{name}Right"):
                if full in ARKIT_INDEX:
                    table[row, ARKIT_INDEX[full]] = strength
    return table


def _sides() -> Tensor:
    """(2, 52) 1 at the weights of the left side, of the right side."""
    names = [("Left", "Right")[k] for k in (0, 1)]
    return torch.tensor([[float(name.endswith(side) and name not in {"jawLeft", "jawRight", "mouthLeft", "mouthRight"})
                          for name in ARKIT_NAMES] for side in names])  # fmt: skip


def _both_sides(values: Tensor) -> Tensor:
    """The same values (N, 52) on the left as on the right."""
    partner = [
        ARKIT_INDEX.get(name[:-5] + "Left", i) if name.endswith("Right") else i for i, name in enumerate(ARKIT_NAMES)
    ]
    return values[:, partner]


def _resting() -> Tensor:
    """(52,) 1 at what is never quite at rest."""
    still = ("tongueOut", "cheekPuff", "mouthClose", "jawLeft", "jawRight", "mouthLeft", "mouthRight", "jawForward")
    return torch.tensor([float(name not in still) for name in ARKIT_NAMES])
