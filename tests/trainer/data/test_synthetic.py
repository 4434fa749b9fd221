from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")

from tracker.errors import ConfigError, FaceModelError  # noqa: E402
from tracker.face_model import load_face_model  # noqa: E402
from trainer.data.synthetic import SyntheticConfig, SyntheticStream  # noqa: E402
from trainer.data.synthetic.assets import painted_assets  # noqa: E402


@pytest.fixture(scope="module")
def assets():
    return painted_assets(load_face_model(), count=2)


@pytest.fixture(scope="module")
def stream(assets):
    return SyntheticStream(SyntheticConfig(batch_size=4, crop_size=96, supersample=1.0, seed=5), assets)


def test_a_batch_is_complete_and_labelled(stream):
    batch = stream.batch(0)
    assert batch.image.shape == (4, 3, 96, 96) and batch.points.shape == (4, 628, 3)
    assert batch.image.min() >= 0.0 and batch.image.max() <= 1.0
    shown = batch.present > 0.5
    for name in ("points", "visible", "rotation", "expression", "identity", "light", "focal"):
        assert torch.isfinite(getattr(batch, name)[shown]).all(), name
    np.testing.assert_allclose(torch.linalg.det(batch.rotation[shown]), 1.0, atol=1e-4)
    assert set(batch.visible[shown].unique().tolist()) == {0.0, 1.0}


def test_batches_depend_on_seed_worker_and_number_alone(assets, stream):
    again = SyntheticStream(stream.config, assets)
    torch.testing.assert_close(again.batch(3).image, stream.batch(3).image)
    assert not torch.equal(stream.batch(3).identity, stream.batch(4).identity)
    other = SyntheticStream(SyntheticConfig(batch_size=4, crop_size=96, supersample=1.0, seed=5, worker=1), assets)
    assert not torch.equal(other.batch(3).identity, stream.batch(3).identity)


def test_points_follow_from_rotation_focal_and_parameters(stream):
    """A camera that looks at the crop's centre sees the labelled points, up to the perspective of that turn."""
    batch = stream.batch(1)
    model = load_face_model()
    for k in np.flatnonzero((batch.present > 0.5).numpy()):
        params = model.params_of(batch.expression[k].numpy(), np.zeros(3), np.zeros(3))
        head = model.landmarks(model.vertices_head(batch.identity[k].numpy(), params), "mediapipe478")
        turned = head @ batch.rotation[k].numpy().T
        points = batch.points[k, :478].numpy()
        span, truth = np.ptp(turned[:, :2], axis=0), np.ptp(points[:, :2], axis=0)
        np.testing.assert_allclose(truth[0] / truth[1], span[0] / span[1], rtol=0.35)
        assert np.corrcoef(turned[:, 0], points[:, 0])[0, 1] > 0.97
        assert np.corrcoef(turned[:, 2], points[:, 2])[0, 1] > 0.97


def test_settings_out_of_range_are_refused():
    with pytest.raises(ConfigError, match="batch_size must be at least 1, got 0"):
        SyntheticConfig(batch_size=0)
    with pytest.raises(ConfigError, match="negatives is a share"):
        SyntheticConfig(negatives=1.5)


def test_an_unknown_landmark_set_is_refused(assets):
    with pytest.raises(FaceModelError, match="no embedding 'dense7'"):
        SyntheticStream(SyntheticConfig(landmark_set="dense7"), assets)


def test_things_before_a_face_hide_its_points(assets):
    base = {"batch_size": 4, "crop_size": 96, "supersample": 1.0, "seed": 8, "degrade": False, "negatives": 0.0}
    free = SyntheticStream(SyntheticConfig(**base, occluders=0.0), assets).batch(0)
    covered = SyntheticStream(SyntheticConfig(**base, occluders=1.0), assets).batch(0)
    assert (covered.visible <= free.visible).all()
    assert covered.visible.sum() < 0.95 * free.visible.sum()
    torch.testing.assert_close(covered.points, free.points)


def test_crops_without_a_face_say_so_and_nothing_else(assets):
    config = SyntheticConfig(batch_size=3, crop_size=64, supersample=1.0, negatives=1.0)
    batch = SyntheticStream(config, assets).batch(0)
    assert not batch.present.any() and not batch.weight.any()
    assert torch.isnan(batch.points).all() and torch.isnan(batch.light).all()
    assert torch.isfinite(batch.image).all()


def test_expressions_are_plausible():
    from tracker.arkit import ARKIT_INDEX
    from trainer.data.synthetic.expressions import sample_expressions

    weights = sample_expressions(2000, torch.Generator().manual_seed(0))
    assert weights.min() >= 0.0 and weights.max() <= 1.0
    assert (weights[:, ARKIT_INDEX["mouthClose"]] <= weights[:, ARKIT_INDEX["jawOpen"]]).all()
    active = (weights > 0.15).sum(1).float()
    assert 3 < active.median() < 12
    left, right = weights[:, ARKIT_INDEX["mouthSmileLeft"]], weights[:, ARKIT_INDEX["mouthSmileRight"]]
    assert torch.corrcoef(torch.stack([left, right]))[0, 1] > 0.6
    shut = (weights[:, ARKIT_INDEX["eyeBlinkLeft"]] > 0.8).float().mean()
    assert 0.05 < shut < 0.3


def test_poses_reach_profile():
    from trainer.data.synthetic.poses import sample_poses

    poses = sample_poses(3000, SyntheticConfig(), torch.Generator().manual_seed(0))
    degrees = torch.rad2deg(poses.yaw)
    assert degrees.max() > 85 and degrees.min() < -85 and degrees.abs().max() <= 95.01
    assert (degrees.abs() < 30).float().mean() > 0.5


def test_compression_keeps_the_picture():
    from trainer.data.synthetic.camera_effects import compressed

    generator = torch.Generator().manual_seed(0)
    smooth = torch.nn.functional.interpolate(torch.rand(3, 3, 5, 5, generator=generator), (72, 72), mode="bicubic")
    smooth = smooth.clamp(0, 1)
    out = compressed(smooth, generator)
    assert out.shape == smooth.shape
    assert 1e-4 < (out - smooth).abs().mean() < 0.03


def test_assets_survive_packing(assets, tmp_path, monkeypatch):
    from trainer.data.synthetic import library

    monkeypatch.setattr(library, "_PAINTED", 2)
    archive = library.prepare_assets(tmp_path / "pack", [], [])
    again = library.load_assets(tmp_path / "pack")
    assert again.skins.shape == assets.skins.shape and again.origin == ("painted", "painted")
    assert np.abs(again.skins.astype(int) - assets.skins.astype(int)).mean() < 3.0
    archive.write_bytes(archive.read_bytes()[:2000])
    with pytest.raises(ConfigError, match="damaged"):
        library.load_assets(tmp_path / "pack")
    with pytest.raises(ConfigError, match="no synthetic_assets"):
        library.load_assets(tmp_path)
