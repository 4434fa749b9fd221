from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

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


@pytest.fixture(scope="module")
def first(stream):
    return stream.batch(0)


def like(stream: SyntheticStream, **changes: Any) -> SyntheticStream:
    """The stream with other settings; only those that its renderer does not depend on."""
    other = copy.copy(stream)
    other.config = replace(stream.config, **changes)
    return other


def test_a_batch_is_complete_and_labelled(first):
    batch = first
    assert batch.image.shape == (4, 3, 96, 96) and batch.points.shape == (4, 628, 3)
    assert batch.image.min() >= 0.0 and batch.image.max() <= 1.0
    shown = batch.present > 0.5
    for name in ("points", "visible", "rotation", "expression", "identity", "light", "focal"):
        assert torch.isfinite(getattr(batch, name)[shown]).all(), name
    np.testing.assert_allclose(torch.linalg.det(batch.rotation[shown]), 1.0, atol=1e-4)
    assert set(batch.visible[shown].unique().tolist()) == {0.0, 1.0}


def test_batches_depend_on_seed_worker_and_number_alone(assets, stream, first):
    again = SyntheticStream(stream.config, assets)
    later = again.batch(1)
    torch.testing.assert_close(again.batch(0).image, first.image)
    assert not torch.equal(later.identity, first.identity)
    assert not torch.equal(like(stream, worker=1).batch(0).identity, first.identity)


def test_points_follow_from_rotation_focal_and_parameters(first):
    """A camera that looks at the crop's centre sees the labelled points, up to the perspective of that turn."""
    batch = first
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


def test_things_before_a_face_hide_its_points(stream):
    base = {"seed": 8, "degrade": False, "negatives": 0.0}
    free = like(stream, **base, occluders=0.0).batch(0)
    covered = like(stream, **base, occluders=1.0).batch(0)
    assert (covered.visible <= free.visible).all()
    assert covered.visible.sum() < 0.95 * free.visible.sum()
    torch.testing.assert_close(covered.points, free.points)


def test_crops_without_a_face_say_so_and_nothing_else(stream, monkeypatch):
    from trainer.data.synthetic import stream as drawing

    monkeypatch.setattr(drawing, "_STRAYS", 0.0)
    batch = like(stream, batch_size=3, crop_size=64, negatives=1.0).batch(0)
    assert not batch.present.any() and not batch.weight.any()
    assert torch.isnan(batch.points).all() and torch.isnan(batch.light).all()
    assert torch.isfinite(batch.image).all()


def test_faces_at_the_edge_of_a_crop_are_none(stream, monkeypatch):
    """What little of a face is left when a crop lies off it does not count; where enough is seen, labels stay."""
    from trainer.data.synthetic import stream as drawing

    monkeypatch.setattr(drawing, "_STRAYS", 1.0)
    seen = []
    monkeypatch.setattr(drawing, "_inside", lambda points: seen.append(inside(points)) or seen[-1])
    inside = _share_inside
    batch = like(stream, batch_size=8, crop_size=64, negatives=1.0).batch(0)
    assert torch.equal(batch.present > 0.5, seen[0] >= 0.4)
    assert (batch.present < 0.5).sum() >= 5
    known = torch.isfinite(batch.points).all(-1).all(-1)
    assert torch.equal(known, batch.present > 0.5)


def _share_inside(points):
    flat = points[..., :2]
    return ((flat > 0) & (flat < 1)).all(-1).float().mean(1)


@pytest.fixture(scope="module")
def giants():
    """The built-in head as somebody else's model: larger by a tenth, with two shapes, and jaws that open with the lips alone."""
    from trainer.data.synthetic.heads import CarriedHead

    own = load_face_model()
    return CarriedHead(
        "giants",
        "CC0",
        own.template * np.float32(1.1),
        own.identity_basis[..., :2],
        own.expression_basis,
        own.joint_template * np.float32(1.1),
        own.joint_identity[..., :2],
        np.zeros_like(own.joint_drive),
    )


def test_other_heads_are_members_of_one_population(giants):
    from trainer.data.synthetic.heads import Population
    from trainer.image_formation.face_model import TorchFaceModel

    own = load_face_model()
    both = Population(own, [giants])
    assert both.names == ("builtin", "giants")
    wanted = torch.rand(64, 52, generator=torch.Generator().manual_seed(1))
    shape, weights, identity = both.draw(64, 1.0, wanted, torch.Generator().manual_seed(0))
    other = torch.isnan(identity).all(1)
    assert 16 < other.sum() < 48 and torch.isfinite(identity[~other]).all()
    vertices = TorchFaceModel(both.model)(shape, weights)
    alone = TorchFaceModel(own)(identity[~other], wanted[~other])
    torch.testing.assert_close(vertices[~other], alone, atol=1e-6, rtol=0)
    row = int(torch.nonzero(other)[0])
    expected = (
        giants.template
        + giants.identity_basis @ shape[row, -2:].numpy()
        + giants.expression_basis @ wanted[row].numpy()
    )
    np.testing.assert_allclose(vertices[row], expected, atol=1e-6)
    only = Population(own, [giants], "giants").draw(9, 1.0, wanted[:9], torch.Generator().manual_seed(0))
    assert torch.isnan(only[2]).all()
    with pytest.raises(ConfigError, match=r"no head 'ict' among the assets \(builtin, giants\)"):
        Population(own, [giants], "builtin,ict")


