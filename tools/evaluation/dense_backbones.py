"""Backbones of the dense landmark method trained alike on stored crops from random weights (Simic 2022, table 4.2)."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from torch import nn

from trainer.methods.dense_landmarks.method import DenseLandmarks
from trainer.methods.dense_landmarks.settings import DenseLandmarkSettings

SMALL: Final = ("resnet18", "mobilenetv3_l", "mobilenetv4_s")


@dataclass(frozen=True)
class Trained:
    """What a backbone came to."""

    name: str
    parameters: int
    mlme_px: float
    frontal_px: float
    """Of faces turned by less than 30 degrees."""
    images_per_s: float
    """Of training, median over steps."""


def train_backbones(
    folder: Path,
    crop_size: int,
    steps: int,
    names: tuple[str, ...] = SMALL,
    batch: int = 16,
    landmarks: str = "dense101",
) -> Iterator[Trained]:
    """Train each with a linear decoder and NGLL by Adam, a rate that falls by a cosine, and measure it on held-out crops.

    Args:
        folder: stored crops, ``train`` and ``validation``.
        crop_size: what they are scaled to, pixels.
        steps: of training.
        names: of backbones.
        batch: crops per step.
        landmarks: dense set.
    """
    for name in names:
        values: dict[str, Any] = {
            "backbone": name, "decoder": "linear", "loss": "ngll", "crop_size": crop_size, "landmark_set": landmarks,
            "batch_size": batch, "data": {"folder": str(folder), "augment": False},
        }  # fmt: skip
        torch.manual_seed(0)
        method = DenseLandmarks(DenseLandmarkSettings.read(values))
        module, streams = method.build().train(), method.streams()
        optimiser = torch.optim.AdamW(method.parameter_groups(module), lr=1.5e-3)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps, 1e-5)
        times = []
        for step in range(steps):
            given = streams.train.batch(step)
            began = time.perf_counter()
            optimiser.zero_grad()
            method.step(module, given)["loss"].backward()
            nn.utils.clip_grad_norm_(module.parameters(), 1.0)
            optimiser.step()
            schedule.step()
            times.append(time.perf_counter() - began)
        module.eval()
        length = streams.validation.length or 0
        with torch.no_grad():
            table = method.evaluate(module, (streams.validation.batch(index) for index in range(length)))
        yield Trained(
            name,
            sum(parameter.numel() for parameter in module.network.backbone.parameters()),
            table.rows["all"]["mlme_px"],
            table.rows["0-30 deg"]["mlme_px"],
            batch / statistics.median(times),
        )
