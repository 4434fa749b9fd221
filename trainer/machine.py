"""Devices and processes, by lightning-fabric: one process, or as many as ``torchrun`` has started."""

from __future__ import annotations

import logging
import os
import warnings
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.strategies.ddp import DDPStrategy

from trainer.errors import TrainingError
from trainer.run_settings import RunSettings


def set_up(settings: RunSettings) -> Fabric:
    """Fabric for these settings, with its processes joined.

    Raises:
        TrainingError: a GPU is asked for and there is none.
    """
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", message=".*srun.*")
    if settings.machine.threads is not None:
        torch.set_num_threads(settings.machine.threads)
    gpu = settings.machine.device == "gpu" or (settings.machine.device == "auto" and torch.cuda.is_available())
    if gpu and not torch.cuda.is_available():
        raise TrainingError("machine.device is gpu, but torch sees no GPU here; take --set machine.device=cpu")
    if settings.loop.precision == "16-mixed" and not gpu:
        raise TrainingError("loop.precision 16-mixed needs a GPU; on a CPU take bf16-mixed or 32-true")
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    local = int(os.environ.get("LOCAL_WORLD_SIZE", str(processes)))
    if gpu and local > torch.cuda.device_count():
        raise TrainingError(f"{local} processes were started, but there are {torch.cuda.device_count()} GPUs")
    options: dict[str, Any] = {}
    if processes > 1:
        options["strategy"] = DDPStrategy(find_unused_parameters=settings.machine.find_unused_parameters)
    if gpu:
        torch.set_float32_matmul_precision("high")
    fabric = Fabric(
        accelerator="cuda" if gpu else "cpu",
        devices=local,
        num_nodes=max(processes // local, 1),
        precision=settings.loop.precision,
        **options,
    )
    fabric.launch()
    return fabric
