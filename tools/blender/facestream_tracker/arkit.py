"""ARKit's 52 names, and which shape keys of a mesh mean them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

ARKIT_NAMES = (
    "eyeBlinkLeft", "eyeLookDownLeft", "eyeLookInLeft", "eyeLookOutLeft", "eyeLookUpLeft", "eyeSquintLeft", "eyeWideLeft",
    "eyeBlinkRight", "eyeLookDownRight", "eyeLookInRight", "eyeLookOutRight", "eyeLookUpRight", "eyeSquintRight", "eyeWideRight",
    "jawForward", "jawLeft", "jawRight", "jawOpen",
    "mouthClose", "mouthFunnel", "mouthPucker", "mouthLeft", "mouthRight",
    "mouthSmileLeft", "mouthSmileRight", "mouthFrownLeft", "mouthFrownRight", "mouthDimpleLeft", "mouthDimpleRight",
    "mouthStretchLeft", "mouthStretchRight", "mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper",
    "mouthPressLeft", "mouthPressRight", "mouthLowerDownLeft", "mouthLowerDownRight", "mouthUpperUpLeft", "mouthUpperUpRight",
    "browDownLeft", "browDownRight", "browInnerUp", "browOuterUpLeft", "browOuterUpRight",
    "cheekPuff", "cheekSquintLeft", "cheekSquintRight", "noseSneerLeft", "noseSneerRight", "tongueOut",
)  # fmt: skip
"""In the order of every array of 52 weights in the stream and in takes."""

_SIDES = {"l": "l", "left": "l", "r": "r", "right": "r"}
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_COPY = re.compile(r"\.\d{3}$")


@dataclass(frozen=True)
class Binding:
    """One shape key and what drives it: the mean of these weights, as indices into ``ARKIT_NAMES``."""

    key: str
    sources: tuple[int, ...]


@dataclass(frozen=True)
class Matching:
    """Which shape keys follow the stream, and what was left over."""

    bindings: tuple[Binding, ...]
    missing: tuple[str, ...]
    """ARKit names that nothing shows."""
    unused: tuple[str, ...]
    """Shape keys that mean none of them."""


def mirrored_order() -> list[int]:
    """Index of each name's partner on the other side of the face."""
    index = {name: number for number, name in enumerate(ARKIT_NAMES)}
    swap = {"Left": "Right", "Right": "Left"}
    return [index[re.sub("(Left|Right)$", lambda match: swap[match[0]], name)] for name in ARKIT_NAMES]


def match_shape_keys(keys: Iterable[str]) -> Matching:
    """Find ARKit's names among shape keys: ``jawOpen``, ``JawOpen``, ``jaw_open``, ``Face.eyeBlink_L``, ``eye blink left``.

    Where a mesh has both sides of what ARKit has once (``browInnerUp_L``, ``browInnerUp_R``), both follow it; where it has
    one key for what ARKit has twice (``eyeBlink``), it follows the mean. If two keys mean the same, the one that is
    spelt more like ARKit's wins, and the other is left alone.
    """
    return _match(tuple(keys))


@lru_cache(maxsize=16)
def _match(keys: tuple[str, ...]) -> Matching:
    chosen: dict[tuple[str, str], tuple[int, str]] = {}
    for key in keys:
        found = _meaning(key)
        if found is None:
            continue
        rank = 0 if key in ARKIT_NAMES else 1 if key[:1].lower() + key[1:] in ARKIT_NAMES else 2
        if found not in chosen or rank < chosen[found][0]:
            chosen[found] = rank, key
    by_key = {key: meaning for meaning, (_, key) in chosen.items()}
    bindings = tuple(Binding(key, _sources(*by_key[key])) for key in keys if key in by_key)
    shown = {source for binding in bindings for source in binding.sources}
    return Matching(
        bindings,
        tuple(name for number, name in enumerate(ARKIT_NAMES) if number not in shown),
        tuple(key for key in keys if key not in by_key),
    )


def _split(name: str) -> tuple[str, str]:
    """A name's words without their side in lower case, and the side: ``l``, ``r`` or none."""
    words = [word.lower() for word in _WORDS.findall(name)]
    if len(words) > 1 and words[-1] in _SIDES:
        return "".join(words[:-1]), _SIDES[words[-1]]
    if len(words) > 1 and words[0] in _SIDES:
        return "".join(words[1:]), _SIDES[words[0]]
    stem = "".join(words)
    for side in ("left", "right"):
        if stem.endswith(side) and stem != side:
            return stem[: -len(side)], _SIDES[side]
    return stem, ""


_INDICES = {_split(name): number for number, name in enumerate(ARKIT_NAMES)}


def _sources(stem: str, side: str) -> tuple[int, ...]:
    if (stem, side) in _INDICES:
        return (_INDICES[stem, side],)
    if side:
        return (_INDICES[stem, ""],) if (stem, "") in _INDICES else ()
    return tuple(_INDICES[stem, each] for each in ("l", "r") if (stem, each) in _INDICES)


def _meaning(key: str) -> tuple[str, str] | None:
    name = _COPY.sub("", key)
    # "blendShape2.jawOpen" and "Face_jawOpen" have one part in front that is no word of the name.
    for candidate in (name, *re.split(r"[.:]", name)[-1:], *re.split(r"[._:\- ]+", name, maxsplit=1)[1:]):
        meaning = _split(candidate)
        # "jaw" and "mouth" alone would be the means of their left and right, which is nothing anybody modelled.
        if _sources(*meaning) and (meaning[1] or meaning[0] not in ("jaw", "mouth")):
            return meaning
    return None
