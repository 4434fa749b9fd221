"""A network on its whole way: trained, exported, built, and tracking."""

from __future__ import annotations

import contextlib
import io
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
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
from tracker.recording.take import read_take  # noqa: E402
from tracker.types import FrameResult  # noqa: E402
from trainer.cli import main as trainer_main  # noqa: E402
from trainer.data.batch import Batch, unknown  # noqa: E402
from trainer.data.stream import Stream  # noqa: E402
from trainer.method import Method, Streams, Table  # noqa: E402
from trainer.settings import Settings  # noqa: E402

SIZE = 64
METHOD = "tests.trainer.test_chain:MeanFace"


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


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A network that has been trained and exported, and the engine that was built from it."""
    folder = tmp_path_factory.mktemp("chain")
    run, exported = str(folder / "run"), str(folder / "mean_face.onnx")
    assert trainer_main(["fit", METHOD, "--preset", "smoke", "--out", run, "--quiet"]) == 0
    assert trainer_main(["export", run, "-o", exported]) == 0
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()) as said:
        patch.setenv("TRACKER_CACHE", str(folder / "cache"))
        assert engines_main(["build", exported, "--backend", "onnxruntime"]) == 0
    built = said.getvalue().strip().splitlines()[-1]
    assert built.endswith(".engine")
    return exported, built


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_clip_is_processed_with_the_network_by_command(
    made: tuple[str, str], tmp_path: Path, networks: Path, samples: Callable[[str], Path]
) -> None:
    take = tmp_path / "take.npz"
    command = [sys.executable, "-m", "tracker", "process", str(samples("single_face.mp4")), "-o", str(take)]
    command += ["--encoder", made[1], "--with-landmarks", "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    recorded = read_take(take)
    assert recorded.complete and len(recorded) == 72
    faces = [result.faces[0] for result in recorded if result.faces]
    assert len(faces) > 60
    assert all(0.1 < face.position[2] < 3.0 for face in faces)
    # The network sees nothing, so where it is led to later is chance; at first detection says where the face is.
    middle = faces[0].landmarks.points[:, :2].mean(axis=0)
    assert faces[0].landmarks.points.shape == (478, 3)
    assert np.linalg.norm(middle - [295, 208]) < 60


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_trained_exported_built_and_tracking(made: tuple[str, str], networks: Path) -> None:
    """The landmarks are the same ones wherever the network runs, and lead to a face near the picture's."""
    tracked = {path: _tracked(path) for path in (*made, "mediapipe")}
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
