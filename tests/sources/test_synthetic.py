"""The test source: known truth, honest time stamps, an end where one was asked for."""

from __future__ import annotations

import threading
import time
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest

from tracker.errors import SourceError
from tracker.face_model import load_face_model
from tracker.rotations import head_euler, matrix_from_rotvec
from tracker.sources.open import open_source
from tracker.sources.synthetic import LOOP_S, SyntheticSource, motion

SMALL = (160, 120)


def test_pictures_depend_on_the_index_alone() -> None:
    rate = Fraction(1)
    with SyntheticSource(SMALL, rate, frames=LOOP_S + 2, live=False) as source:
        frames = list(source)
    assert [frame.index for frame in frames] == list(range(LOOP_S + 2))
    assert [frame.pts_s for frame in frames] == [Fraction(index) for index in range(LOOP_S + 2)]
    assert all(frame.clock == "media" and frame.t_capture_ns == frame.index * 10**9 for frame in frames)
    assert frames[0].image.shape == (120, 160, 3)
    # After one loop it begins again.
    assert np.array_equal(frames[0].image, frames[LOOP_S].image)
    assert not np.array_equal(frames[0].image, frames[1].image)
    with SyntheticSource(SMALL, rate, frames=2, live=False) as again:
        assert np.array_equal(list(again)[1].image, frames[1].image)


def test_truth_is_in_range_and_moves() -> None:
    model = load_face_model()
    source = SyntheticSource(SMALL, Fraction(30), frames=1, live=False)
    identity, first = source.truth(0)
    assert identity.shape == (model.identity_count,)
    angles, largest = [], np.zeros(model.expression_count)
    for t_s in np.linspace(0.0, LOOP_S, 120, endpoint=False):
        params = motion(model, float(t_s))
        assert (params.expression >= 0.0).all()
        assert (params.expression <= 1.0).all()
        largest = np.maximum(largest, params.expression)
        angles.append(head_euler(matrix_from_rotvec(params.rotation)))
        driven = model.with_joint_rotations(params)
        np.testing.assert_allclose(params.jaw, driven.jaw)
        np.testing.assert_allclose(params.eyes, driven.eyes)
    reached = np.degrees(np.ptp(angles, axis=0))
    assert (reached > [35, 15, 12]).all()
    assert (np.abs(np.degrees(angles)) < 40).all()
    for name in ("eyeBlinkLeft", "jawOpen", "mouthSmileRight", "mouthPucker", "browInnerUp", "eyeLookOutLeft"):
        assert largest[model.expression_names.index(name)] > 0.3
    again = source.truth(round(LOOP_S * 30))[1]
    np.testing.assert_array_equal(again.rotation, first.rotation)
    # The motion joins up where the loop closes.
    last = motion(model, LOOP_S - 1 / 30)
    np.testing.assert_allclose(last.translation, first.translation, atol=0.004)
    np.testing.assert_allclose(last.expression, first.expression, atol=0.12)


def test_live_frames_come_at_their_rate_with_the_time_of_their_delivery() -> None:
    with SyntheticSource(SMALL, Fraction(20)) as source:
        assert source.live
        assert source.frame_count is None
        source.read()
        frames, ages_ms = [], []
        for _ in range(16):
            frame = source.read()
            assert frame is not None
            ages_ms.append((time.monotonic_ns() - frame.t_capture_ns) / 1e6)
            frames.append(frame)
    assert all(frame.clock == "CLOCK_MONOTONIC" and frame.pts_s is None for frame in frames)
    gaps_ms = [(b.t_capture_ns - a.t_capture_ns) / 1e6 / (b.index - a.index) for a, b in pairwise(frames)]
    # Never faster than the rate but for the waking of threads; slower where the machine is busy.
    assert np.median(gaps_ms) > 45.0
    assert np.median(ages_ms) < 50.0


def test_a_slow_reader_gets_the_newest_frame_and_the_rest_is_counted() -> None:
    with SyntheticSource((64, 48), Fraction(50)) as source:
        first = source.read()
        time.sleep(0.5)
        second = source.read()
        third = source.read()
    assert first is not None
    assert second is not None
    assert third is not None
    assert second.index > first.index + 1
    # Of the frames up to the third one read, all but three were dropped; a few more may have been before it closed.
    assert 0 <= source.dropped - (third.index + 1 - 3) <= 5


def test_live_ends_after_the_frames_asked_for() -> None:
    with SyntheticSource((64, 48), Fraction(100), frames=3, live=True) as source:
        indices = [frame.index for frame in source]
    assert indices[-1] == 2
    assert source.read() is None


def test_close_ends_a_waiting_read() -> None:
    source = SyntheticSource((64, 48), Fraction(1, 5))
    assert source.read() is not None
    results: list[object] = []
    reader = threading.Thread(target=lambda: results.append(source.read()))
    reader.start()
    time.sleep(0.1)
    source.close()
    source.close()
    reader.join(timeout=2.0)
    assert results == [None]
    assert source.state == "closed"


@pytest.mark.parametrize("size", [(1, 1), (640, 10), (9000, 480)])
def test_sizes_out_of_range_are_refused(size: tuple[int, int]) -> None:
    with pytest.raises(SourceError, match=f"got {size[0]}x{size[1]}"):
        SyntheticSource(size)


def test_open_by_name() -> None:
    with open_source("test:2", size=SMALL, fps=25) as source:
        assert source.rate == 25
        assert not source.live
        assert len(list(source)) == 2
        assert source.state == "ended"


def test_a_defect_while_drawing_fails_the_reader_instead_of_keeping_it_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(film: object, index: int) -> object:
        raise ZeroDivisionError(index)

    monkeypatch.setattr("tracker.sources.synthetic._Film.picture", broken)
    with SyntheticSource(SMALL) as live, pytest.raises(ZeroDivisionError):
        live.read()
