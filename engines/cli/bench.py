"""``engines bench``: how long every backend takes, side by side."""

from __future__ import annotations

import argparse

from engines.cli.options import add_backend_argument, add_input_arguments

HELP = "measure every installed backend, precision and batch, beside fp32 on ONNX Runtime"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``engines bench``."""
    parser.epilog = (
        "examples:\n"
        "  engines bench                                  all networks that are known by name, batch 1, 4 and 16\n"
        "  engines bench my.onnx --batch 1,8,64 --precision fp32,bf16\n"
        "  engines bench face_landmarks_detector --json > bench.json\n"
        "\n"
        "All engines of a network run in turn, round by round, on real crops: what else the machine does falls on all alike.\n"
        "The ratio is the median over rounds of an engine's time over that of fp32 on ONNX Runtime; below 1 is faster.\n"
    )
    parser.add_argument(
        "models", nargs="*", metavar="MODEL", help="networks' files or names (default: all known by name)"
    )
    parser.add_argument(
        "--precision", default="all", metavar="P,…", help="fp32, fp16, bf16, int8 or all (default: all)"
    )
    parser.add_argument(
        "--batch", default="1,4,16", metavar="N,…", help="rows per run, each measured (default: 1,4,16)"
    )
    parser.add_argument(
        "--seconds",
        type=float,
        default=3.0,
        metavar="S",
        help="per network and batch, all engines together (default: 3)",
    )
    parser.add_argument("--json", action="store_true", help="as JSON on stdout")
    add_backend_argument(parser)
    add_input_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Carry out ``engines bench``; returns the exit code."""
    import json
    import sys

    from rich.table import Table

    from engines.batch import parse_batch
    from engines.bench import bench_network, machine
    from engines.catalogue import all_names
    from engines.cli.options import backends_of, precisions_of, shown_progress, wide_console
    from engines.quantise import Limits
    from engines.workbench import Workbench

    precisions = precisions_of(args.precision)
    sizes = [parse_batch(size).maximum for size in args.batch.split(",")]
    console = wide_console(args.json)
    rows = []
    for name in args.models or all_names():
        with shown_progress(console, name) as progress:
            bench = Workbench(
                name, calibrate=args.calibrate, limits=Limits(args.max_deviation), rows=args.rows,
                threads=args.threads, progress=progress, backends=backends_of(args.backend),
            )  # fmt: skip
            rows += bench_network(bench, precisions, sizes, args.seconds)
    about = {**machine(), "threads": args.threads}
    if args.json:
        json.dump({"machine": about, "rows": rows}, sys.stdout, indent=1)
        sys.stdout.write("\n")
        return 0
    table = Table(box=None, pad_edge=False)
    for column in ("network", "backend", "precision", "batch", "p50 ms", "p95 ms", "ms per row", "ratio", "note"):
        table.add_column(column, justify="right" if "ms" in column or column in ("batch", "ratio") else "left")
    for row in rows:
        figures = [f"{row[key]:.3f}" if key in row else "" for key in ("p50_ms", "p95_ms", "row_ms")]
        ratio = f"{row['ratio']:.2f}" if "ratio" in row else ""
        table.add_row(
            row["network"], row["backend"], row["precision"], str(row["batch"]), *figures, ratio, row.get("note", "")
        )
    console.print(table)
    console.print(", ".join(f"{key} {value}" for key, value in about.items()), soft_wrap=True)
    return 0
