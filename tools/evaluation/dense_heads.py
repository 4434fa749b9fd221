"""Heads of dense landmark networks on the features of a trunk that stays as it is: losses and decoders compared in minutes.

A network trained from nothing in two minutes says more about its backbone's start than about its loss. The trunk of the
tracker's landmark network, computed once for every crop, is a start that all share.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn

from trainer.data.stored import StoredStream, store
from trainer.methods.dense_landmarks.data import resized
from trainer.methods.dense_landmarks.measures import PX, Predicted, measure
from trainer.methods.dense_landmarks.module import TrainedLandmarks
from trainer.methods.dense_landmarks.points import rows_of
from trainer.methods.dense_landmarks.real import RealCrops
from trainer.methods.dense_landmarks.settings import DenseLandmarkSettings
from trainer.metrics.calibration import Calibration
from trainer.networks.backbones import TRACKERS_OWN, make_backbone
from trainer.networks.dense_landmark_network import DenseLandmarkNetwork
from trainer.networks.landmark_mesh import builtin_mesh

_AT_ONCE: Final = 32
_WARMUP: Final = 30


@dataclass(frozen=True)
class Features:
    """Crops as a trunk sees them, and their labels."""

    values: Tensor
    """(N, C) standardised."""
    truth: Tensor
    """(N, 1609, 2)."""
    rotation: Tensor
    source: tuple[str, ...]


@dataclass(frozen=True)
class Head:
    """What a head came to; errors in pixels of 256."""

    mlme_px: float
    """Of rendered crops."""
    frontal_px: float
    """Of faces turned by less than 30 degrees."""
    real_px: float
    """Of real crops of people whom training did not see; NaN without any."""
    calibration: Calibration
    seconds: float
    """Of training."""
    predicted: Predicted
    """Of all held-out crops, rendered ones first."""
    decoder_ms: float
    """From features to landmarks of one picture."""


def features_of(folder: Path, part: str) -> Features:
    """Features of stored crops, computed once and kept beside them as ``features.npy``.

    Raises:
        ConfigError: there are no stored crops, or the tracker's networks are not there.
    """
    stored = StoredStream(folder / part, 1)
    stored = StoredStream(folder / part, min(_AT_ONCE, stored.crops))
    batches = [stored.batch(index) for index in range(stored.length or 0)]
    path = folder / part / "features.npy"
    if not path.is_file() or len(np.load(path, mmap_mode="r")) != stored.crops:
        trunk = make_backbone(TRACKERS_OWN, 256).eval()
        with torch.no_grad():
            rows = [trunk(resized(batch.image, 256)).half().numpy() for batch in batches]
        np.save(path, np.concatenate(rows))
    values = torch.from_numpy(np.load(path)).float()
    return Features(
        values,
        torch.cat([batch.points[..., :2] for batch in batches]),
        torch.cat([batch.rotation for batch in batches]),
        tuple(name for batch in batches for name in batch.source),
    )


def both(one: Features, other: Features) -> Features:
    """The crops of one and of the other."""
    return Features(
        torch.cat([one.values, other.values]),
        torch.cat([one.truth, other.truth]),
        torch.cat([one.rotation, other.rotation]),
        one.source + other.source,
    )


def store_real(shards: Path, folder: Path, count: int, size: int) -> None:
    """Keep real crops of shards as stored ones, ``real_train`` and ``real_validation``, where they are not there yet.

    Raises:
        ConfigError: the shards hold none.
    """
    for part, held_out in (("real_train", False), ("real_validation", True)):
        if (folder / part / "about.json").is_file():
            continue
        seed = None if held_out else 0
        crops = RealCrops(shards, held_out, _AT_ONCE, size, seed)
        number = crops.length if held_out else -(-count // _AT_ONCE)
        about = {"landmark_set": crops.landmark_set, "face_model": crops.face_model, "crop_size": size}
        store((crops.batch(index) for index in range(number)), folder / part, about)


def train_head(
    train: Features, validation: Features, settings: Mapping[str, Any], steps: int, batch: int = 64, seed: int = 0
) -> Head:
    """Train a decoder with its loss by Adam, cosine rate, and measure it on held-out crops."""
    wanted = DenseLandmarkSettings.read(settings)
    mesh = builtin_mesh(wanted.landmark_set)
    rows = torch.as_tensor(rows_of(wanted.landmark_set))
    torch.manual_seed(seed)
    mean, deviation = train.values.mean(dim=0), train.values.std(dim=0) + 1e-3
    network = DenseLandmarkNetwork(nn.Identity(), train.values.shape[1], wanted.decoder, mesh, wanted.sigma)
    module = TrainedLandmarks(wanted, mesh, network)
    optimiser = torch.optim.Adam(module.parameters(), lr=1e-3)

    def rate(step: int) -> float:
        return min(1.0, (step + 1) / _WARMUP) * (0.5 + 0.5 * float(np.cos(np.pi * step / steps)))

    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, rate)
    order = np.random.default_rng(seed)
    ones = torch.ones(batch, len(rows))
    began = time.perf_counter()
    for _ in range(steps):
        chosen = torch.from_numpy(order.choice(len(train.values), batch, replace=False))
        optimiser.zero_grad()
        given = (train.values[chosen] - mean) / deviation
        module.losses(given, train.truth[chosen][:, rows], ones)["loss"].backward()
        nn.utils.clip_grad_norm_(module.parameters(), 5.0)
        optimiser.step()
        schedule.step()
    seconds = time.perf_counter() - began
    module.eval()
    with torch.no_grad():
        points, sigma = module((validation.values - mean) / deviation)
        one = ((validation.values[:1] - mean) / deviation).contiguous()
        decoder_ms = milliseconds(lambda: module(one))
    predicted = Predicted(
        points, sigma * module.spread(), validation.truth[:, rows], validation.rotation, validation.source
    )
    table, calibration = measure(predicted, {})
    return Head(
        table.get("synthetic", table["all"])["mlme_px"],
        table["0-30 deg"]["mlme_px"],
        table["real"]["mlme_px"] if "real" in table else math.nan,
        calibration,
        seconds,
        predicted,
        decoder_ms,
    )


def trunk_ms() -> float:
    """What the trunk takes for one picture, in torch."""
    trunk, image = make_backbone(TRACKERS_OWN, 256).eval(), torch.rand(1, 3, 256, 256)
    with torch.no_grad():
        return milliseconds(lambda: trunk(image))


def milliseconds(call: Callable[[], object], rounds: int = 15) -> float:
    """Median time of a call, after two to warm up."""
    times = []
    for _ in range(rounds + 2):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return statistics.median(times[2:]) * 1e3


def decile_text(calibration: Calibration) -> str:
    """First, fifth and last decile as ``predicted:actual`` in pixels."""
    return ", ".join(f"{calibration.predicted[k] * PX:.1f}:{calibration.actual[k] * PX:.1f}" for k in (0, 4, 9))
