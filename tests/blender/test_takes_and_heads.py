from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from facestream_tracker.head_model import HeadError, read_head
from facestream_tracker.samples import Recorder, Sample, TakeError, key_frames, read_take, scene_rate

from tests.blender import known
from tools.blender.package import HEAD

ZERO = np.zeros(52, np.float32)
SAMPLE = Sample(ZERO, np.array([1, 0, 0, 0], np.float32), ZERO[:3], ZERO[:4].reshape(2, 2))


def test_a_take_has_the_numbers_and_exact_times_of_its_frames(known_take: Path) -> None:
    clip = read_take(known_take)
    present = [index for index in range(60) if not 20 <= index < 25]
    assert clip.times == [index / known.RATE for index in present]
    assert clip.rate == known.RATE and clip.model == "builtin"
    for sample, index in zip(clip.samples, present, strict=True):
        np.testing.assert_array_equal(sample.arkit, known.arkit(index))
        np.testing.assert_array_equal(sample.gaze, known.gaze(index))
        np.testing.assert_array_equal(sample.position, known.position(index))


def change(take: Path, target: Path, **changes: object) -> Path:
    with np.load(take) as archive:
        arrays = {key: archive[key] for key in archive.files}
    meta = json.loads(str(arrays["meta_json"]))
    for key, value in changes.items():
        if key in arrays:
            arrays[key] = value
        else:
            meta[key] = value
    arrays["meta_json"] = np.array(json.dumps(meta))
    np.savez(target, **arrays)
    return target


def test_takes_that_cannot_be_used_say_why(known_take: Path, tmp_path: Path) -> None:
    with pytest.raises(TakeError, match="cannot read"):
        read_take(tmp_path / "none.npz")
    (tmp_path / "text.npz").write_text("hello")
    with pytest.raises(TakeError, match="cannot be read as a take"):
        read_take(tmp_path / "text.npz")
    (tmp_path / "half.npz").write_bytes(known_take.read_bytes()[:5000])
    with pytest.raises(TakeError, match="cannot be read as a take"):
        read_take(tmp_path / "half.npz")
    np.savez(tmp_path / "other.npz", a=1)
    with pytest.raises(TakeError, match="no take"):
        read_take(tmp_path / "other.npz")
    with pytest.raises(TakeError, match="face-take 2"):
        read_take(change(known_take, tmp_path / "v2.npz", version=2))
    with pytest.raises(TakeError, match="choose 0 to 0, not 3"):
        read_take(known_take, 3)
    with pytest.raises(TakeError, match="nobody"):
        read_take(change(known_take, tmp_path / "empty.npz", face_id=np.full(60, -1)))
    with pytest.raises(TakeError, match="'arkit' should have shape"):
        read_take(change(known_take, tmp_path / "shape.npz", arkit=np.zeros((60, 51), np.float32)))
    with pytest.raises(TakeError, match="NaN"):
        read_take(change(known_take, tmp_path / "nan.npz", position=np.full((60, 3), np.nan, np.float32)))


def test_frames_of_a_take_fall_on_frames_of_a_scene_of_its_rate(known_take: Path) -> None:
    clip = read_take(known_take)
    rate = scene_rate(30, float(np.float32(1.001)))
    assert rate == known.RATE
    frames = key_frames(clip.times, rate, 10)
    assert frames[0] == 10 and frames[-1] == 69 and (frames == np.round(frames)).all()
    assert key_frames([Fraction(1, 24)], Fraction(30), 1)[0] == 2.25


def test_recording_goes_on_after_a_restart_with_the_real_pause() -> None:
    recorder = Recorder("take")
    recorder.add("a", 5_000_000_000, 100, SAMPLE)
    recorder.add("a", 5_100_000_000, 100_000_100, SAMPLE)
    recorder.add("b", 77, 1_100_000_100, SAMPLE)
    recorder.add("b", 100_000_077, 1_200_000_100, SAMPLE)
    # A looped replay jumps back without a new stream.
    recorder.add("b", 77, 1_300_000_100, SAMPLE)
    assert recorder.clip.times == [Fraction(n, 10) for n in (0, 1, 11, 12, 13)]


@pytest.fixture(scope="module")
def head():  # type: ignore[no-untyped-def]
    return read_head(HEAD / "builtin_head.npz")


def test_shape_keys_are_the_face_models_own_surfaces(head) -> None:  # type: ignore[no-untyped-def]
    models = pytest.importorskip("tracker.face_model")
    model = models.load_face_model()
    identity = known.identity(model.identity_count)
    neutral, posed = head.shapes(identity)
    params = model.neutral_params()
    rotation = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
    np.testing.assert_allclose(neutral, model.neutral_vertices(identity) @ rotation.T, atol=1e-6)
    for index in range(model.expression_count):
        weights = np.zeros(model.expression_count, np.float32)
        weights[index] = 1
        truth = model.vertices_head(identity, model.params_of(weights, params.rotation, params.translation))
        np.testing.assert_allclose(posed[index], truth @ rotation.T, atol=2e-6)


def test_mixtures_stay_near_the_face_model(head) -> None:  # type: ignore[no-untyped-def]
    models = pytest.importorskip("tracker.face_model")
    model = models.load_face_model()
    neutral, posed = head.shapes()
    rotation = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
    params = model.neutral_params()
    rng = np.random.default_rng(2)
    worst = []
    for _ in range(20):
        weights = (rng.uniform(0, 1, 52) * (rng.uniform(0, 1, 52) < 0.2)).astype(np.float32)
        truth = model.vertices_head(
            np.zeros(model.identity_count), model.params_of(weights, params.rotation, params.translation)
        )
        mixed = neutral + np.tensordot(weights, posed - neutral, axes=1)
        worst.append(np.linalg.norm(mixed - truth @ rotation.T, axis=1).max())
    print(f"worst point, mean of 20 mixtures: {1000 * np.mean(worst):.2f} mm, largest {1000 * np.max(worst):.2f} mm")
    assert np.mean(worst) < 0.003


def test_files_that_are_no_head_say_why(tmp_path: Path) -> None:
    with pytest.raises(HeadError, match="there is no face model"):
        read_head(tmp_path / "none.npz")
    (tmp_path / "text.npz").write_text("hello")
    with pytest.raises(HeadError, match="cannot be read"):
        read_head(tmp_path / "text.npz")
    np.savez(tmp_path / "other.npz", a=1)
    with pytest.raises(HeadError, match="has no 'template'"):
        read_head(tmp_path / "other.npz")
    with np.load(HEAD / "builtin_head.npz") as archive:
        arrays = {key: archive[key] for key in archive.files}
    arrays["expression_names"] = np.array([f"psi{number}" for number in range(52)])
    np.savez(tmp_path / "flame.npz", **arrays)
    with pytest.raises(HeadError, match="not ARKit's; take the built-in head"):
        read_head(tmp_path / "flame.npz")
