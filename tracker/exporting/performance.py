"""What people did in front of the camera, as curves over time: what animation formats are made from.

A take has slots; so has a performance *tracks*: one for each face at a time, whatever ids it had. Where nobody was seen, a track
holds what it had, or before the first face what it begins with, and ``present`` says so.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tracker.errors import ConfigError, RecordingError
from tracker.recording.take import Take
from tracker.rotations import head_rotvec_from_matrix, matrix_from_quaternion
from tracker.sources.timeline import exact_seconds
from tracker.types import Face, FaceParams, Float32, Landmarks

Bool = NDArray[np.bool_]
Float64 = NDArray[np.float64]

DEFAULT_RATE: Final = Fraction(30)
_STEADY_S: Final = Fraction(1, 10_000)
_RATES: Final = tuple(Fraction(n * 1000, 1001) for n in (24, 30, 48, 60, 120)) + tuple(
    Fraction(n) for n in (12, 15, 20, 24, 25, 30, 48, 50, 60, 90, 100, 120, 240)
)
_ROUNDING_S: Final = Fraction(11, 10_000)
"""The first time of a take and any other may each be half a millisecond off."""
_NEAR_RATE: Final = 0.0003
"""Closer than this, a measured rate is taken for a standard one; 30 and 29.97 are 0.001 apart."""


@dataclass(frozen=True, slots=True)
class Range:
    """Which part of a take, and whom."""

    start_s: float = 0.0
    """Seconds from the take's first frame."""
    end_s: float | None = None
    """Where to stop before; None: the end."""
    face: int | None = None
    """Only the face with this id; None: everybody."""

    def rows(self, times_s: Sequence[Fraction]) -> range:
        """Rows of a take inside.

        Raises:
            ConfigError: the range is empty or outside.
        """
        if not times_s:
            return range(0)
        if self.start_s < 0.0 or (self.end_s is not None and self.end_s <= self.start_s):
            raise ConfigError(f"expected 0 <= --start < --end, got --start {self.start_s:g} and --end {self.end_s}")
        begin, end = exact_seconds(self.start_s), None if self.end_s is None else exact_seconds(self.end_s)
        inside = [
            row for row, t in enumerate(times_s) if t - times_s[0] >= begin and (end is None or t - times_s[0] < end)
        ]
        if not inside:
            length = float(times_s[-1] - times_s[0])
            raise ConfigError(f"the take has no frame from --start {self.start_s:g} s on: it is {length:.3f} s long")
        return range(inside[0], inside[-1] + 1)


@dataclass(frozen=True, slots=True)
class Track:
    """One face over T frames; arrays are float32. Poses are in camera axes, as in takes."""

    name: str
    """``face_1``."""
    ids: tuple[int, ...]
    """The face ids in it, in the order they appeared."""
    present: Bool
    """(T,) whether the face was there, seen or held over a short loss."""
    tracked: Bool
    """(T,) whether it was seen."""
    identity: Float32
    """(Ni,) of the id that was there most."""
    expression: Float32
    """(T, Ne) weights of the face model."""
    arkit: Float32
    """(T, 52)."""
    position: Float32
    """(T, 3) metres."""
    quaternion: Float32
    """(T, 4) xyzw; neighbours have a dot product of at least 0."""
    neck: Float32
    """(T, 3) axis-angle."""
    jaw: Float32
    eyes: Float32
    """(T, 6)."""
    eyelids: Float32
    """(T, 2)."""
    gaze_left: Float32
    """(T, 2) yaw, pitch."""
    gaze_right: Float32

    def face(self, row: int) -> Face:
        """One frame of it as a face, without what a track does not have: landmarks, a box, raw values."""
        params = FaceParams(
            expression=self.expression[row],
            rotation=head_rotvec_from_matrix(matrix_from_quaternion(self.quaternion[row])).astype(np.float32),
            translation=self.position[row],
            neck=self.neck[row],
            jaw=self.jaw[row],
            eyes=self.eyes[row],
            eyelids=self.eyelids[row],
        )
        return Face(
            id=self.ids[0],
            tracked=bool(self.tracked[row]),
            confidence=float(self.tracked[row]),
            age=row,
            box=np.zeros(4, np.float32),
            params=params,
            raw=params,
            identity=self.identity,
            identity_version=1,
            position=self.position[row],
            quaternion=self.quaternion[row],
            arkit=self.arkit[row],
            gaze_left=self.gaze_left[row],
            gaze_right=self.gaze_right[row],
            landmarks=Landmarks("", np.zeros((0, 3), np.float32), np.zeros(0, np.float32)),
            residual_px=0.0,
        )


_CURVES: Final = {
    "expression": "expr",
    "arkit": "arkit",
    "position": "position",
    "quaternion": "quaternion",
    "neck": "neck_pose",
    "jaw": "jaw_pose",
    "eyes": "eyes_pose",
    "eyelids": "eyelids",
    "gaze_left": "gaze_left",
    "gaze_right": "gaze_right",
}
"""Curve -> key in takes."""


