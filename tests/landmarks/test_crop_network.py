"""Crops as a batch, and what stands between a user and a GPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from engines.batch import BatchProfile
from engines.build import open_engine
from engines.cuda.gpu import find_gpu
from engines.header import InputHeader, NetworkHeader
from engines.model import write_header
from tests.engines.networks import small_network
from tracker.config import ENCODERS, TrackerConfig
from tracker.errors import ConfigError, NetworkAssetError
from tracker.landmarks import create_encoder
from tracker.landmarks.crop import Cropper, Roi
from tracker.landmarks.crop_network import HostCrops
from tracker.landmarks.encoder import BatchEncoder, encode_all
from tracker.landmarks.light import LightEncoder
from tracker.landmarks.mediapipe478 import MediaPipeEncoder

PICTURE = Path(__file__).parents[2] / "docs" / "images" / "demo.jpg"
ROIS = [Roi(200.0, 195.0, 300.0, 0.1), Roi(230.0, 180.0, 280.0, -0.2), Roi(600.0, 195.0, 250.0, 0.0)]


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    return cv2.cvtColor(cv2.imread(str(PICTURE)), cv2.COLOR_BGR2RGB).astype(np.uint8)


def test_a_network_is_fed_as_its_header_says(
    picture: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = small_network(tmp_path / "plain.onnx")
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    told = NetworkHeader("small", inputs=(InputHeader("image", "crop", "NCHW", 32, mean=mean, std=std),))
    write_header(path, tmp_path / "told.onnx", told)
    monkeypatch.setenv("TRACKER_CACHE", str(tmp_path / "cache"))
    engine = open_engine(tmp_path / "told.onnx", "onnxruntime", batch=BatchProfile(1, 1, 2))
    crops = HostCrops(engine)
    (numbers,), gains = crops.run(picture, ROIS)
    cropper = Cropper(32)
    for roi, row, gain in zip(ROIS, numbers, gains, strict=True):
        values = (np.minimum(cropper.cut(picture, roi) / 255 * gain, 1) - mean) / std
        expected = engine.infer(values.transpose(2, 0, 1)[None].astype(np.float32))["numbers"]
        assert row == pytest.approx(expected[0], abs=1e-5)
    assert crops.last_crop_ms > 0


@pytest.mark.parametrize("name", ENCODERS)
def test_faces_at_once_are_those_one_by_one(name: str, picture: np.ndarray) -> None:
    try:
        encoder = create_encoder(name)
    except NetworkAssetError as error:
        pytest.skip(str(error))
    assert isinstance(encoder, BatchEncoder)
    together = encode_all(encoder, picture, ROIS)
    assert encoder.last_timing["crop"] > 0
    for roi, one in zip(ROIS, together, strict=True):
        alone = encoder.encode(picture, roi)
        assert np.array_equal(alone.landmarks.points, one.landmarks.points)
        assert alone.presence == one.presence
        assert (alone.arkit_hint is None) == (one.arkit_hint is None)
        if alone.arkit_hint is not None:
            assert np.array_equal(alone.arkit_hint, one.arkit_hint)
    assert encode_all(encoder, picture, []) == []


def test_all_eyes_are_one_run(picture: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        encoder = LightEncoder()
    except NetworkAssetError as error:
        pytest.skip(str(error))
    crops: list[int] = []
    run = HostCrops.run

    def counted(self: HostCrops, image: np.ndarray, rois: list[Roi], mirrored: list[bool] | None = None) -> Any:
        crops.append(len(rois))
        return run(self, image, rois, mirrored)

    monkeypatch.setattr(HostCrops, "run", counted)
    assert len(encoder.encode_all(picture, ROIS)) == 3
    assert crops == [3, 6]


def test_the_onnx_form_gives_the_same_landmarks(picture: np.ndarray) -> None:
    pytest.importorskip("onnx", reason="conversion needs onnx (extra: engines)")
    pytest.importorskip("onnxruntime", reason="not installed (extra: onnxruntime)")
    try:
        ours, theirs = (MediaPipeEncoder(precision="f32", engine=engine) for engine in ("auto", "onnxruntime"))
    except NetworkAssetError as error:
        pytest.skip(str(error))
    one, other = ours.encode(picture, ROIS[0]), theirs.encode(picture, ROIS[0])
    assert one.presence == pytest.approx(other.presence, abs=1e-4)
    assert np.abs(one.landmarks.points - other.landmarks.points).max() < 0.02
    assert one.arkit_hint is not None
    assert other.arkit_hint is not None
    assert np.abs(one.arkit_hint - other.arkit_hint).max() < 1e-3


def test_tensorrt_without_a_gpu_says_so() -> None:
    pytest.importorskip("tensorrt_rtx", reason="TensorRT for RTX is not installed (extra: tensorrt)")
    if not isinstance(find_gpu(), str):
        pytest.skip("there is a GPU")
    with pytest.raises(NetworkAssetError, match=r"^engine tensorrt: no NVIDIA .* --engine openvino$"):
        create_encoder(engine="tensorrt")


def test_an_unknown_engine() -> None:
    with pytest.raises(ConfigError, match=r"engine must be one of auto, openvino, .*; got 'cuda'"):
        TrackerConfig(engine="cuda")  # type: ignore[arg-type]
