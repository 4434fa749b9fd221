"""Figures about a track, against results whose faces are known."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from tests.recording.factory import make_face, make_frame
from tracker.recording.quality import QualityMeter


def summary(frames):
    meter = QualityMeter()
    for frame in frames:
        meter.add(frame)
    return meter.summary()


@pytest.fixture
def face():
    return replace(
        make_face(np.random.default_rng(3)), confidence=0.75, box=np.float32([10, 10, 200, 220]), residual_px=3.0
    )


def test_losses_are_counted_in_frames(face):
    shown = [True, False, False, True, False, True, True, True]
    frames = [make_frame(index, (face,) if there else ()) for index, there in enumerate(shown)]
    figures = summary(frames)
    assert (figures["frames"], figures["tracked"], figures["longest_loss"]) == (8, 5, 2)
    assert figures["lost_share"] == pytest.approx(3 / 8)
    assert figures["confidence_mean"] == pytest.approx(0.75)
    assert figures["misfit_mean"] == pytest.approx(3.0 / 200.0, abs=1e-5)


def test_rate_and_length_come_from_the_time_stamps(face):
    frames = [replace(make_frame(index, (face,)), t_capture_ns=index * 40_000_000) for index in range(50)]
    figures = summary(frames)
    assert figures["fps"] == pytest.approx(25.0) and figures["duration_s"] == pytest.approx(2.0)


def test_the_largest_of_several_faces_counts(face):
    small = replace(face, id=2, box=np.float32([300, 10, 40, 40]), residual_px=9.0)
    figures = summary([make_frame(0, (small, face))])
    assert figures["residual_px_mean"] == pytest.approx(3.0) and figures["faces"] == 2


def test_nothing_is_invented_where_nothing_was_seen():
    for frames in ([], [make_frame(0, ())]):
        figures = summary(frames)
        assert figures["confidence_mean"] is None and figures["identity_sigma_mean"] is None
        json.dumps(figures, allow_nan=False)


def test_a_number_that_is_none_is_told_as_unknown(face):
    figures = summary([make_frame(0, (replace(face, residual_px=float("nan")),))])
    assert figures["residual_px_mean"] is None
    json.dumps(figures, allow_nan=False)