@dataclass(frozen=True, slots=True)
class Performance:
    """Tracks on a common clock."""

    take: Take
    times_s: tuple[Fraction, ...]
    """(T,) exact seconds on the take's clock, growing."""
    rate: Fraction
    """Frames a second: what the take states, else what was measured."""
    tracks: tuple[Track, ...]
    first_row: int
    """The row of the take that it begins with."""

    def __len__(self) -> int:
        return len(self.times_s)

    @property
    def seconds(self) -> Float64:
        """(T,) seconds from the first frame."""
        return np.array([float(time - self.times_s[0]) for time in self.times_s])

    @property
    def main(self) -> Track:
        """The track for formats of one person: that which is there most."""
        return max(self.tracks, key=lambda track: int(track.present.sum()))

    @property
    def is_steady(self) -> bool:
        """Whether frame i lies at i / rate to a tenth of a millisecond."""
        begin = self.times_s[0]
        return all(abs(t - begin - i / self.rate) < _STEADY_S for i, t in enumerate(self.times_s))

    def steady(self) -> Performance:
        """The same at equal distances of 1 / rate: itself, or resampled where frames were dropped or came irregularly."""
        return self if self.is_steady else self.resampled(self.rate)

    def resampled(self, rate: Fraction) -> Performance:
        """The same at another rate: positions and weights between two frames are interpolated, turns along the shorter arc.

        Whether somebody is there is as in the frame before.
        """
        begin, end = self.times_s[0], self.times_s[-1]
        count = int((end - begin) * rate) + 1
        times = tuple(begin + Fraction(i) / rate for i in range(count))
        grid = np.array([float(t - begin) for t in times])
        old = self.seconds
        before = np.clip(np.searchsorted(old, grid + 1e-9, side="right") - 1, 0, len(old) - 1)
        after = np.minimum(before + 1, len(old) - 1)
        gap = np.maximum(old[after] - old[before], 1e-12)
        share = np.clip((grid - old[before]) / gap, 0.0, 1.0)

        def between(track: Track) -> Track:
            curves: dict[str, Any] = {}
            for name in _CURVES:
                values = getattr(track, name)
                if name == "quaternion":
                    curves[name] = slerp(values[before], values[after], share).astype(np.float32)
                else:
                    mixed = values[before] + (values[after] - values[before]) * share[:, None]
                    curves[name] = mixed.astype(np.float32)
            return replace(track, present=track.present[before], tracked=track.tracked[before], **curves)

        return replace(self, times_s=times, rate=rate, tracks=tuple(between(track) for track in self.tracks))


def read_performance(take: Take, wanted: Range | None = None, rate: Fraction | None = None) -> Performance:
    """The performance in a part of a take.

    Args:
        take: what was recorded.
        wanted: which part of it, and whom.
        rate: resample to this rate; None: the frames as they are.

    Raises:
        RecordingError: nobody is there.
        ConfigError: the range is outside of the take, or nobody has that id.
    """
    wanted = wanted or Range()
    if not len(take):
        raise RecordingError(f"{take.path} is empty: it has no frame to export")
    times = frame_times(take)
    rows = wanted.rows(times)
    tracks = _one_id(take, rows, wanted.face) if wanted.face is not None else _slots(take, rows)
    if not tracks:
        raise RecordingError(f"{take.path} has no face in any of the {len(rows)} frames; there is nothing to export")
    times = times[rows.start : rows.stop]
    stated = take.rate or _measured_rate(times)
    performance = Performance(take, _exact(times, stated), stated, tracks, rows.start)
    return performance if rate is None else performance.resampled(rate)


def frame_times(take: Take) -> tuple[Fraction, ...]:
    """Exact seconds of every frame on the take's clock.

    Raises:
        RecordingError: they do not grow.
    """
    pts, capture = take["pts"], take["timestamps_ns"]
    if len(pts) and (pts[:, 1] > 0).all():
        times = tuple(Fraction(int(n), int(d)) for n, d in pts)
    else:
        times = tuple(Fraction(int(ns), 1_000_000_000) for ns in capture)
    if any(later <= earlier for earlier, later in itertools.pairwise(times)):
        raise RecordingError(f"{take.path} cannot be exported: its frame times do not grow")
    return times


def _exact(times: tuple[Fraction, ...], rate: Fraction) -> tuple[Fraction, ...]:
    """The same times at whole frames from the first, where all of them are those frames, rounded by a container or a clock.

    Matroska counts milliseconds, MPEG 1/90000 s, clocks nanoseconds: none of them can say when frame 1 at 24000/1001 is.
    """
    numbers = [round((t - times[0]) * rate) for t in times]
    grid = tuple(times[0] + number / rate for number in numbers)
    rounded = all(abs(t - exact) <= _ROUNDING_S for t, exact in zip(times, grid, strict=True))
    grows = all(later > earlier for earlier, later in itertools.pairwise(numbers))
    return grid if rounded and grows else times


