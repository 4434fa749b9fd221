from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engines import BatchProfile, InputHeader, NetworkHeader, OutputHeader
from engines.build import BuildOptions, build_artifact
from tracker.config import TrackerConfig
from tracker.errors import ConfigError, NetworkAssetError
from tracker.landmarks import Roi, create_encoder
from tracker.landmarks.encoder import BatchEncoder

onnx = pytest.importorskip("onnx", reason="writing networks needs onnx: pip install 'facestream-tracker[engines]'")

SIZE = 8
POINTS = np.array([[0.25, 0.5, 0.1], [0.75, 0.5, 0.0], [0.5, 1.0, 0.0]], np.float32)
IMAGE = np.full((100, 120, 3), 200, np.uint8)
ROI = Roi(60.0, 50.0, 40.0, 0.0)


def network(path: Path, constants: dict[str, tuple[Any, str, str]], landmark_set: str = "mine", **crop: Any) -> Path:
    """A file that gives constants, and the mean of each channel of its input as ``seen``."""
    make = onnx.helper
    layout = crop.get("layout", "NCHW")
    shape = [1, 3, SIZE, SIZE] if layout == "NCHW" else [1, SIZE, SIZE, 3]
    axes = make.make_tensor("axes", onnx.TensorProto.INT64, [2], [2, 3] if layout == "NCHW" else [1, 2])
    nodes = [make.make_node("ReduceMean", ["image", "axes"], ["seen"], keepdims=0)]
    outputs = [make.make_tensor_value_info("seen", onnx.TensorProto.FLOAT, [1, 3])]
    for name, (value, _, _) in constants.items():
        array = np.asarray(value, np.float32)[None]
        nodes.append(make.make_node("Constant", [], [name], value=onnx.numpy_helper.from_array(array)))
        outputs.append(make.make_tensor_value_info(name, onnx.TensorProto.FLOAT, array.shape))
    inputs = [make.make_tensor_value_info("image", onnx.TensorProto.FLOAT, shape)]
    graph = make.make_graph(nodes, "net", inputs, outputs, [axes])
    model = make.make_model(graph, opset_imports=[make.make_opsetid("", 18)], ir_version=10)
    header = NetworkHeader(
        name="mine",
        task="encoder",
        landmark_set=landmark_set,
        inputs=(InputHeader("image", size=SIZE, **crop),),
        outputs=tuple(OutputHeader(name, role, unit) for name, (_, role, unit) in constants.items()),
        extra={"outer_eye_corners": [0, 1]},
    )
    make.set_model_props(model, {"facestream": header.to_json()})
    onnx.save(model, str(path))
    return path


def test_outputs_become_image_landmarks_with_their_units(tmp_path: Path) -> None:
    path = network(
        tmp_path / "a.onnx",
        {
            "points": (POINTS, "points", "fraction"),
            "log_sigma": (np.log([0.01, 0.02, 0.03]), "sigma", "log_fraction"),
            "visible": ([1.0, 0.5, 0.0], "visible", "probability"),
            "presence": (2.0, "presence", "logit"),
            "scores": (np.linspace(-0.5, 1.5, 52), "scores", "weight"),
        },
    )
    encoder = create_encoder(str(path))
    found = encoder.encode(IMAGE, ROI)
    assert encoder.outer_eye_corners == (0, 1) and found.landmarks.set_name == "mine"
    np.testing.assert_allclose(found.landmarks.points, [[50, 50, 4], [70, 50, 0], [60, 70, 0]], atol=1e-4)
    np.testing.assert_allclose(found.landmarks.sigma, [0.4, 0.8 / 0.5, 1.2 / 0.1], rtol=1e-4)
    assert found.presence == pytest.approx(1 / (1 + np.exp(-2.0)))
    assert found.arkit_hint is not None and found.arkit_hint[0] == 0.0 and found.arkit_hint[-1] == 1.0
    assert encoder.encode(IMAGE, ROI, scores=False).arkit_hint is None


def test_flat_pixel_points_and_two_sigmas(tmp_path: Path) -> None:
    constants = {
        "points": (POINTS.ravel() * SIZE, "points", "px"),
        "sigma": (np.full((3, 2), [0.3, 0.4]) * SIZE / 10, "sigma", "px"),
    }
    found = create_encoder(str(network(tmp_path / "a.onnx", constants))).encode(IMAGE, Roi(60.0, 50.0, 40.0, np.pi / 2))
    np.testing.assert_allclose(found.landmarks.points[:2], [[60, 40, 4], [60, 60, 0]], atol=1e-4)
    np.testing.assert_allclose(found.landmarks.sigma, np.sqrt((0.03**2 + 0.04**2) / 2) * 40, rtol=1e-4)
    assert found.presence == 1.0 and found.arkit_hint is None


