"""``engines build``: compile a network into the cache."""

from __future__ import annotations

import argparse

from engines.backend import TABLE
from engines.precision import PRECISIONS

HELP = "compile a network for this machine, or for named GPU generations, and keep it"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``engines build``."""
    parser.epilog = (
        "examples:\n"
        "  engines build my.onnx                                     for this machine, in fp32\n"
        "  engines build my.onnx --backend openvino --precision bf16\n"
        "  engines build my.onnx --batch 1:4:16                      up to 16 faces at once, best at 4\n"
        "  engines build my.onnx --backend tensorrt --precision fp16 --for sm86,sm89     on a machine without a GPU too\n"
        "\n"
        "MODEL is an .onnx or .pt2 file, or a network's name as `engines list` shows it. What is in the cache already is\n"
        "not built again (--force does). `engines list` shows the result; Python: engines.load_engine(PATH).\n"
    )
    parser.add_argument("model", metavar="MODEL", help="an .onnx file, or the name of a known network")
    parser.add_argument("--backend", default="openvino", metavar="B", help=f"auto, {', '.join(TABLE)}")
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
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="CPU threads per run (default: 1)")
    parser.add_argument("--force", action="store_true", help="build even when the cache has it")


def run(args: argparse.Namespace) -> int:
    """Carry out ``engines build``; returns the exit code."""
    from rich.console import Console

    from engines.artifact import read_header
    from engines.batch import parse_batch
    from engines.build import BuildOptions, build_artifact
    from engines.precision import canonical
    from engines.resolve import resolve

    targets = tuple(target for target in args.targets.split(",") if target)
    options = BuildOptions(args.backend, canonical(args.precision), parse_batch(args.batch), targets, args.threads)
    resolved = resolve(args.model)
    console = Console(highlight=False)
    with console.status(f"{resolved.name}: starting") as status:

        def progress(step: str, done: float | None = None) -> None:
            share = "" if done is None else f" {done:.0%}"
            status.update(f"{resolved.name} for {options.backend} {options.precision}: {step}{share}")

        path = build_artifact(resolved.path, options, force=args.force, progress=progress, name=resolved.name)
    header = read_header(path)
    console.print(
        f"{resolved.name} for {header.backend} {header.backend_version} on {header.device}, {header.precision}, "
        f"batch {header.batch}: {header.payload_bytes / 1e6:.1f} MB, built in {header.build_s:.1f} s",
        soft_wrap=True,
    )
    console.print(str(path), soft_wrap=True)
    return 0