def test_a_stream_draws_the_heads_that_its_assets_hold(assets, giants):
    config = SyntheticConfig(batch_size=6, crop_size=64, supersample=1.0, negatives=0.0, seed=2)
    batch = SyntheticStream(config, replace(assets, heads=(giants,))).batch(0)
    other = torch.isnan(batch.identity[:, 0])
    assert 0 < other.sum() < 6
    for name in ("points", "visible", "rotation", "expression", "light", "focal"):
        assert torch.isfinite(getattr(batch, name)).all(), name


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_head_is_carried_over_onto_the_built_in_mesh(networks):
    """The built-in head, 8 % taller and in other triangles' order, comes back as it is."""
    pytest.importorskip("scipy", reason="registration needs the models extra")
    from trainer.data.synthetic.heads import carry_head

    own = load_face_model()
    taller = np.array([1.0, 1.08, 1.0], np.float32)
    other = replace(
        own,
        name="taller",
        template=own.template * taller,
        faces=own.faces[::-1].copy(),
        identity_basis=(own.identity_basis * taller[:, None])[..., :3],
        joint_identity=own.joint_identity[..., :3],
        expression_basis=own.expression_basis * taller[:, None],
        joint_drive=np.zeros_like(own.joint_drive),
    )
    head = carry_head(other, own)
    face = own.regions[:, [own.region_names.index(name) for name in ("nose", "mouth", "cheek_left", "chin")]].any(1)
    assert np.linalg.norm(head.template - other.template, axis=1)[face].mean() < 2e-3
    smile = own.expression_names.index("mouthSmileLeft")
    got, true = head.expression_basis[face, :, smile].ravel(), other.expression_basis[face, :, smile].ravel()
    assert np.corrcoef(got, true)[0, 1] > 0.9
    for k in range(3):
        got, true = head.identity_basis[face, :, k].ravel(), other.identity_basis[face, :, k].ravel()
        # Registration may slide along smooth skin.
        assert np.corrcoef(got, true)[0, 1] > 0.75
    with pytest.raises(FaceModelError, match="no expressions under ARKit's names"):
        carry_head(replace(own, expression_names=tuple(f"pc{i}" for i in range(52))), own)


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


def test_recorded_expressions_have_the_recorded_quantiles_and_go_together():
    from tracker.arkit import ARKIT_INDEX
    from trainer.data.synthetic.expressions import _statistics, sample_recorded

    weights = sample_recorded(20_000, torch.Generator().manual_seed(0))
    levels, quantiles, _ = _statistics()
    for name in ("jawOpen", "mouthSmileLeft", "browInnerUp"):
        found = torch.quantile(weights[:, ARKIT_INDEX[name]], levels[3:-1])
        torch.testing.assert_close(found, quantiles[ARKIT_INDEX[name], 3:-1], atol=0.04, rtol=0)
    left, right = weights[:, ARKIT_INDEX["mouthSmileLeft"]], weights[:, ARKIT_INDEX["mouthSmileRight"]]
    assert torch.corrcoef(torch.stack([left, right]))[0, 1] > 0.6
    assert weights.min() >= 0.0 and weights.max() <= 1.0


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


def test_assets_survive_packing(assets, giants, tmp_path, monkeypatch):
    from trainer.data.synthetic import library

    monkeypatch.setattr(library, "painted_assets", lambda model, count: assets)
    monkeypatch.setattr(library, "carry_head", lambda model, builtin: giants)
    archive = library.prepare_assets(tmp_path / "pack", [], [], heads=["builtin"])
    again = library.load_assets(tmp_path / "pack")
    assert [head.name for head in again.heads] == ["giants"] and again.heads[0].licence == "CC0"
    np.testing.assert_array_equal(again.heads[0].template, giants.template)
    np.testing.assert_allclose(again.heads[0].identity_basis, giants.identity_basis, atol=1e-5)
    assert again.skins.shape == assets.skins.shape and again.origin == ("painted", "painted")
    assert np.abs(again.skins.astype(int) - assets.skins.astype(int)).mean() < 3.0
    archive.write_bytes(archive.read_bytes()[:2000])
    with pytest.raises(ConfigError, match="damaged"):
        library.load_assets(tmp_path / "pack")
    with pytest.raises(ConfigError, match="no synthetic_assets"):
        library.load_assets(tmp_path)
