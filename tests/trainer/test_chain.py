"""A network on its whole way: trained, exported, built, and tracking."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the trainer needs torch: pip install 'facestream-tracker[train]'")
pytest.importorskip(
    "onnxruntime", reason="checking exports needs onnxruntime: pip install 'facestream-tracker[engines]'"
)

from torch import Tensor, nn  # noqa: E402

from engines import InputHeader, NetworkHeader, OutputHeader  # noqa: E402
from engines.cli import main as engines_main  # noqa: E402
from tracker.config import TrackerConfig  # noqa: E402
from tracker.face_model.store import load_face_model  # noqa: E402
from tracker.types import FrameResult  # noqa: E402
from trainer.cli import main as trainer_main  # noqa: E402
from trainer.data.batch import Batch, unknown  # noqa: E402
from trainer.data.stream import Stream  # noqa: E402
from trainer.method import Method, Streams, Table  # noqa: E402
from trainer.settings import Settings  # noqa: E402

SIZE = 64


def _upright_face() -> Tensor:
    """(478, 3) landmarks of the mean face, looking into the camera, in a crop 1.5 times as large as its box."""
    model = load_face_model()
    points = model.landmarks(model.template, "mediapipe478")
    image = points * np.array([1.0, -1.0, -1.0])
    low, high = image[:, :2].min(axis=0), image[:, :2].max(axis=0)
    side = 1.5 * float((high - low).max())
    image[:, :2] = (image[:, :2] - (low + high) / 2.0) / side + 0.5
    image[:, 2] /= side
    return torch.from_numpy(image.astype(np.float32))


@dataclass(frozen=True)
class MeanFaceSettings(Settings):
    batch_size: int = 2


class MeanFaceStream(Stream):
    landmark_set = "mediapipe478"
    face_model = "builtin"
    crop_size = SIZE

    def __init__(self, batch_size: int, seed: int, length: int | None = None) -> None:
        self.batch_size, self.seed, self.length = batch_size, seed, length
        self._face = _upright_face()

    def batch(self, index: int) -> Batch:
        noise = np.random.default_rng((self.seed, index)).random((self.batch_size, 3, SIZE, SIZE), np.float32)
        blank = unknown(self.batch_size, 478, 1, SIZE)
        return replace(blank, image=torch.from_numpy(noise), points=self._face.repeat(self.batch_size, 1, 1))


class _MeanFaceNetwork(nn.Module):
    """Learns where landmarks lie in a crop on average, whatever it shows."""

    def __init__(self) -> None:
        super().__init__()
        self.face = nn.Parameter(torch.zeros(478, 3))

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        nothing = 0.0 * image.mean(dim=(1, 2, 3))
        points = self.face + nothing[:, None, None]
        return points, nothing[:, None] - torch.full((478,), 4.0), nothing + 8.0


class MeanFace(Method[MeanFaceSettings]):
    name = "mean_face"
    summary = "one face for every crop"
    settings_class = MeanFaceSettings
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "smoke": {
            "loop": {"steps": 40, "evaluate_every": 40},
            "optimiser": {"lr": 0.05, "weight_decay": 0.0},
            "machine": {"device": "cpu"},
        }
    }
    best = ("all", "error")

    def build(self) -> nn.Module:
        return _MeanFaceNetwork()

    def streams(self) -> Streams:
        size = self.settings.batch_size
        return Streams(MeanFaceStream(size, self.seed), MeanFaceStream(size, self.seed + 1, length=1))

    def step(self, module: nn.Module, batch: Batch) -> dict[str, Tensor]:
        return {"loss": (module(batch.image)[0] - batch.points).abs().mean()}

    def evaluate(self, module: nn.Module, batches: Iterable[Batch]) -> Table:
        errors = [(module(batch.image)[0] - batch.points).norm(dim=-1).mean().item() for batch in batches]
        return Table({"all": {"error": sum(errors) / len(errors)}})

    def deployed(self, module: nn.Module) -> tuple[nn.Module, NetworkHeader]:
        header = NetworkHeader(
            name="mean_face",
            task="encoder",
            landmark_set="mediapipe478",
            inputs=(InputHeader("image", size=SIZE),),
            outputs=(
                OutputHeader("points", "points", "fraction"),
                OutputHeader("log_sigma", "sigma", "log_fraction"),
                OutputHeader("presence", "presence", "logit"),
            ),
        )
        return module, header


@pytest.mark.slow
def test_trained_exported_built_and_tracking(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], networks: Path
) -> None:
    """The landmarks are the same ones wherever the network runs, and lead to a face near the picture's."""
    run, exported = tmp_path / "run", tmp_path / "mean_face.onnx"
    method = "tests.trainer.test_chain:MeanFace"
    assert trainer_main(["fit", method, "--preset", "smoke", "--out", str(run), "--quiet"]) == 0
    assert trainer_main(["export", str(run), "-o", str(exported)]) == 0
    capsys.readouterr()
    assert engines_main(["build", str(exported), "--backend", "onnxruntime"]) == 0
    built = capsys.readouterr().out.strip().splitlines()[-1]
    assert built.endswith(".engine")

    tracked = {path: _tracked(path) for path in (str(exported), built, "mediapipe")}
    onnx, engine, reference = (result.faces[0] for result in tracked.values())
    assert onnx.landmarks.set_name == "mediapipe478"
    np.testing.assert_allclose(onnx.landmarks.points, engine.landmarks.points, atol=0.05)
    np.testing.assert_allclose(onnx.landmarks.sigma, engine.landmarks.sigma, rtol=1e-3)
    # It knows nothing but where faces are in crops: the face is found, where it is, about as far away.
    eye_distance = np.linalg.norm(reference.landmarks.points[33, :2] - reference.landmarks.points[263, :2])
    apart = np.linalg.norm((onnx.landmarks.points - reference.landmarks.points)[:, :2], axis=1)
    assert np.median(apart) < 0.35 * eye_distance


def _tracked(encoder: str) -> FrameResult:
    from tracker.sources.open import open_source
    from tracker.tracking import FrameTracker

    tracker = FrameTracker(TrackerConfig(encoder=encoder, smoothing=False))
    with open_source("test:2") as source:
        return [tracker.process(frame) for frame in source][-1]
