"""Real frames as training data: labels follow pixels through crops and mirrors, covers are told, files are checked."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the trainer needs torch: pip install 'facestream-tracker[train]'")

from tracker.errors import ConfigError  # noqa: E402
from trainer.data.video import shard as shards  # noqa: E402
from trainer.data.video.degrade import degraded, recoloured  # noqa: E402
from trainer.data.video.disguised import (  # noqa: E402
    CROP_PX,
    DisguiseConfig,
    DisguisedStream,
    head_mirror,
    sigma_of,
    weight_of,
)
from trainer.data.video.mixing import blended, stretched  # noqa: E402
from trainer.data.video.occluders import cover_face  # noqa: E402
from trainer.data.video.shard import POINTS, STORED_PX, Shard, nothing_known  # noqa: E402
from trainer.data.video.sources import HELD_OUT, SHIPPED, VideoSource, locate  # noqa: E402
from trainer.data.video.teacher import mirrored_points, mirrored_scores  # noqa: E402

_SPOT = 100
"""Landmark that is drawn into the test picture, and the one it becomes in a mirror."""


def _shard(count: int = 3) -> Shard:
    """Grey crops in which the place of one landmark and of its mirror partner is white."""
    rng = np.random.default_rng(0)
    known = nothing_known(count)
    known["points"][:] = rng.uniform(0.35, 0.65, (count, POINTS, 3)).astype(np.float32)
    known["points"][:, 33, :2], known["points"][:, 263, :2] = (0.4, 0.42), (0.6, 0.42)
    crops = np.full((count, STORED_PX, STORED_PX, 3), 90, np.uint8)
    for row in range(count):
        for spot in (_SPOT, int(mirrored_points()[_SPOT])):
            x, y = (known["points"][row, spot, :2] * STORED_PX).astype(int)
            crops[row, y - 3 : y + 4, x - 3 : x + 4] = 255
            known["points"][row, spot, :2] = (np.array([x, y]) + 0.5) / STORED_PX
    known["sigma"][:], known["visible"][:] = 0.01, 1.0
    known["rotation"][:] = np.diag([1.0, -1.0, -1.0]).astype(np.float32)
    known["scores"][:] = 0.0
    names = np.array([f"p{row}" for row in range(count)])
    return Shard(crops, person=names, source=names, **known)


def _plain(**changes: float) -> DisguiseConfig:
    return replace(DisguiseConfig(batch_size=8, covered=0.0, degraded=0.0, negatives=0.0), **changes)


def test_landmarks_stay_on_their_pixels_in_every_crop() -> None:
    stream = DisguisedStream([(1.0, _shard())], _plain())
    for index in range(3):
        batch = stream.batch(index)
        spots = batch.points[:, _SPOT, :2] * CROP_PX
        for image, (x, y) in zip(batch.image, spots, strict=True):
            brightness = image.mean(dim=0)
            near = brightness[int(y) - 1 : int(y) + 2, int(x) - 1 : int(x) + 2].mean()
            assert near > brightness.median() + 0.1


def test_batches_depend_on_seed_and_number_alone() -> None:
    streams = [DisguisedStream([(1.0, _shard())], DisguiseConfig(batch_size=6, seed=s)) for s in (0, 0, 1)]
    first, again, other = (stream.batch(4) for stream in streams)
    assert torch.equal(first.image, again.image)
    assert not torch.equal(first.image, other.image)
    assert not torch.equal(first.image, streams[0].batch(5).image)


def test_what_is_covered_is_not_in_sight_and_keeps_its_place() -> None:
    bare = DisguisedStream([(1.0, _shard())], _plain())
    stream = DisguisedStream([(1.0, _shard())], _plain(covered=1.0))
    batch = stream.batch(0)
    hidden = (batch.visible[:, :478] == 0).float().mean(dim=1)
    assert (hidden > 0.0).sum() >= 6
    assert hidden.max() <= 0.75
    assert torch.isfinite(batch.points).all()
    assert torch.equal(bare.batch(0).points[0], batch.points[0])


def test_a_mirrored_head_looks_the_other_way() -> None:
    partner = head_mirror()
    assert (partner[partner] == np.arange(POINTS)).all()
    assert (mirrored_scores()[mirrored_scores()] == np.arange(52)).all()
    stream = DisguisedStream([(1.0, _shard())], _plain(turn_rad=0.0))
    turns = stream.batch(1).rotation
    assert torch.allclose(torch.linalg.det(turns), torch.ones(8), atol=1e-5)


def test_negatives_are_no_faces() -> None:
    batch = DisguisedStream([(1.0, _shard())], _plain(negatives=1.0)).batch(0)
    assert not batch.present.any()
    assert torch.isnan(batch.points).all()
    assert (batch.weight == 0).all()


def test_a_label_s_uncertainty_travels_as_its_weight() -> None:
    sigma = np.array([0.002, 0.01, 0.1], np.float32)
    weight = weight_of(sigma)
    assert ((weight > 0) & (weight < 1)).all()
    assert sigma_of(torch.from_numpy(weight)).numpy() == pytest.approx(sigma, rel=1e-4)


def test_covers_are_drawn_alike_from_one_seed() -> None:
    image = np.full((256, 256, 3), 120, np.uint8)
    points = (_shard(1).points[0, :478] * 256).astype(np.float32)
    covers = []
    for seed in range(24):
        out, cover = cover_face(image, points, image[::-1], np.random.default_rng(seed))
        again, _ = cover_face(image, points, image[::-1], np.random.default_rng(seed))
        assert np.array_equal(out, again)
        assert out.dtype == np.uint8
        covers.append(cover)
    assert 0.0 <= np.min(covers) <= np.max(covers) <= 1.001
    assert np.mean([cover.max() > 0.5 for cover in covers]) > 0.8


def test_cameras_spoil_pictures_but_keep_their_form() -> None:
    image = np.random.default_rng(0).integers(0, 256, (256, 256, 3), dtype=np.uint8)
    for seed in range(8):
        for spoil in (recoloured, degraded):
            out = spoil(image, np.random.default_rng(seed))
            assert out.shape == image.shape
            assert out.dtype == np.uint8


def test_points_follow_a_stretched_picture() -> None:
    one = _shard(1)
    image, points = one.crops[0], one.points[0, :478, :2] * STORED_PX
    for seed in range(4):
        out, moved = stretched(image, points, np.random.default_rng(seed))
        x, y = moved[_SPOT].astype(int)
        assert out[y - 1 : y + 2, x - 1 : x + 2].mean() > 180


def test_a_blend_has_the_shape_between() -> None:
    pytest.importorskip("scipy")
    one = _shard(1)
    first = one.points[0, :478, :2] * STORED_PX
    second = first + np.random.default_rng(1).normal(0.0, 2.0, first.shape).astype(np.float32)
    image = one.crops[0]
    out, points = blended(image, first, image[:, ::-1], second, shape=0.5, look=0.5)
    assert out.shape == image.shape
    assert np.linalg.norm(points - first, axis=1).mean() == pytest.approx(
        0.5 * np.linalg.norm(second - first, axis=1).mean(), rel=0.1
    )


def test_shards_are_read_as_written_and_damage_is_told(tmp_path: Path) -> None:
    one = _shard()
    shards.write(tmp_path, "some", one)
    assert shards.names(tmp_path) == ["some"]
    found = shards.read(tmp_path, "some")
    assert np.array_equal(found.crops, one.crops)
    assert np.array_equal(found.points, one.points)
    assert len(shards.join([found, one])) == 6
    shards.write(tmp_path, "other", _shard(2))
    joined = shards.join([found, shards.read(tmp_path, "other")])
    sent = pickle.dumps(joined.crops)
    assert len(joined) == 5 and len(sent) < 1000  # another process is told where they lie
    again = pickle.loads(sent)
    assert np.array_equal(again[4], _shard(2).crops[1])
    assert np.array_equal(again[2, 5:9, 7:8], one.crops[2, 5:9, 7:8])
    with pytest.raises(IndexError):
        again[5]
    shards.write(tmp_path, "both", joined)
    assert np.array_equal(shards.read(tmp_path, "both").crops[3], _shard(2).crops[0])
    np.save(tmp_path / "some.crops.npy", one.crops[:1])
    with pytest.raises(ConfigError, match="differ in number"):
        shards.read(tmp_path, "some")
    (tmp_path / "some.labels.npz").write_bytes(b"damaged")
    with pytest.raises(ConfigError, match="no shard of labelled crops"):
        shards.read(tmp_path, "some")
    with pytest.raises(ConfigError, match="no shard"):
        shards.read(tmp_path, "absent")


def test_nothing_to_train_on_is_one_line() -> None:
    with pytest.raises(ConfigError, match="trainer prepare encoder"):
        DisguisedStream([], DisguiseConfig())


def test_sources_have_licences_and_nobody_is_in_both_parts(tmp_path: Path) -> None:
    assert all(source.licence and source.origin for source in (*SHIPPED, *HELD_OUT))
    assert not {source.person for source in SHIPPED} & {source.person for source in HELD_OUT}
    (tmp_path / "a.mp4").touch()
    assert locate(VideoSource("a.mp4", "a", "own", "own"), [tmp_path]) == tmp_path / "a.mp4"
    with pytest.raises(ConfigError, match=r"needs webcam_cap13\.mp4 .*looked in no folder"):
        locate(SHIPPED[0], [])
