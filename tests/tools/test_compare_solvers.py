from __future__ import annotations

import pytest

pytest.importorskip("theseus", reason="comparing solvers needs Theseus and libsuitesparse-dev: make theseus")

from tests.toy_model import toy_model
from tools.compare_solvers import compare


def test_theseus_and_ours_find_the_same_face() -> None:
    found = compare(toy_model(), "toy", 3, noise_px=0.5)
    assert found.apart.max() < 1e-3 and found.apart_head.max() < 1e-3
    assert found.theseus_ms > 0 and found.ours_ms > 0


def test_faces_inside_bounds_agree_as_far_as_a_penalty_goes() -> None:
    found = compare(toy_model(), "toy", 3, noise_px=0.5, bounded=True)
    assert found.apart.max() < 2e-2
