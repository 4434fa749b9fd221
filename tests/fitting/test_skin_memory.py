"""The memory of what a face looked like: learned where uncovered, asked for again, forgotten."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tracker.fitting.skin_memory import SkinMemory
from tracker.types import SkinView

COUNT = 200


def view(error: float, covered: float = 0.0) -> SkinView:
    """All of a face of ``COUNT`` points, the second half of which errs by ``error``."""
    half = np.arange(COUNT) >= COUNT // 2
    return SkinView(
        points=np.ones((3, COUNT), np.float32),
        error=np.where(half, np.float32(error), np.float32(0.0)),
        slope=lambda: np.zeros((2, COUNT), np.float32),
        sigma=np.full(COUNT, 0.07, np.float32),
        weight=np.ones(COUNT, np.float32),
        covered=np.where(half, np.float32(covered), np.float32(0.0)),
        is_bare=np.ones(COUNT, np.bool_),
        index=np.arange(COUNT),
        stiffness=np.where(half, np.float32(0.5), np.float32(1.0)),
        total=COUNT,
    )


def test_an_error_that_stays_is_taken_out_and_soft_points_count_less() -> None:
    memory = SkinMemory()
    assert memory.beyond(view(0.2)) is None
    for _ in range(5):
        memory.learn(view(0.2))
    left = memory.beyond(view(0.2))
    assert left is not None
    np.testing.assert_allclose(left.error, 0.0, atol=1e-5)
    np.testing.assert_allclose(left.weight[-1], 0.5 * left.weight[0])
    assert float(left.sigma.max()) < 0.07


def test_what_is_covered_is_not_learned() -> None:
    memory = SkinMemory()
    memory.learn(view(0.1))
    for _ in range(20):
        memory.learn(view(0.9, covered=1.0))
    left = memory.beyond(view(0.1))
    assert left is not None
    np.testing.assert_allclose(left.error, 0.0, atol=1e-5)


def test_errors_that_are_no_numbers_teach_nothing_and_forgetting_forgets() -> None:
    memory = SkinMemory()
    memory.learn(view(0.1))
    memory.learn(replace(view(0.1), error=np.full(COUNT, np.nan, np.float32)))
    left = memory.beyond(view(0.1))
    assert left is not None and np.isfinite(left.error).all()
    memory.forget()
    assert memory.beyond(view(0.1)) is None
