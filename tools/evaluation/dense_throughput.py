"""How many images a second each backbone trains on: forward, loss and backward, without the optimiser and without data."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from typing import Final

import torch

from trainer.methods.dense_landmarks.method import DenseLandmarks
from trainer.methods.dense_landmarks.settings import DenseLandmarkSettings
from trainer.networks.backbones import BACKBONES, TRACKERS_OWN

_LANDMARKS: Final = 403


def throughput(
    crop_size: int, batch: int, device: str = "cpu", rounds: int = 2, precision: str = "32-true"
) -> Iterator[tuple[str, float, float]]:
    """Backbone, millions of parameters, images a second (median over rounds), with a linear decoder of 403 landmarks and
    NGLL.

    Args:
        crop_size: side of the crops, pixels.
        batch: images at once.
        device: ``cpu`` or ``cuda``.
        rounds: measured after one that warms up.
        precision: ``32-true`` or ``bf16-mixed``.
    """
    image = torch.rand(batch, 3, crop_size, crop_size, device=device)
    for name in (*BACKBONES, TRACKERS_OWN):
        settings = DenseLandmarkSettings(
            backbone=name, decoder="linear", loss="ngll", crop_size=crop_size, landmark_set=f"dense{_LANDMARKS}"
        )
        module = DenseLandmarks(settings).build().to(device)
        truth, weight = torch.rand(batch, _LANDMARKS, 2, device=device), torch.ones(batch, _LANDMARKS, device=device)
        times = []
        for _ in range(rounds + 1):
            began = time.perf_counter()
            with torch.autocast(device, torch.bfloat16, enabled=precision == "bf16-mixed"):
                loss = module.losses(image, truth, weight)["loss"]
            loss.backward()
            if device != "cpu":
                torch.cuda.synchronize()
            times.append(time.perf_counter() - began)
        count = sum(parameter.numel() for parameter in module.network.backbone.parameters())
        yield name, count / 1e6, batch / statistics.median(times[1:])
