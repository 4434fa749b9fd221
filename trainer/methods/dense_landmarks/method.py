"""Dense landmarks as the trainer's plug-in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn

from engines import InputHeader, NetworkHeader, OutputHeader
from tracker.face_model.store import BUILTIN_NAME, load_face_model
from trainer.data.batch import Batch
from trainer.method import Method, Streams, Table
from trainer.methods.dense_landmarks import data
from trainer.methods.dense_landmarks.measures import PX, Predicted, by_kind, joined, measure
from trainer.methods.dense_landmarks.module import TrainedLandmarks
from trainer.methods.dense_landmarks.plot import calibration_plot
from trainer.methods.dense_landmarks.points import mesh_of
from trainer.methods.dense_landmarks.settings import PRESETS, DenseLandmarkSettings
from trainer.networks.backbones import make_backbone
from trainer.networks.dense_landmark_network import DenseLandmarkNetwork, Prediction
from trainer.networks.landmark_mesh import LandmarkMesh


class DenseLandmarks(Method[DenseLandmarkSettings]):
    """Backbone, decoder, likelihood (Simic 2022, sections 3.3 and 4.2)."""

    name = "dense_landmarks"
    summary = "up to 1609 landmarks of the face with a sigma each, by regression (Simic 2022)"
    settings_class = DenseLandmarkSettings
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = PRESETS
    best = ("all", "mlme_px")

    @property
    def mesh(self) -> LandmarkMesh:
        """Of the landmark set."""
        return mesh_of(self.settings.face_model, self.settings.landmark_set)

    def prepare(self) -> dict[str, str]:
        return data.prepare(self.settings.data, self.seed)

    def build(self) -> TrainedLandmarks:
        settings = self.settings
        weights = None if settings.weights is None else Path(settings.weights)
        backbone = make_backbone(settings.backbone, settings.crop_size, weights)
        network = DenseLandmarkNetwork(backbone, backbone.channels, settings.decoder, self.mesh, settings.sigma)
        return TrainedLandmarks(settings, self.mesh, network)

    def streams(self) -> Streams:
        settings = self.settings
        source, length = data.training_source(settings.data, self.seed, settings.batch_size)
        held_out, held_out_length = data.validation_source(settings.data, self.seed, settings.batch_size)
        wanted, name, model = settings.data, settings.landmark_set, settings.face_model
        augmenter = data.augmenter_of(name, wanted.upside_down, model) if wanted.augment else None
        size = settings.crop_size
        return Streams(
            data.LandmarkRows(source, length, name, size, augmenter, self.seed, model),
            data.LandmarkRows(held_out, held_out_length, name, size, face_model=model),
        )

    def step(self, module: nn.Module, batch: Batch) -> dict[str, Tensor]:
        return cast(TrainedLandmarks, module).losses(batch.image, batch.points[..., :2], batch.weight)

    def predict(self, module: nn.Module, batches: Iterable[Batch]) -> Predicted:
        """Predictions and truth of batches on the module's device, sigmas as standard deviations."""
        trained = cast(TrainedLandmarks, module)
        spread = trained.spread()
        parts = []
        for batch in batches:
            points, sigma = trained(batch.image)
            truth = batch.points[..., :2]
            parts.append(
                Predicted(
                    points.float().cpu(),
                    (sigma.float() * spread).cpu(),
                    truth.cpu(),
                    batch.rotation.cpu(),
                    batch.source,
                )
            )
        return joined(parts)

    def evaluate(self, module: nn.Module, batches: Iterable[Batch]) -> Table:
        predicted = self.predict(module, batches)
        rows, calibration = measure(predicted, self.regions())
        deciles = ", ".join(
            f"{p * PX:.1f}:{a * PX:.1f}" for p, a in zip(calibration.predicted, calibration.actual, strict=True)
        )
        note = f"predicted : actual error per coordinate by decile of sigma, px of {PX}: {deciles}"
        return Table(
            rows, (note,), {"calibration of sigma (predicted / actual)": calibration_plot(by_kind(predicted), PX)}
        )

    def points(self, module: nn.Module, batch: Batch) -> Tensor:
        predicted: Prediction = module(batch.image)
        return predicted.points.float()

    def regions(self) -> dict[str, Tensor]:
        """Landmarks of each part of the face, and of the face's outline, where neighbours may be anyone's."""
        model = load_face_model(self.settings.face_model)
        vertices = self.mesh.levels[0].model_vertices
        found = {}
        for column, name in enumerate(model.region_names):
            inside = model.regions[vertices, column]
            if inside.any():
                found[name] = torch.as_tensor(inside.nonzero()[0])
        return found

    def deployed(self, module: nn.Module) -> tuple[nn.Module, NetworkHeader]:
        settings = self.settings
        trained = cast(TrainedLandmarks, module)
        own = settings.face_model != BUILTIN_NAME
        # A tracker's sets of these names are the built-in head's points on any model; a model's own points are others.
        landmark_set = f"{settings.face_model}/{settings.landmark_set}" if own else settings.landmark_set
        header = NetworkHeader(
            name=f"{settings.landmark_set}-{settings.backbone}-{settings.crop_size}",
            task="encoder",
            licence="",
            origin="trained with trainer fit dense_landmarks",
            landmark_set=landmark_set,
            face_model=settings.face_model,
            # The network normalises by itself.
            inputs=(InputHeader("image", size=settings.crop_size),),
            outputs=(OutputHeader("points", "points", "fraction"), OutputHeader("sigma", "sigma", "fraction")),
            regions={name: tuple(rows.tolist()) for name, rows in self.regions().items()},
        )
        return _Deployed(trained.network, trained.spread().cpu()), header


class _Deployed(nn.Module):
    """Image to landmarks and standard deviations."""

    def __init__(self, network: DenseLandmarkNetwork, spread: Tensor) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("spread", spread)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        points, sigma = self.network(image)
        return points, sigma * cast(Tensor, self.spread)
