"""How many pictures a second training gets through, and the renderer behind it."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from tools.gpu.steps import Outcome, SkippedError

ROOT = Path(__file__).resolve().parents[2]


def _torch() -> Any:
    if importlib.util.find_spec("torch") is None:
        raise SkippedError("torch is not installed")
    import torch

    return torch


def renderer(outcome: Outcome, seconds: float = 15.0) -> None:
    """Synthetic faces of 256 px in batches of 32, drawn on the GPU, or on one core where there is none."""
    torch = _torch()
    from trainer.data.synthetic import SyntheticConfig, SyntheticStream

    place = "cuda" if torch.cuda.is_available() else "cpu"
    batch = 32 if place == "cuda" else 4
    rows: list[dict[str, Any]] = []
    for supersample in (1.0, 1.5):
        stream = SyntheticStream(SyntheticConfig(batch_size=batch, device=place, supersample=supersample))
        stream.batch(0)
        taken: list[float] = []
        ends = time.monotonic() + seconds / 2
        while not taken or time.monotonic() < ends:
            begun = time.perf_counter()
            stream.batch(len(taken) + 1)
            if place == "cuda":
                torch.cuda.synchronize()
            taken.append(time.perf_counter() - begun)
        rows.append({"device": place, "supersample": supersample, "images/s": batch / float(np.median(taken))})
    outcome.tables["Synthetic faces, 256 px"] = rows


def fit(outcome: Outcome, method: str, seconds: float = 60.0) -> None:
    """`trainer fit METHOD --preset gpu` for a minute, as anybody would type it; `--preset smoke` where there is no GPU."""
    torch = _torch()
    if importlib.util.find_spec("lightning_fabric") is None and importlib.util.find_spec("lightning") is None:
        raise SkippedError("training needs lightning-fabric; run: pip install 'facestream-tracker[train]'")
    on_gpu = torch.cuda.is_available()
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        workers = max(1, (os.cpu_count() or 2) - 2)
        command = [sys.executable, "-m", "trainer", "fit", method, "--quiet", "--out", str(run)]
        command += ["--preset", "gpu" if on_gpu else "smoke", "--minutes", f"{seconds / 60:g}"]
        command += ["--set", "loop.log_every=20"] if on_gpu else []
        command += ["--set", f"machine.workers={workers}"] if on_gpu else []
        if method == "dense_landmarks" and on_gpu:
            command += ["--set", "method.data.validation_crops=64"]
        paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        done = subprocess.run(
            command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": paths}, check=False
        )
        if done.returncode:
            said = (done.stderr or done.stdout).strip().splitlines()
            raise SkippedError(said[-1] if said else f"trainer ended with {done.returncode}")
        lines = [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]
    logged = [{"step": line["step"], **line["values"]} for line in lines if line["kind"] == "train"]
    if not logged:
        raise RuntimeError("the run logged nothing")
    outcome.facts |= {
        "command": " ".join(["trainer", *command[3:]]).replace(str(run), "run"),
        "steps": max(line["step"] for line in logged),
        # The first figure counts the start of the workers and the choice of kernels in.
        "images/s, median": float(np.median([line["images_per_s"] for line in logged[1:] or logged])),
        "GPU memory at most, MB": max((line.get("gpu_peak_mb", 0.0) for line in logged), default=0.0),
    }
