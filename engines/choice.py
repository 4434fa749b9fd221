"""``--backend auto``: measure the candidates once per machine, network and batch, and remember which is the fastest."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

from engines.batch import BatchProfile
from engines.cache import cache_dir
from engines.engine import Engine
from engines.errors import EngineError
from engines.measure import measure
from engines.precision import Precision
from engines.state import capability_of
from engines.workbench import Workbench, runnable

_BUDGET_S = 2.0


def choose(bench: Workbench, precision: Precision, batch: BatchProfile, again: bool = False) -> str:
    """The fastest backend of those installed, for ``batch.optimum`` rows.

    A choice holds as long as the same backends of the same versions are there. One candidate alone is not measured.

    Raises:
        EngineError: no backend here runs the network in that precision.
    """
    names = [name for name, _ in bench.candidates((precision,))]
    if not names:
        here = runnable(bench.resolved.path.suffix)
        raise EngineError(
            f"no installed backend runs {bench.resolved.name} in {precision}; here are: {', '.join(here) or 'none'}"
        )
    key = _key(bench.model.sha256, precision, batch, names)
    remembered = remembered_choices().get(key)
    if remembered is not None and not again:
        return str(remembered["backend"])
    engines: dict[str, Engine] = {}
    refused: dict[str, str] = {}
    for name in names:
        try:
            engines[name] = bench.engine(name, precision, batch)
        except EngineError as error:
            refused[name] = str(error)
    if not engines:
        raise EngineError(next(iter(refused.values())))
    bench.progress(f"measuring {', '.join(engines)}", None)
    given = bench.noise(batch.optimum)
    timings = measure(list(engines.values()), [given] * len(engines), batch.optimum, _BUDGET_S)
    # What a busy machine adds falls on some backends more than on others: OpenVINO's runs seem to give way more readily.
    measured = {name: round(timing.p10_ms, 4) for name, timing in zip(engines, timings, strict=True)}
    best = min(measured, key=lambda name: measured[name])
    _remember(
        key,
        {
            "network": bench.resolved.name,
            "model_sha256": bench.model.sha256,
            "precision": precision,
            "batch": str(batch),
            "backend": best,
            "ms": measured,
            "refused": refused,
        },
    )
    return best


def backend_for(targets: tuple[str, ...]) -> str:
    """The backend that builds for devices this machine need not have, which therefore cannot be measured.

    Raises:
        EngineError: several do, or none.
    """
    if all(re.fullmatch(r"sm\d+", target) for target in targets):
        return "tensorrt"
    only = {"gpu": "openvino", "cuda": "onnxruntime", "coreml": "onnxruntime", "tensorrt": "onnxruntime"}
    found = {only.get(target, "") for target in targets}
    if len(found) != 1 or "" in found:
        raise EngineError(f"--for {','.join(targets)} needs the backend named too, for example --backend openvino")
    return found.pop()


def remembered_choices() -> dict[str, Any]:
    """What has been measured on this machine; key -> what, which and how fast. A damaged file counts as none."""
    try:
        found = json.loads(_file().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _file() -> Path:
    return cache_dir("choices.json")


def _key(model_sha256: str, precision: str, batch: BatchProfile, names: list[str]) -> str:
    capabilities = [capability_of(name) for name in names]
    parts = (model_sha256, precision, str(batch), platform.node(), [repr(found) for found in capabilities])
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:20]


def _remember(key: str, choice: dict[str, Any]) -> None:
    """Keep it; a cache that cannot be written costs another measurement and nothing else."""
    partial = _file().with_name(f".choices.{os.getpid()}.part")
    try:
        partial.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(json.dumps({**remembered_choices(), key: choice}, indent=1), encoding="utf-8")
        partial.replace(_file())
    except OSError:
        with suppress(OSError):
            partial.unlink()
