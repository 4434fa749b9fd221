"""Tracks: who is in them, what is held, and what lies between two frames."""

from __future__ import annotations

import dataclasses
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from tests.exporting.takes import RATE, clip, record, smooth_face
from tests.recording.factory import make_frame
from tests.toy_model import toy_model
from tracker.errors import ConfigError, RecordingError
from tracker.exporting import Range, read_performance
from tracker.exporting.performance import slerp
from tracker.rotations import matrix_from_quaternion, matrix_from_rotvec, rotvec_from_matrix

MODEL = toy_model()


def test_a_person_who_comes_back_with_another_id_stays_in_one_track(tmp_path: Path) -> None:
    faces = [(1,), (1,), (), (7,), (7,), (7, 8)]
    frames = [make_frame(i, tuple(smooth_face(MODEL, i, face) for face in ids)) for i, ids in enumerate(faces)]
    performance = read_performance(record(tmp_path / "take.npz", MODEL, frames))
    first, second = performance.tracks
    assert (first.name, first.ids, first.present.tolist()) == ("face_1", (1, 7), [True, True, False, True, True, True])
    assert (second.name, second.ids, second.present.sum()) == ("face_2", (8,), 1)
    assert performance.main is first
    np.testing.assert_array_equal(first.identity, frames[3].faces[0].identity)
    only = read_performance(performance.take, Range(face=8)).tracks
    assert len(only) == 1 and only[0].name == "face_8" and only[0].present.tolist() == [False] * 5 + [True]
    # Nobody yet: what comes first is there from the start.
    np.testing.assert_array_equal(only[0].position, [frames[5].faces[1].position] * 6)
    with pytest.raises(ConfigError, match="no face 3 in this range; its face ids are 1, 7, 8"):
        read_performance(performance.take, Range(face=3))


def test_gaps_hold_the_last_values(tmp_path: Path) -> None:
    frames = clip(MODEL, 9, away=range(3, 6))
    track = read_performance(record(tmp_path / "take.npz", MODEL, frames)).main
    np.testing.assert_array_equal(track.arkit[3:6], [frames[2].faces[0].arkit] * 3)
    assert track.present.tolist() == [True] * 3 + [False] * 3 + [True] * 3


def test_resampling_meets_the_frames_and_goes_straight_between_them(tmp_path: Path) -> None:
    frames = clip(MODEL, 31)
    performance = read_performance(record(tmp_path / "take.npz", MODEL, frames))
    assert performance.rate == RATE and performance.is_steady and performance.steady() is performance
    double = performance.resampled(2 * RATE)
    assert len(double) == 61 and double.rate == 2 * RATE
    np.testing.assert_allclose(double.main.arkit[::2], performance.main.arkit, atol=1e-6)
    np.testing.assert_allclose(double.main.quaternion[::2], performance.main.quaternion, atol=1e-6)
    halves = (performance.main.position[1:] + performance.main.position[:-1]) / 2
    np.testing.assert_allclose(double.main.position[1::2], halves, atol=1e-6)
    slow = read_performance(performance.take, rate=Fraction(24))
    assert len(slow) == 25 and slow.times_s[-1] == 1


def test_slerp_takes_equal_angles_on_the_shorter_arc() -> None:
    half = np.array([np.sin(0.4), 0.0, 0.0, np.cos(0.4)])
    a, b = np.tile([0.0, 0.0, 0.0, 1.0], (5, 1)), np.tile(-half, (5, 1))
    turned = slerp(a, b, np.linspace(0, 1, 5))
    angles = [np.linalg.norm(rotvec_from_matrix(matrix_from_quaternion(q))) for q in turned]
    np.testing.assert_allclose(angles, np.linspace(0, 0.8, 5), atol=1e-9)
    np.testing.assert_allclose(matrix_from_quaternion(turned[-1]), matrix_from_rotvec(np.array([0.8, 0, 0])), atol=1e-9)
    np.testing.assert_allclose(slerp(a, a, np.linspace(0, 1, 5)), a)


@pytest.mark.parametrize(("gap_ns", "rate"), [
    (33_366_700, Fraction(30000, 1001)), (33_333_333, Fraction(30)), (41_708_333, Fraction(24000, 1001)),
    (16_683_333, Fraction(60000, 1001)), (52_631_579, Fraction(19)),
])  # fmt: skip
def test_the_rate_of_a_source_that_states_none_is_measured(tmp_path: Path, gap_ns: int, rate: Fraction) -> None:
    frames = [
        dataclasses.replace(frame, rate=None, pts_s=None, t_capture_ns=i * gap_ns)
        for i, frame in enumerate(clip(MODEL, 20))
    ]
    assert read_performance(record(tmp_path / "take.npz", MODEL, frames)).rate == rate


@pytest.mark.parametrize("ticks_per_s", [1_000, 90_000, 10**9])
@pytest.mark.parametrize("rate", [RATE, Fraction(24000, 1001), Fraction(60)])
def test_times_that_a_container_rounded_are_exact_again(tmp_path: Path, rate: Fraction, ticks_per_s: int) -> None:
    frames = [
        dataclasses.replace(
            frame, rate=rate, pts_s=Fraction(round((5 + frame.index / rate) * ticks_per_s), ticks_per_s)
        )
        for frame in clip(MODEL, 40)
        if frame.index != 7
    ]
    performance = read_performance(record(tmp_path / "take.npz", MODEL, frames))
    assert performance.times_s == tuple(5 + i / rate for i in range(40) if i != 7) and not performance.is_steady
    # Irregular ones are left as they are.
    frames[3] = dataclasses.replace(frames[3], pts_s=frames[3].pts_s + Fraction(3, 1000))
    performance = read_performance(record(tmp_path / "irregular.npz", MODEL, frames))
    assert performance.times_s[3] == frames[3].pts_s and performance.times_s[4] == frames[4].pts_s


def test_nothing_to_export_is_said_in_one_line(tmp_path: Path) -> None:
    empty = record(tmp_path / "empty.npz", MODEL, [])
    with pytest.raises(RecordingError, match="is empty"):
        read_performance(empty)
    nobody = record(tmp_path / "nobody.npz", MODEL, clip(MODEL, 4, away=range(4)))
    with pytest.raises(RecordingError, match="no face in any of the 4 frames"):
        read_performance(nobody)
    take = record(tmp_path / "take.npz", MODEL, clip(MODEL, 4))
    with pytest.raises(ConfigError, match=r"it is 0\.100 s long"):
        read_performance(take, Range(start_s=5.0))
    backwards = [dataclasses.replace(frame, pts_s=None, t_capture_ns=-frame.index) for frame in clip(MODEL, 3)]
    with pytest.raises(RecordingError, match="do not grow"):
        read_performance(record(tmp_path / "backwards.npz", MODEL, backwards))


def test_one_frame_is_a_performance(tmp_path: Path) -> None:
    performance = read_performance(record(tmp_path / "take.npz", MODEL, clip(MODEL, 1)))
    assert len(performance) == len(performance.resampled(Fraction(60))) == 1 and performance.is_steady


@pytest.mark.parametrize(
    ("start_s", "end_s", "rows"), [(0.2, None, range(6, 30)), (0.0, 0.2, range(6)), (0.2, 0.7, range(6, 21))]
)
def test_a_range_means_the_decimal_number_that_was_given(start_s: float, end_s: float | None, rows: range) -> None:
    times_s = [Fraction(5) + Fraction(i, 30) for i in range(30)]
    assert Range(start_s, end_s).rows(times_s) == rows
