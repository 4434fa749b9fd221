"""Check and measure everything this program does on an NVIDIA GPU, in one command of under ten minutes.

    python tools/gpu_check.py --out report
    python tools/gpu_check.py --out report --pycuda pycuda-2026.1.tar.gz     build pycuda first (needs the CUDA toolkit)

Every step is reported as done, skipped (why) or failed (why); the report is written after each (gpu_check.md, gpu_check.json).
On a machine without a GPU this is a dry run: what needs none is done, the rest is skipped. Exit code 1 when a step failed.
docs/gpu.md tells how to take what is needed to a machine that reaches no network.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from engines.cuda.gpu import find_gpu
from engines.tensorrt_module import CURRENT
from tools.gpu import crops_check, frame_loop, machine, tensorrt_check, torch_check
from tools.gpu.steps import Outcome, Report, SkippedError


def on_gpu(work: Callable[[Outcome], None]) -> Callable[[Outcome], None]:
    """``work``, skipped where there is no GPU."""

    def checked(outcome: Outcome) -> None:
        found = find_gpu()
        if isinstance(found, str):
            raise SkippedError(found)
        work(outcome)

    return checked


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--out", type=Path, default=Path("gpu_check"), help="folder for the report (default: gpu_check)"
    )
    parser.add_argument(
        "--pycuda", type=Path, metavar="SDIST", help="pycuda's source archive, to build where it is missing"
    )
    parser.add_argument("--seconds", type=float, default=540, help="begin no step after that many (default: 540)")
    args = parser.parse_args(arguments)
    report = Report(args.out, args.seconds)
    _steps(report, args.pycuda)
    failed = [outcome.name for outcome in report.outcomes if outcome.state == "failed"]
    print(f"report: {args.out / 'gpu_check.md'}" + (f"; failed: {', '.join(failed)}" if failed else ""))
    return 1 if failed else 0


def _steps(report: Report, pycuda: Path | None) -> None:
    report.step("machine", described)
    report.step("TensorRT's module", machine.tensorrt)
    report.step("TensorRT, building ahead of time", tensorrt_check.build)
    for precision in ("fp32", "fp16"):
        for whom, targets in (("every GPU", ()), ("this GPU", (CURRENT,))):
            work = partial(tensorrt_check.run, precision=precision, targets=targets)
            report.step(f"TensorRT {precision}, built for {whom}", on_gpu(work))
    report.step("pycuda", on_gpu(lambda o: machine.build_pycuda(o, pycuda)))
    report.step("crops through cuda-bindings", on_gpu(lambda o: crops_check.check(o, "cuda-bindings")))
    report.step("crops through pycuda", on_gpu(lambda o: crops_check.check(o, "pycuda")))
    reached: dict[str, float] = {}
    report.step("limits of this GPU", on_gpu(lambda o: reached.update(torch_check.limits(o))))
    report.step("frame loop with TensorRT", on_gpu(lambda o: frame_loop.run(o, "tensorrt")))
    report.step("frame loop with torch", on_gpu(lambda o: frame_loop.run(o, "torch")))
    report.step("frame loop on the CPU", lambda o: frame_loop.run(o, frame_loop.cpu_engine()))
    report.step("networks in torch", on_gpu(lambda o: torch_check.networks(o, reached)))


def described(outcome: Outcome) -> None:
    """What can be told about the machine; skipped where it has no GPU."""
    found = find_gpu()
    try:
        machine.describe(outcome)
    except Exception:
        if isinstance(found, str):
            raise SkippedError(found) from None
        raise


if __name__ == "__main__":
    sys.exit(main())
