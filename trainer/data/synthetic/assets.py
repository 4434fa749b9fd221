"""What renders are made of besides geometry: heads, skins, eyes, hair, backgrounds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tracker.face_model.model import FaceModel
from tracker.rendering.skin import SKIN_PX, Complexion, paint_face
from trainer.data.synthetic.heads import CarriedHead

UInt8 = NDArray[np.uint8]

_PAINTED: Final = 12
_EYE_PX: Final = 256


@dataclass(frozen=True, slots=True)
class Assets:
    """Pictures, all RGB uint8."""

    skins: UInt8
    """(K, 1024, 1024, 3) square-root encoded reflectance in the chart of ``tracker.rendering.skin.Unfolding``."""
    hair_colours: NDArray[np.float32]
    """(K, 3) linear reflectance of the hair that goes with each skin."""
    eyes: UInt8
    """(E, 256, 256, 3) square-root encoded reflectance of the front of eyeballs."""
    strands: UInt8
    """(1024, 1024) structure of hair in the skins' chart."""
    backgrounds: UInt8
    """(G, H, W, 3) sRGB pictures without faces."""
    heads: tuple[CarriedHead, ...] = ()
    """Face models beside the built-in one."""
    origin: tuple[str, ...] = ()
    """Where each skin comes from: ``painted``, or the name of a file."""


def painted_assets(model: FaceModel, count: int = _PAINTED, seed: int = 0) -> Assets:
    """Assets that need no pictures of people: painted skins, painted eyes, no backgrounds but those made on the fly.

    Args:
        model: the built-in head.
        count: skins and eyes to paint; a third of a second each.
        seed: for the choice of looks.
    """
    skins, eyes, hair = [], [], []
    strands: UInt8 | None = None
    for index in range(count):
        look = random_look(np.random.default_rng((seed, index)))
        paint = paint_face(model, look)
        skins.append(paint.atlas[:SKIN_PX])
        eyes.append(paint.atlas[SKIN_PX:, :_EYE_PX])
        hair.append(look.hair)
        strands = paint.strands[:SKIN_PX] if strands is None else strands
    assert strands is not None
    return Assets(
        np.stack(skins),
        np.array(hair, np.float32),
        np.stack(eyes),
        strands,
        np.zeros((0, 8, 8, 3), np.uint8),
        origin=("painted",) * count,
    )


def random_look(rng: np.random.Generator) -> Complexion:
    """A person's colours."""
    melanin = float(rng.beta(1.2, 2.2))
    dark_hair = np.array([0.018, 0.013, 0.010])
    light_hair = np.array([[0.22, 0.15, 0.08], [0.16, 0.06, 0.025], [0.30, 0.29, 0.28], [0.07, 0.04, 0.022]])[
        rng.integers(4)
    ]
    share = float(rng.random() < 0.65 - 0.6 * melanin) * rng.uniform(0.4, 1.0)
    hair = dark_hair * (1.0 - share) + light_hair * share
    iris = np.array(
        [[0.05, 0.03, 0.018], [0.09, 0.06, 0.03], [0.10, 0.17, 0.22], [0.10, 0.13, 0.08], [0.14, 0.16, 0.18]]
    )
    iris_index = 0 if melanin > 0.4 else int(rng.integers(5))
    return Complexion(
        melanin=melanin,
        haemoglobin=float(rng.normal(0.42, 0.12)),
        lip_redness=float(rng.uniform(0.4, 1.5)),
        hair=(float(hair[0]), float(hair[1]), float(hair[2])),
        brow_density=float(rng.uniform(0.3, 1.0)),
        iris=tuple(float(v) for v in iris[iris_index] * rng.uniform(0.7, 1.3)),  # type: ignore[arg-type]
        stubble=float(rng.random() < 0.35) * float(rng.uniform(0.2, 1.0)),
        seed=int(rng.integers(2**31)),
    )
