"""The filter: still at rest whatever the noise, quick in motion."""

from __future__ import annotations

import numpy as np
import pytest

from tracker.smoothing.one_euro import NoiseEstimate, OneEuroConfig, OneEuroFilter

STEP_S = 1 / 30
GATED = OneEuroConfig(0.4, 60.0, 4.0, 2.0)


def _run(config: OneEuroConfig, samples: np.ndarray, joint: bool = True) -> np.ndarray:
    smooth = OneEuroFilter(config, joint=joint)
    return np.array([smooth(sample, STEP_S) for sample in samples])


@pytest.mark.parametrize("sigma", [0.002, 0.02])
def test_noise_of_any_strength_is_quietened(sigma: float) -> None:
    samples = np.random.default_rng(0).normal(0.0, sigma, (400, 3))
    quiet = _run(GATED, samples)[60:]
    assert quiet.std() < 0.35 * sigma


def test_without_a_gate_strong_noise_opens_the_filter() -> None:
    samples = np.random.default_rng(0).normal(0.0, 0.02, (400, 3))
    plain = OneEuroConfig(GATED.min_cutoff_hz, GATED.beta, GATED.speed_cutoff_hz)
    assert _run(plain, samples)[60:].std() > 2.0 * _run(GATED, samples)[60:].std()


def test_motion_comes_through_with_little_lag() -> None:
    t = np.arange(300) * STEP_S
    true = 0.4 * np.sin(2 * np.pi * 0.5 * t)[:, None] * np.ones(3)
    noisy = true + np.random.default_rng(0).normal(0.0, 0.002, true.shape)
    smooth = _run(GATED, noisy)
    slope = np.gradient(true, axis=0)
    lag_frames = -((smooth - true)[30:] * slope[30:]).sum() / (slope[30:] ** 2).sum()
    assert lag_frames < 0.4


def test_entries_are_filtered_apart_unless_joint() -> None:
    samples = np.zeros((60, 2))
    samples[:, 0] = np.linspace(0.0, 9.0, 60)
    samples[:, 1] = np.random.default_rng(0).normal(0.0, 0.01, 60)
    alone = _run(OneEuroConfig(0.3, 10.0, noise_gate=2.0), samples, joint=False)
    together = _run(OneEuroConfig(0.3, 10.0, noise_gate=2.0), samples, joint=True)
    assert alone[20:, 1].std() < 0.5 * together[20:, 1].std()


def test_the_first_sample_after_a_reset_passes_unchanged() -> None:
    smooth = OneEuroFilter(GATED, joint=True)
    for value in (0.0, 0.1, 0.0):
        smooth(np.full(3, value), STEP_S)
    smooth.reset()
    assert np.array_equal(smooth(np.full(3, 7.0), STEP_S), np.full(3, 7.0))


def test_rebasing_moves_state_and_noise_memory_along() -> None:
    rng = np.random.default_rng(0)
    samples = 0.5 + rng.normal(0.0, 0.01, (80, 3))
    moved = OneEuroFilter(GATED, joint=True)
    kept = OneEuroFilter(GATED, joint=True)
    offset = np.full(3, 0.5)
    for sample in samples[:40]:
        moved(sample, STEP_S)
        kept(sample, STEP_S)
    moved.rebase(offset)
    for sample in samples[40:]:
        assert moved(sample - offset, STEP_S) + offset == pytest.approx(kept(sample, STEP_S), abs=1e-12)


def test_noise_is_measured_through_smooth_motion() -> None:
    t = np.arange(300) * STEP_S
    samples = (np.sin(2 * np.pi * 0.3 * t) + np.random.default_rng(0).normal(0.0, 0.01, t.shape))[:, None]
    noise = NoiseEstimate()
    variances = [noise(sample, STEP_S)[0] for sample in samples]
    assert np.sqrt(np.mean(variances[60:])) == pytest.approx(0.01, rel=0.25)