def _measured_rate(times: tuple[Fraction, ...]) -> Fraction:
    """The rate of a source that states none: the median distance, as a standard rate where it is one."""
    if len(times) < 2:
        return DEFAULT_RATE
    gap = float(np.median(np.diff(np.array([float(time - times[0]) for time in times]))))
    rate = 1.0 / max(gap, 1e-4)
    nearest = min(_RATES, key=lambda standard: abs(float(standard) / rate - 1.0))
    return nearest if abs(float(nearest) / rate - 1.0) < _NEAR_RATE else Fraction(max(1, round(rate)))


def _slots(take: Take, rows: range) -> tuple[Track, ...]:
    found: list[Track] = []
    for slot in range(take.slot_count):
        ids = take.slot_array(slot, "face_id")[rows.start : rows.stop]
        if (ids >= 0).any():
            found.append(_track(take, rows, slot, f"face_{len(found) + 1}", ids >= 0))
    return tuple(found)


def _one_id(take: Take, rows: range, face: int) -> tuple[Track, ...]:
    for slot in range(take.slot_count):
        ids = take.slot_array(slot, "face_id")[rows.start : rows.stop]
        if (ids == face).any():
            break
    else:
        everybody = np.concatenate([take.slot_array(slot, "face_id") for slot in range(take.slot_count)])
        known = ", ".join(str(found) for found in np.unique(everybody) if found >= 0) or "none"
        raise ConfigError(f"{take.path} has no face {face} in this range; its face ids are {known}")
    # A face stays in its slot while it is there, but may come back to another one after a loss.
    track = _track(take, rows, slot, f"face_{face}", ids == face)
    for other in range(slot + 1, take.slot_count):
        there = take.slot_array(other, "face_id")[rows.start : rows.stop] == face
        if there.any():
            track = _merged(track, _track(take, rows, other, track.name, there))
    return (track,)


def _merged(a: Track, b: Track) -> Track:
    curves = {name: np.where(b.present[:, None], getattr(b, name), getattr(a, name)) for name in _CURVES}
    joined = replace(a, present=a.present | b.present, tracked=a.tracked | b.tracked, **curves)
    return _held(joined)


def _track(take: Take, rows: range, slot: int, name: str, present: Bool) -> Track:
    part = slice(rows.start, rows.stop)
    count = len(take.expression_names)
    curves = {curve: take.slot_array(slot, key)[part] for curve, key in _CURVES.items()}
    curves["expression"] = curves["expression"][:, :count]
    ids = take.slot_array(slot, "face_id")[part][present]
    most = int(np.bincount(ids).argmax())
    known = np.flatnonzero((take.slot_array(slot, "face_id") == most) & (take.slot_array(slot, "identity_row") >= 0))
    if known.size:
        identity = take["identity"][int(take.slot_array(slot, "identity_row")[known[-1]])]
    else:
        identity = np.zeros(take.header.identity_count, np.float32)
    track = Track(
        name=name,
        ids=tuple(dict.fromkeys(ids.tolist())),
        present=present,
        tracked=take.slot_array(slot, "tracked")[part] & present,
        identity=np.asarray(identity, np.float32),
        **curves,
    )
    return _held(track)


def _held(track: Track) -> Track:
    """Hold through absences, and take the first seen values back to the beginning: no jump when a face appears."""
    rows = np.where(track.present, np.arange(len(track.present)), -1)
    rows = np.maximum.accumulate(rows)
    rows[rows < 0] = int(np.argmax(track.present))
    curves: dict[str, Any] = {name: getattr(track, name)[rows] for name in _CURVES}
    curves["quaternion"] = _continuous(curves["quaternion"])
    return replace(track, **curves)


def _continuous(quaternions: Float32) -> Float32:
    """The same turns with signs such that neighbours are near each other."""
    flips = np.ones(len(quaternions), np.float32)
    flips[1:] = np.where((quaternions[1:] * quaternions[:-1]).sum(axis=1) < 0.0, -1.0, 1.0)
    return np.ascontiguousarray(quaternions * np.cumprod(flips)[:, None])


def slerp(a: NDArray[np.floating], b: NDArray[np.floating], share: NDArray[np.floating]) -> Float64:
    """Spherical interpolation between unit quaternions (T, 4) by shares (T,) in 0..1; shorter arc, unit length."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    cosine = (a * b).sum(axis=1, keepdims=True)
    b, cosine = np.where(cosine < 0.0, -b, b), np.clip(np.abs(cosine), 0.0, 1.0)
    angle = np.arccos(cosine)
    sine = np.sin(angle)
    t = np.asarray(share, np.float64)[:, None]
    near = sine < 1e-6
    safe = np.where(near, 1.0, sine)
    wa = np.where(near, 1.0 - t, np.sin((1.0 - t) * angle) / safe)
    wb = np.where(near, t, np.sin(t * angle) / safe)
    mixed = wa * a + wb * b
    unit: Float64 = mixed / np.linalg.norm(mixed, axis=1, keepdims=True)
    return unit
