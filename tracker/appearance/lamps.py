"""Lights to try on a face: lamps as spherical harmonics, and the light of another take."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from tracker.appearance.light import exposure_of, sh_basis
from tracker.errors import ConfigError, RecordingError
from tracker.types import Illumination

if TYPE_CHECKING:
    from tracker.recording import Take

Float32 = NDArray[np.float32]
Light = Callable[[Illumination, float], Float32]
"""From the light that is there and the time in seconds to another light, (9, 3)."""

_COSINE_LOBE: Final = np.array([1.0] + [2.0 / 3.0] * 3 + [0.25] * 5)
"""What a matte surface keeps of each order, over pi (Ramamoorthi and Hanrahan 2001, equation 8)."""
_FILL: Final = 0.12
"""Share of even light beside the lamp."""
_TURN_S: Final = 6.0
_WARM: Final = np.array([1.0, 0.62, 0.34])
_COLD: Final = np.array([0.62, 0.80, 1.0])
_BESIDE: Final = {
    "left": (0.90, -0.25, -0.35),
    "right": (-0.90, -0.25, -0.35),
    "top": (0.0, -0.95, -0.30),
    "below": (0.0, 0.90, -0.45),
}
"""Directions from the face to the lamp, camera axes, before a face that looks into the camera; left is the subject's."""
PRESETS: Final = (*_BESIDE, "warm", "cold", "rotating")


def lamp(direction: tuple[float, float, float], colour: NDArray[np.floating], fill: float = _FILL) -> Float32:
    """One distant lamp and even light of the same colour, (9, 3); what faces the lamp is as bright as ``colour``.

    Args:
        direction: from the face towards the lamp, camera axes, any length.
        colour: (3,) linear RGB.
        fill: share of the even light, 0..1.
    """
    towards = np.asarray(direction, np.float32)[:, None] / np.float32(np.linalg.norm(direction))
    basis = sh_basis(towards)[:, 0].astype(np.float64)
    sh = (1.0 - fill) * _COSINE_LOBE * basis * math.pi * 0.5
    sh[0] += fill / float(sh_basis(towards)[0, 0])
    return np.outer(sh, colour).astype(np.float32)


def relighting(name: str) -> Light:
    """The light of a preset's name, or of a take's file.

    Raises:
        ConfigError: there is neither.
        RecordingError: the take cannot be read, or was recorded without light.
    """
    if name in PRESETS:
        return _preset(name)
    if Path(name).is_file():
        from tracker.recording import read_take

        return light_of_take(read_take(name))
    near = difflib.get_close_matches(name, PRESETS, 1)
    guess = f" (did you mean {near[0]}?)" if near else ""
    raise ConfigError(
        f"no light '{name}'{guess}: expected {', '.join(PRESETS)} or the file of a take with --appearance on"
    )


def light_of_take(take: Take) -> Light:
    """The light of the first face of a take at the same time from its start, held beyond its end; as bright as what is there.

    Raises:
        RecordingError: it was recorded without light.
    """
    lights = take.arrays.get("light_sh")
    if lights is None or not (take["light_exposure"] > 0.0).any():
        raise RecordingError(f"{take.path} holds no light: make it with `tracker process … --appearance on`")
    rows = np.flatnonzero(take["light_exposure"] > 0.0)
    times_s = (take["timestamps_ns"][rows] - take["timestamps_ns"][0]) * 1e-9
    sh = np.ascontiguousarray(lights[rows].transpose(0, 2, 1))

    def at(present: Illumination, time_s: float) -> Float32:
        row = min(int(np.searchsorted(times_s, time_s)), len(rows) - 1)
        return as_bright_as(sh[row], present)

    return at


def as_bright_as(sh: Float32, present: Illumination) -> Float32:
    """A light (9, 3) scaled so that a face is as bright under it as under the one that is there."""
    return (sh * (present.exposure / max(exposure_of(sh), 1e-6))).astype(np.float32)


def _preset(name: str) -> Light:
    def at(present: Illumination, time_s: float) -> Float32:
        if name == "rotating":
            turn = 2.0 * math.pi * time_s / _TURN_S
            light = lamp((0.9 * math.cos(turn), -0.9 * math.sin(turn), -0.45), present.white_balance)
        elif name == "warm":
            light = lamp((0.75, -0.45, -0.5), _WARM) + 0.35 * lamp((-0.8, 0.0, -0.6), _COLD / 2.0)
        elif name == "cold":
            light = lamp((-0.75, -0.45, -0.5), _COLD)
        else:
            light = lamp(_BESIDE[name], present.white_balance)
        return as_bright_as(light, present)

    return at
