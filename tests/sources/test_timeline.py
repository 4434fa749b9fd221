from __future__ import annotations

import itertools
from fractions import Fraction

import pytest

from tracker.sources.timeline import Timeline


def stamps(timeline: Timeline, *pts_s: Fraction | None) -> list[Fraction]:
    return [timeline.stamp(pts) for pts in pts_s]


def test_good_stamps_pass_unchanged_whatever_their_spacing() -> None:
    timeline = Timeline(Fraction(25))
    pts = [Fraction(0), Fraction(1, 25), Fraction(1, 24), Fraction(7), Fraction(3600)]
    assert stamps(timeline, *pts) == pts
    assert timeline.reconstructed == 0


def test_missing_stamps_continue_at_the_nominal_rate() -> None:
    timeline = Timeline(Fraction(24000, 1001))
    interval = Fraction(1001, 24000)
    assert stamps(timeline, None, None, None) == [0, interval, 2 * interval]
    assert timeline.reconstructed == 3


def test_without_a_rate_thirty_per_second_are_assumed() -> None:
    assert stamps(Timeline(None), None, None) == [0, Fraction(1, 30)]


def test_a_repeated_stamp_moves_on_and_the_next_good_one_is_kept() -> None:
    timeline = Timeline(Fraction(10))
    assert stamps(timeline, Fraction(0), Fraction(0), Fraction(1, 5)) == [0, Fraction(1, 10), Fraction(1, 5)]
    assert timeline.reconstructed == 1


def test_a_restart_goes_on_behind_the_first_part_with_its_own_spacing() -> None:
    timeline = Timeline(Fraction(10))
    times = stamps(timeline, Fraction(5), Fraction(51, 10), Fraction(0), Fraction(3, 10))
    assert times == [5, Fraction(51, 10), Fraction(52, 10), Fraction(55, 10)]


@pytest.mark.parametrize("seed", range(5))
def test_any_stamps_at_all_become_strictly_increasing(seed: int) -> None:
    import numpy as np

    random = np.random.default_rng(seed)
    timeline = Timeline(Fraction(30))
    given = [None if random.random() < 0.1 else Fraction(int(random.integers(-1000, 1000)), 90) for _ in range(500)]
    times = stamps(timeline, *given)
    assert all(before < after for before, after in itertools.pairwise(times))
