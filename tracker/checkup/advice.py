"""From measurements to advice in plain words.

The limits are where landmarks begin to suffer, as spoiling clear frames shows (``tools/evaluate.py conditions``, docs/hello.md):
``fair`` where they lie about 0.5 to 1 % of the eye distance off or tremble twice as much, ``bad`` at twice that again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

from tracker.checkup.observed import Observed

State = Literal["good", "fair", "bad"]

SMALL_PX: Final = (40.0, 24.0)
"""Eye distance below which a face is small: fair, bad."""
DARK: Final = (0.15, 0.05)
BLOWN_OUT: Final = (0.4, 0.85)
BACKLIT_BY: Final = 0.35
"""Background brighter than a face below ``BACKLIT_LEVEL`` by so much: the light is on the wrong side."""
BACKLIT_LEVEL: Final = 0.3
FLAT: Final = 0.08
ONE_SIDED: Final = 2.7
"""Light on the bright side of the face over that on the other (linear)."""
SOFT: Final = (0.26, 0.20)
GRAINY: Final = (0.04, 0.08)
CLOSE_TO_BORDER: Final = (0.1, -0.1)
TURNED_DEG: Final = (25.0, 45.0)
COVERED: Final = (0.12, 0.3)
SLOW: Final = (0.9, 0.5)
"""Delivered over asked frame rate."""
LEAST_RATE: Final = 15.0
BUSY: Final = (0.7, 1.0)
"""Work per frame over the time between frames."""
SEEN: Final = (0.9, 0.5)
_BLACK: Final = 0.02
_DIM: Final = 0.35
_STATES: Final[tuple[State, State, State]] = ("good", "fair", "bad")


@dataclass(frozen=True, slots=True)
class Advice:
    """One thing that was looked at."""

    subject: str
    state: State
    found: str
    """What was measured, in words and numbers."""
    better: str = ""
    """What to do; empty where nothing needs doing."""


def judge(seen: Observed) -> list[Advice]:
    """Advice on everything that can be told so far."""
    checks: tuple[Callable[[Observed], Iterator[Advice]], ...] = (
        _face, _size, _place, _light, _sharpness, _pose, _covered, _camera_rate, _headroom,
    )  # fmt: skip
    return [advice for check in checks for advice in check(seen)]


def verdict(advice: list[Advice]) -> State:
    """The worst of all."""
    return max((one.state for one in advice), key=_STATES.index, default="bad")


def _face(seen: Observed) -> Iterator[Advice]:
    if seen.frames == 0:
        return
    share = seen.found_share
    if share == 0.0:
        better = "sit in front of the camera, facing it, half a metre to a metre away, with light on your face"
        if seen.picture_level < _BLACK:
            better = (
                "the picture is black: open the lens cover or privacy switch, and allow this program to use the camera in the "
                "system's privacy settings"
            )
        yield Advice("face", "bad", "none found", better)
        return
    found = "found in every frame" if share > 0.99 else f"found in {share:.0%} of the frames"
    yield Advice(
        "face", _above(share, SEEN), found, "" if share >= SEEN[0] else "stay in the picture, facing the camera"
    )


def _size(seen: Observed) -> Iterator[Advice]:
    if not seen.measures:
        return
    eyes_px, distance_m = seen.median("eye_distance_px"), seen.median("distance_m")
    state = _above(eyes_px, SMALL_PX)
    times = SMALL_PX[0] / eyes_px
    better = f"come closer (to about {distance_m / times:.1f} m) or choose a larger picture (--size)"
    yield Advice(
        "size", state, f"eyes {eyes_px:.0f} px apart, about {distance_m:.1f} m away", "" if state == "good" else better
    )


def _place(seen: Observed) -> Iterator[Advice]:
    if not seen.measures:
        return
    margin = seen.median("margin")
    state = _above(margin, CLOSE_TO_BORDER)
    found = {
        "good": "well inside the picture",
        "fair": "close to the border of the picture",
        "bad": "cut off by the picture",
    }[state]
    better = "" if state == "good" else "move to the middle, or turn the camera towards you"
    yield Advice("place", state, found, better)


def _light(seen: Observed) -> Iterator[Advice]:
    if not seen.measures:
        return
    level, clipped = seen.median("level"), seen.median("clipped")
    around = [one.background for one in seen.measures if one.background is not None]
    state: State
    behind = sorted(around)[len(around) // 2] - level if around else 0.0
    found = f"brightness of the face {level:.0%}"
    if behind > BACKLIT_BY and level < BACKLIT_LEVEL:
        state = "bad" if level < DARK[1] else "fair"
        better = "the light is behind you: turn round, draw the curtain, or put a lamp in front of you"
        yield Advice("light", state, f"{found}, of what is around it {level + behind:.0%}", better)
    elif clipped > BLOWN_OUT[0]:
        better = "too much light: move the lamp away, or lower the camera's exposure"
        yield Advice("light", _below(clipped, BLOWN_OUT), f"{found}, {clipped:.0%} of it blown out", better)
    elif level < DARK[0]:
        yield Advice("light", _above(level, DARK), found, "too dark: put a lamp in front of you")
    elif (contrast := seen.median("contrast")) < FLAT:
        yield Advice(
            "light", "fair", f"{found}, contrast {contrast:.0%}", "the picture is hazy: wipe the lens, no light into it"
        )
    else:
        sides = seen.median("sides")
        state = "good" if sides <= ONE_SIDED else "fair"
        better = (
            ""
            if state == "good"
            else "light comes from one side only: turn towards it, or put a lamp on the other side"
        )
        yield Advice("light", state, f"{found}, the bright side {sides:.1f} times the other", better)


def _sharpness(seen: Observed) -> Iterator[Advice]:
    if not seen.measures:
        return
    sharpness, noise = seen.median("sharpness"), seen.median("noise")
    if noise > GRAINY[0]:
        better = "more light in front of you lets the camera take cleaner pictures"
        yield Advice("sharpness", _below(noise, GRAINY), f"grainy: noise of {noise * 255:.0f} codes in 255", better)
    elif sharpness < SOFT[0]:
        better = "wipe the lens, let the camera focus on you; with more light moving faces smear less"
        yield Advice(
            "sharpness", _above(sharpness, SOFT), f"soft: {sharpness:.2f}, clear pictures have 0.3 or more", better
        )
    else:
        yield Advice("sharpness", "good", f"clear: detail {sharpness:.2f}, noise of {noise * 255:.0f} codes in 255")


def _pose(seen: Observed) -> Iterator[Advice]:
    if not seen.measures:
        return
    yaw, pitch, roll = (seen.median(f"{axis}_deg") for axis in ("yaw", "pitch", "roll"))
    turned = max(abs(yaw), abs(pitch))
    state = _below(turned, TURNED_DEG)
    found = f"yaw {yaw:+.0f}°, pitch {pitch:+.0f}°, roll {roll:+.0f}°"
    better = ""
    if state != "good":
        if abs(yaw) >= abs(pitch):
            better = "put the camera in front of you instead of beside you"
        else:
            better = f"put the camera at the height of your eyes: it is too {'high' if pitch < 0 else 'low'}"
    yield Advice("pose", state, found, better)


def _covered(seen: Observed) -> Iterator[Advice]:
    covered = seen.covered
    if covered is None:
        return
    share, regions = covered
    state = _below(share, COVERED)
    where = f", most of {', '.join(name.replace('_', ' ') for name in regions)}" if regions else ""
    better = (
        "" if state == "good" else "take hair, hands, reflecting glasses or a microphone out of the face if you can"
    )
    yield Advice("covered", state, f"{share:.0%} of the visible skin{where}", better)


def _camera_rate(seen: Observed) -> Iterator[Advice]:
    rate = seen.rate
    if not seen.live or rate is None:
        return
    asked = seen.asked_rate
    state = _above(rate / asked, SLOW) if asked else "good"
    if rate < LEAST_RATE:
        state = "bad"
    better = ""
    if state != "good":
        better = "choose a smaller --size, another USB port or another camera"
        if seen.picture_level < _DIM:
            better = f"more light lets the camera expose for less long; or {better}"
    yield Advice("camera", state, f"{rate:.0f} frames/s" + (f" of {asked:.0f} asked for" if asked else ""), better)


def _headroom(seen: Observed) -> Iterator[Advice]:
    work_ms, rate = seen.work_ms, seen.rate if seen.live else seen.asked_rate
    if work_ms is None or not rate:
        return
    state = _below(work_ms * 1e-3 * rate, BUSY)
    better = (
        "" if state == "good" else "close other programs, ask for fewer frames (--fps), or run with --encoder light"
    )
    if not seen.live and state == "bad":
        # A file waits.
        state, better = "fair", "as a file it takes longer than it lasts; live, frames would be left out"
    yield Advice("speed", state, f"{work_ms:.0f} ms of work per frame, {1e3 / rate:.0f} ms between frames", better)


def _above(value: float, limits: tuple[float, float]) -> State:
    """Good above the first limit, fair above the second one."""
    return "good" if value >= limits[0] else "fair" if value >= limits[1] else "bad"


def _below(value: float, limits: tuple[float, float]) -> State:
    return "good" if value <= limits[0] else "fair" if value <= limits[1] else "bad"
