"""The tracker's frame loop on a GPU: encode and fit per frame."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from tools.gpu.steps import Outcome, SkippedError
from tracker.config import EngineName, TrackerConfig
from tracker.tracking import FrameTracker
from tracker.types import Frame

TARGET_MS = 1.0
ROOT = Path(__file__).resolve().parents[2]


def cpu_engine() -> EngineName:
    """What runs networks on this machine's CPU."""
    return "auto" if importlib.util.find_spec("openvino") else "onnxruntime"


def run(outcome: Outcome, engine: EngineName | Literal["cpu"], frames: int = 300) -> None:
    """Track a face in a still picture that wobbles, 1280x720, and take the medians of the stages."""
    engine = cpu_engine() if engine == "cpu" else engine
    picture = cv2.imread(str(ROOT / "docs" / "images" / "demo.jpg"))
    if picture is None:
        raise SkippedError("docs/images/demo.jpg is not here")
    scene = np.zeros((720, 1280, 3), np.uint8)
    scene[165 : 165 + picture.shape[0], 40 : 40 + picture.shape[1]] = cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
    tracker = FrameTracker(TrackerConfig(engine=engine))
    spent: dict[str, list[float]] = {}
    seen = 0
    for index in range(frames):
        moved = np.roll(scene, (round(8 * np.sin(index / 9)), round(12 * np.sin(index / 13))), (0, 1))
        result = tracker.process(Frame(moved, index, index * 33_333_333, "media", 0))
        seen += bool(result.faces)
        if index >= 60:
            for stage, ms in result.stage_ms.items():
                spent.setdefault(stage, []).append(ms)
    if not seen:
        raise RuntimeError("no face was found")
    outcome.facts |= {f"{stage}, ms p50": float(np.median(values)) for stage, values in spent.items()}
    total = np.median(np.sum([spent[s] for s in ("encode", "blendshapes", "fit")], axis=0))
    outcome.facts |= {"frames with a face": f"{seen} of {frames}", "encode + fit, ms p50": float(total)}
    outcome.facts["target"] = f"{'met' if total < TARGET_MS else 'not met'}: under {TARGET_MS} ms on a data-centre GPU"
