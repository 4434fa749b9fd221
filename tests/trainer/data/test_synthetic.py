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