def test_points_without_depth_lie_in_one_plane(tmp_path: Path) -> None:
    path = network(tmp_path / "a.onnx", {"points": (POINTS[:, :2], "points", "fraction")})
    found = create_encoder(str(path)).encode(IMAGE, ROI)
    assert not found.landmarks.points[:, 2].any() and np.allclose(found.landmarks.sigma, 0.016 * 40)


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_the_crop_is_normalised_as_the_header_says(tmp_path: Path, layout: str) -> None:
    path = network(
        tmp_path / "a.onnx",
        {"points": (POINTS, "points", "fraction")},
        layout=layout,
        mean=(0.1, 0.2, 0.3),
        std=(1.0, 2.0, 4.0),
    )
    encoder: Any = create_encoder(str(path))
    image = np.empty_like(IMAGE)
    image[:] = (255, 204, 51)
    encoder.encode(image, ROI)
    position = [spec.name for spec in encoder._engine.outputs].index("seen")
    seen = encoder._engine.run()[position]
    np.testing.assert_allclose(seen.ravel(), [0.9, 0.3, -0.025], atol=1e-5)


@pytest.mark.parametrize("batch", [BatchProfile(1, 2, 3), BatchProfile(2, 2, 2)])
def test_several_faces_in_an_engine_that_takes_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch: BatchProfile
) -> None:
    pytest.importorskip("onnxruntime", reason="not installed (extra: engines)")
    monkeypatch.setenv("TRACKER_CACHE", str(tmp_path / "cache"))
    make, kind = onnx.helper, onnx.TensorProto.FLOAT
    rows = "rows" if not batch.fixed else batch.maximum
    # Three points whose places are the mean of each channel.
    nodes = [
        make.make_node("ReduceMean", ["image", "axes"], ["seen"], keepdims=1),
        make.make_node("Squeeze", ["seen", "last"], ["points3"]),
        make.make_node("Concat", ["points3", "points3"], ["points"], axis=2),
    ]
    whole = [make.make_tensor(n, onnx.TensorProto.INT64, [len(v)], v) for n, v in (("axes", [2, 3]), ("last", [3]))]
    graph = make.make_graph(
        nodes,
        "net",
        [make.make_tensor_value_info("image", kind, [rows, 3, SIZE, SIZE])],
        [make.make_tensor_value_info("points", kind, [rows, 3, 2])],
        whole,
    )
    model = make.make_model(graph, opset_imports=[make.make_opsetid("", 18)], ir_version=10)
    header = NetworkHeader(
        "mine",
        "encoder",
        landmark_set="mine",
        inputs=(InputHeader("image", size=SIZE),),
        outputs=(OutputHeader("points", "points", "fraction"),),
        extra={"outer_eye_corners": [0, 1]},
    )
    make.set_model_props(model, {"facestream": header.to_json()})
    onnx.save(model, str(tmp_path / "many.onnx"))
    engine = build_artifact(tmp_path / "many.onnx", BuildOptions("onnxruntime", "fp32", batch))
    encoder = create_encoder(str(engine))
    image = IMAGE.copy()
    image[:, 60:] = (255, 204, 51)
    rois = [Roi(20.0 + 20 * i, 50.0, 20.0, 0.0) for i in range(5)]
    assert isinstance(encoder, BatchEncoder)
    together = encoder.encode_all(image, rois)
    for roi, found in zip(rois, together, strict=True):
        alone = encoder.encode(image, roi).landmarks
        np.testing.assert_allclose(found.landmarks.points, alone.points, atol=1e-4)
    level = (together[0].landmarks.points[0, 0] - 10.0) / 20.0
    assert level == pytest.approx(200 / 255, abs=1e-3)
    assert (together[4].landmarks.points[:, 0] - 90.0) / 20.0 == pytest.approx([1.0, 0.8, 0.2], abs=1e-3)


def test_eye_corners_of_a_dense_set_are_found_on_the_head(tmp_path: Path) -> None:
    from tracker.face_model.head_points import landmark_embedding
    from tracker.face_model.store import load_face_model

    model = load_face_model()
    embedding = landmark_embedding(model, "head628")
    points = np.zeros((len(embedding.faces), 3), np.float32)
    path = network(tmp_path / "a.onnx", {"points": (points, "points", "fraction")}, "head628")
    text = path.read_bytes().replace(b"outer_eye_corners", b"other_eye_corners")
    path.write_bytes(text)
    assert create_encoder(str(path)).outer_eye_corners == (33, 263)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"landmark_set": ""}, "gives no landmarks of a named set"),
        ({"colour": "BGR"}, "must take RGB crops"),
        ({"role": "other"}, "gives no landmarks of a named set"),
    ],
)
def test_networks_that_are_no_encoders_are_refused(tmp_path: Path, change: dict[str, str], message: str) -> None:
    role = change.pop("role", "points")
    path = network(tmp_path / "a.onnx", {"points": (POINTS, role, "fraction")}, **change)
    with pytest.raises(NetworkAssetError, match=message):
        create_encoder(str(path))


def test_missing_damaged_and_nameless_files_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "bad.onnx").write_bytes(b"nothing")
    for name in ("none.onnx", "bad.onnx", "none.engine"):
        with pytest.raises(NetworkAssetError) as caught:
            create_encoder(str(tmp_path / name))
        assert "\n" not in str(caught.value)
    with pytest.raises(ConfigError, match=r"or an \.onnx or \.engine file; got 'medipipe'"):
        TrackerConfig(encoder="medipipe")
    assert TrackerConfig(encoder="my.onnx").encoder == "my.onnx"
