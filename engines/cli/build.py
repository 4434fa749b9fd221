"""``engines build``: compile a network into the cache."""

from __future__ import annotations

import argparse
from typing import Any

from engines.backend import TABLE
from engines.cli.options import add_input_arguments
from engines.precision import PRECISIONS

HELP = "compile a network for this machine, or for named GPU generations, and keep it"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``engines build``."""
    parser.epilog = (
        "examples:\n"
        "  engines build my.onnx                                     the fastest backend here, in fp32\n"
        "  engines build face_landmarks_detector                     one of the tracker's own networks\n"
        "  engines build my.onnx --backend openvino --precision bf16\n"
        "  engines build my.onnx --batch 1:4:16                      up to 16 faces at once, best at 4\n"
        "  engines build my.onnx --precision int8                    calibrated with faces from the sample clips\n"
        "  engines build my.onnx --precision int8 --calibrate crops.npz --max-deviation 0.5\n"
        "  engines build my.onnx --backend tensorrt --precision fp16 --for sm86,sm89     on a machine without a GPU too\n"
        "  engines build my.onnx --backend tensorrt --precision int8 --for sm86          judged on the CPU\n"
        "  engines build my.onnx --backend tensorrt --strip-weights                      without its weights\n"
        "\n"
        "MODEL is an .onnx, .tflite or .pt2 file, or a network's name as `engines list` shows it. `auto` measures the\n"
        "installed backends once and remembers (`engines info` tells). What the cache has is not built again (--force does).\n"
        "In Python: engines.load_engine(PATH).infer(crops).\n"
    )
    parser.add_argument("model", metavar="MODEL", help="a network's file or name")
    parser.add_argument("--backend", default="auto", metavar="B", help=f"auto, {', '.join(TABLE)} (default: auto)")
    parser.add_argument("--precision", default="fp32", metavar="P", help=f"{', '.join(PRECISIONS)} (default: fp32)")
    parser.add_argument(
        "--batch", default="1", metavar="MIN:OPT:MAX", help="rows per run: N, MIN:MAX or MIN:OPT:MAX (default: 1)"
    )
    parser.add_argument(
        "--for",
        dest="targets",
        default="",
        metavar="D,…",
        help="devices to build for, such as sm86,sm89 (default: this machine)",
    )
    parser.add_argument(
        "--strip-weights",
        action="store_true",
        help="leave the weights out (tensorrt): a small file that takes them from MODEL at every start",
    )
    add_input_arguments(parser)
    parser.add_argument("--force", action="store_true", help="build, and measure, even when the cache has it")


def run(args: argparse.Namespace) -> int:
    """Carry out ``engines build``; returns the exit code."""
    from engines.artifact import read_header
    from engines.backend import check_name
    from engines.batch import parse_batch
    from engines.build import BuildOptions
    from engines.choice import backend_for, choose
    from engines.cli.options import shown_progress, wide_console
    from engines.errors import EngineError
    from engines.precision import canonical
    from engines.quantise import AccuracyError, Limits
    from engines.workbench import Workbench

    precision, batch = canonical(args.precision), parse_batch(args.batch)
    targets = tuple(target for target in args.targets.split(",") if target)
    if args.backend != "auto":
        check_name(args.backend)
    if args.threads < 1:
        raise EngineError(f"threads must be at least 1, got {args.threads}")
    name = backend_for(targets) if args.backend == "auto" and targets else args.backend
    measured = name == "auto"
    if measured and args.strip_weights:
        raise EngineError("--strip-weights needs the backend named too: add --backend tensorrt")
    console = wide_console()
    with shown_progress(console, args.model) as progress:
        bench = Workbench(
            args.model,
            calibrate=args.calibrate,
            limits=Limits(args.max_deviation),
            rows=args.rows,
            threads=args.threads,
            progress=progress,
        )
        try:
            # What was measured is in the cache by now.
            force = args.force and not measured
            if measured:
                name = choose(bench, precision, batch, args.force)
            path = bench.build(BuildOptions(name, precision, batch, targets, args.threads, args.strip_weights), force)
        except AccuracyError as error:
            _print_gate(console, error.table)
            raise
    header = read_header(path)
    console.print(
        f"{header.model} for {header.backend} {header.backend_version} on {header.device}, {header.precision}, "
        f"batch {header.batch}: {header.payload_bytes / 1e6:.1f} MB, built in {header.build_s:.1f} s",
        soft_wrap=True,
    )
    if "gate" in header.notes:
        worst = max(header.notes["gate"], key=lambda found: (found["unit"] == "px", found["mean"]))
        console.print(
            f"int8 judged on {header.notes['judged_rows']} crops by {header.notes['judged_by']}: "
            f"{worst['what']} is furthest from fp32, {worst['mean']:.3g} {worst['unit']} on average",
            soft_wrap=True,
        )
    console.print(str(path), soft_wrap=True)
    return 0


def _print_gate(console: Any, table: list[Any]) -> None:
    from rich.table import Table

    shown = Table("region or output", "unit", "mean", "p95", "worst", title="int8 against fp32", box=None)
    for found in table:
        shown.add_row(found.what, found.unit, f"{found.mean:.3f}", f"{found.p95:.3f}", f"{found.worst:.3f}")
    console.print(shown)
