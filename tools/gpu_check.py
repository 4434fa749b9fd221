"""Check and measure everything this program does on an NVIDIA GPU, in one command of under ten minutes.

    python tools/gpu_check.py --out report
    python tools/gpu_check.py --out report --pycuda pycuda-2026.1.tar.gz     build pycuda first (needs the CUDA toolkit)
    python tools/gpu_check.py --out report --step "frame loop with torch"    this step only

Every step is reported as done, skipped (why) or failed (why); the report is written after each (gpu_check.md, gpu_check.json).
Steps are processes of their own: one that hangs is stopped at its limit, and all when the time is up.
On a machine without a GPU this is a dry run: what needs none is done, the rest is skipped. Exit code 1 when a step failed.
docs/gpu.md tells how to take what is needed to a machine that reaches no network.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from engines.cuda.gpu import find_gpu
from engines.tensorrt_module import CURRENT
from tools.gpu.steps import Child, Outcome, Report, SkippedError, carry_out

LIMITS_STEP = "limits of this GPU"
PYCUDA_STEP = "pycuda"


@dataclass(frozen=True, slots=True)
class Step:
    """What is done, and for how long at most."""

    name: str
    limit_s: float
    work: Callable[[Outcome], None]


def on_gpu(work: Callable[[Outcome], None]) -> Callable[[Outcome], None]:
    """``work``, skipped where there is no GPU."""

    def checked(outcome: Outcome) -> None:
        found = find_gpu()
        if isinstance(found, str):
            raise SkippedError(found)
        work(outcome)

    return checked


def work(place: str, **given: object) -> Callable[[Outcome], None]:
    """A function of ``tools.gpu``, such as ``torch_check.limits``, with what else it is given.

    Imported when its turn comes: a package that is missing costs the steps that need it.
    """
    module, _, function = place.partition(".")

    def carried_out(outcome: Outcome) -> None:
        getattr(importlib.import_module(f"tools.gpu.{module}"), function)(outcome, **given)

    return carried_out


def steps(report: Path, source: Path | None, pycuda: Path) -> list[Step]:
    """All steps, what matters most first.

    Args:
        report: the folder of the report, which later steps read earlier ones in.
        source: pycuda's source archive.
        pycuda: the folder to build it into.
    """
    return [
        Step("machine", 40, described),
        Step("TensorRT's module", 40, work("machine.tensorrt")),
        Step("TensorRT, building ahead of time", 60, work("tensorrt_check.build")),
        *(
            Step(
                f"TensorRT {precision}, built for {whom}", 45,
                on_gpu(work("tensorrt_check.run", precision=precision, targets=targets)),
            )
            for precision, whom, targets in (
                ("fp32", "every GPU", ()), ("fp32", "this GPU", (CURRENT,)), ("fp16", "this GPU", (CURRENT,)),
            )
        ),
        Step("TensorRT without weights", 45, on_gpu(work("tensorrt_check.stripped"))),
        Step("crops through cuda-bindings", 60, on_gpu(work("crops_check.check", kind="cuda-bindings"))),
        Step("frame loop with torch", 75, on_gpu(work("frame_loop.run", engine="torch"))),
        Step("engines in torch", 120, work("torch_check.engines")),
        Step("frame loop with TensorRT", 60, on_gpu(work("frame_loop.run", engine="tensorrt"))),
        Step("frame loop on the CPU", 60, work("frame_loop.run", engine="cpu")),
        Step(LIMITS_STEP, 40, on_gpu(work("torch_check.limits"))),
        Step("networks in torch", 100, on_gpu(lambda outcome: work("torch_check.networks", reached=reached(report))(outcome))),
        Step("synthetic renderer", 90, work("training_check.renderer")),
        Step("training dense_landmarks", 130, work("training_check.fit", method="dense_landmarks")),
        Step("training encoder", 110, work("training_check.fit", method="encoder")),
        Step("decoding with NVDEC", 60, on_gpu(work("decoding.run"))),
        Step(PYCUDA_STEP, 300, on_gpu(work("machine.build_pycuda", source=source, target=pycuda))),
        Step("crops through pycuda", 60, on_gpu(work("crops_check.check", kind="pycuda"))),
    ]  # fmt: skip


def reached(report: Path) -> dict[str, float]:
    """What the step before found to be this GPU's limits; empty when it did not."""
    with suppress(OSError, ValueError):
        for step in json.loads((report / "gpu_check.json").read_text()):
            if step["name"] == LIMITS_STEP:
                return dict(step["facts"])
    return {}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--out", type=Path, default=Path("gpu_check"), help="folder for the report (default: gpu_check)"
    )
    parser.add_argument(
        "--pycuda", type=Path, metavar="SDIST", help="pycuda's source archive, to build where it is missing"
    )
    parser.add_argument("--seconds", type=float, default=570, help="stop after that many (default: 570)")
    parser.add_argument("--step", metavar="NAME", help="this step only")
    parser.add_argument("--result", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--pycuda-folder", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args(arguments)
    folder: Path = args.out.absolute()
    source = None if args.pycuda is None else args.pycuda.absolute()
    if args.result is not None:
        (step,) = (step for step in steps(folder, source, args.pycuda_folder) if step.name == args.step)
        args.result.write_text(json.dumps(asdict(carry_out(step.name, step.work)), default=str))
        return 0
    report = Report(folder)
    with tempfile.TemporaryDirectory(prefix="gpu-check-") as scratch:
        chosen = [step for step in steps(folder, source, Path()) if args.step in (None, step.name)]
        if not chosen:
            parser.error(f"no step is called {args.step!r}")
        _all(report, chosen, source, Path(scratch), args.seconds)
    failed = [outcome.name for outcome in report.outcomes if outcome.state == "failed"]
    print(f"report: {folder / 'gpu_check.md'}" + (f"; failed: {', '.join(failed)}" if failed else ""))
    return 1 if failed else 0


def _all(report: Report, chosen: list[Step], source: Path | None, scratch: Path, seconds: float) -> None:
    """One step after the other; pycuda is built beside the first ones."""
    ends = time.monotonic() + seconds
    pycuda = scratch / "pycuda"
    paths = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), str(pycuda)]))

    def started(step: Step) -> Child:
        command = [sys.executable, str(Path(__file__).resolve()), "--step", step.name, "--out", str(report.folder)]
        command += ["--result", str(scratch / f"{step.name}.json"), "--pycuda-folder", str(pycuda)]
        command += [] if source is None else ["--pycuda", str(source)]
        # Only the steps about pycuda see it: half a package must not turn up in the others.
        seen = {"PYTHONPATH": paths} if PYCUDA_STEP in step.name else {}
        return Child(step.name, command, scratch / f"{step.name}.json", {**os.environ, **seen})

    begun = {step.name: started(step) for step in chosen if step.name == PYCUDA_STEP and ends - time.monotonic() > 0}
    try:
        for step in chosen:
            left = ends - time.monotonic()
            if step.name not in begun and left < 5:
                report.add(Outcome(step.name, "skipped", f"{seconds:.0f} s are over"))
                continue
            if step.name not in begun:
                print(f"{step.name} …", flush=True)
                begun[step.name] = started(step)
                limit = min(step.limit_s, left)
            else:
                limit = min(step.limit_s, seconds)
            report.add(begun.pop(step.name).outcome(limit))
    finally:
        for child in begun.values():
            child.stop()


def described(outcome: Outcome) -> None:
    """What can be told about the machine; skipped where it has no GPU."""
    found = find_gpu()
    try:
        work("machine.describe")(outcome)
    except Exception:
        if isinstance(found, str):
            raise SkippedError(found) from None
        raise


if __name__ == "__main__":
    sys.exit(main())
