"""Networks in torch with and without CUDA graphs, against the limits that torch itself reaches on this GPU."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from engines.cuda.gpu import find_gpu
from engines.engine import Engine
from engines.model import read_model
from tools.gpu.steps import Outcome, SkippedError
from tools.gpu.timing import wall_ms
from tracker.errors import NetworkAssetError

BATCHES = (1, 2, 4, 8, 16, 32, 64)
ROOT = Path(__file__).resolve().parents[2]


def _torch() -> Any:
    if importlib.util.find_spec("torch") is None:
        raise SkippedError("torch is not installed")
    import torch

    if not torch.cuda.is_available():
        raise SkippedError("torch sees no GPU")
    return torch


def limits(outcome: Outcome) -> dict[str, float]:
    """Bytes per second of a copy and operations per second of matrix products, measured on random data."""
    torch = _torch()
    source = torch.randn(1 << 28, device="cuda")
    target = torch.empty_like(source)
    copy_ms = _median_ms(torch, partial(target.copy_, source), 10)
    found = {"copy, GB/s (read and written)": 2 * source.numel() * 4 / copy_ms / 1e6}
    del source, target
    torch.backends.cuda.matmul.allow_tf32 = False
    for name, kind, side in (
        ("fp32", torch.float32, 4096),
        ("fp16", torch.float16, 8192),
        ("bf16", torch.bfloat16, 8192),
    ):
        a, b = (torch.randn(side, side, device="cuda", dtype=kind) for _ in range(2))
        ms = _median_ms(torch, lambda a=a, b=b: a @ b, 10)
        found[f"matrix product {name}, TFLOP/s"] = 2 * side**3 / ms / 1e9
    outcome.facts |= found
    return found


def networks(outcome: Outcome, reached: dict[str, float]) -> None:
    """Latency and throughput of each network, batch 1 to 64, fp32 and fp16, with and without graphs."""
    torch = _torch()
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = True
    rows: list[dict[str, Any]] = []
    for name, module, shape in _modules():
        operations = _operations(torch, module, shape)
        for precision, kind in (("fp32", torch.float32), ("fp16", torch.float16)):
            ready = module.to("cuda", kind).eval()
            rows += [
                _row(torch, name, ready, (batch, *shape), precision, kind, operations * batch, reached)
                for batch in BATCHES
            ]
        module.to("cpu", torch.float32)
    outcome.tables["Networks in torch"] = rows


def engines(outcome: Outcome) -> None:
    """The networks as the tracker runs them: built for torch, with and without graphs, against ONNX Runtime."""
    from engines.batch import BatchProfile
    from engines.build import open_engine
    from engines.cuda.engine import DeviceEngine
    from engines.tflite.convert import convert
    from tracker.networks.store import locate

    files = sorted((ROOT / "tracker" / "landmarks" / "data").glob("*.onnx"))
    with suppress(NetworkAssetError):
        files.insert(0, convert(locate("face_landmarks_detector.tflite")))
    if not files:
        raise SkippedError("no network is here; run: tracker models fetch")
    here = not isinstance(find_gpu(), str)
    for file in files:
        rows: list[dict[str, Any]] = []
        for precision in ("fp32", "bf16") if here else ("fp32",):
            most = BATCHES[-1] if here else 2
            profile = BatchProfile(1, 1, most) if read_model(file).open_batch else BatchProfile()
            engine = open_engine(file, "torch", precision, profile)
            on_gpu = isinstance(engine, DeviceEngine)
            plain = engine.another()
            if isinstance(plain, DeviceEngine):
                plain.graphs = False
            off = _off(engine, file)
            for batch in BATCHES:
                if batch > profile.maximum:
                    break
                graphed, p95 = wall_ms(partial(engine.run, batch), 60 if on_gpu else 3)
                row = {"precision": precision, "batch": batch, "ms": graphed, "p95": p95}
                row |= {"ms without graph": wall_ms(partial(plain.run, batch), 60)[0]} if on_gpu else {}
                rows.append({**row, "crops/s": batch / graphed * 1e3, "px off ONNX Runtime fp32, most": off})
        outcome.tables[f"{file.name} on {'the GPU' if on_gpu else 'the CPU'}"] = rows


def _off(engine: Engine, file: Path) -> float:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    (spec,) = engine.inputs
    crops = np.random.default_rng(0).random((min(2, spec.shape[0]), *spec.shape[1:]), np.float32)
    ours = next(iter(engine.infer(crops).values()))
    theirs = session.run(None, {spec.name: crops})[0]
    return float(np.abs(ours.reshape(-1) - theirs.reshape(-1)).max())


def _row(
    torch: Any, name: str, module: Any, shape: tuple[int, ...], precision: str, kind: Any, operations: float,
    reached: dict[str, float],
) -> dict[str, Any]:  # fmt: skip
    image = torch.rand(shape, device="cuda", dtype=kind)
    with torch.inference_mode():
        plain = _median_ms(torch, lambda: module(image), 30)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            module(image)
        replayed = _median_ms(torch, graph.replay, 30)
    row = {
        "network": name, "precision": precision, "batch": shape[0], "ms": plain, "ms with graph": replayed,
        "crops/s with graph": shape[0] / replayed * 1e3, "GFLOP": operations / 1e9,
    }  # fmt: skip
    limit = reached.get(f"matrix product {precision}, TFLOP/s")
    if limit:
        row["share of matrix limit"] = operations / replayed / 1e9 / limit
    return row


def _modules() -> list[tuple[str, Any, tuple[int, ...]]]:
    found: list[tuple[str, Any, tuple[int, ...]]] = []
    try:
        from tracker.networks.store import locate
        from trainer.networks.tflite_graph import TfliteModule

        found.append(
            ("landmarks, 256 px", TfliteModule.from_file(locate("face_landmarks_detector.tflite")), (3, 256, 256))
        )
    except NetworkAssetError as error:
        print(f"  without the landmark network: {error}")
    if importlib.util.find_spec("timm"):
        import timm

        found += [
            (f"{name}, 224 px", timm.create_model(name, pretrained=False, num_classes=956), (3, 224, 224))
            for name in ("resnet18", "mobilenetv3_large_100")
        ]
    if not found:
        raise SkippedError("neither the landmark network nor timm is here")
    return found


def _operations(torch: Any, module: Any, shape: tuple[int, ...]) -> float:
    from torch.utils.flop_counter import FlopCounterMode

    counter = FlopCounterMode(display=False)
    with counter, torch.inference_mode():
        module.eval()(torch.rand(1, *shape))
    return float(counter.get_total_flops())


def _median_ms(torch: Any, work: Callable[[], Any], repeats: int) -> float:
    """Wall time of a call and of waiting for it: what a frame loop sees at batch 1."""
    for _ in range(3):
        work()
    torch.cuda.synchronize()
    taken = []
    for _ in range(repeats):
        begun = time.perf_counter_ns()
        work()
        torch.cuda.synchronize()
        taken.append((time.perf_counter_ns() - begun) * 1e-6)
    return float(np.median(taken))
