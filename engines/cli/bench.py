"""``engines bench``: how long every backend takes, side by side."""

from __future__ import annotations

import argparse
from typing import Any

from engines.cli.options import add_comparison_arguments

HELP = "measure every installed backend, precision and batch, beside fp32 on ONNX Runtime"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``engines bench``."""
    parser.epilog = (
        "examples:\n"
        "  engines bench                                  all networks that are known by name, batch 1, 4 and 16\n"
        "  engines bench my.onnx --batch 1,8,64 --precision fp32,bf16\n"
        "  engines bench --out bench.json                 written after every network; Ctrl-C keeps what is done\n"
        "\n"
        "All engines of a network run in turn, round by round, on real crops: what else the machine does falls on all alike.\n"
        "A ratio is the median over rounds of an engine's time over that of fp32 on ONNX Runtime; below 1 is faster. `cpu`\n"
        "is processor time, which a busy machine does not lengthen; for engines on a GPU only the other one counts.\n"
    )
    add_comparison_arguments(parser)
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


def run(args: argparse.Namespace) -> int:
    """Carry out ``engines bench``; returns the exit code."""
    from engines.batch import parse_batch
    from engines.bench import bench_network, machine
    from engines.catalogue import all_names
    from engines.cli.options import precisions_of, wide_console, workbench
    from engines.cli.report import Report

    precisions = precisions_of(args.precision)
    sizes = [parse_batch(size).maximum for size in args.batch.split(",")]
    console = wide_console(args.json)
    about = {**machine(), "threads": args.threads}
    rows: list[dict[str, Any]] = []
    with Report(args.out, args.json) as report:
        for name in args.models or all_names():
            with workbench(args, name, console) as bench:
                found = bench_network(bench, precisions, sizes, args.seconds)
            rows += found
            report.update({"machine": about, "rows": rows})
            if not args.json:
                _print(console, found)
    if not args.json:
        console.print(", ".join(f"{key} {value}" for key, value in about.items()), soft_wrap=True)
    return 0


_FIGURES = {
    "p50_ms": "p50 ms",
    "p95_ms": "p95 ms",
    "row_ms": "ms per row",
    "ratio": "ratio",
    "cpu_ms": "cpu ms",
    "cpu_ratio": "cpu ratio",
}
"""Key of a row -> heading."""


def _print(console: Any, rows: list[dict[str, Any]]) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for column in ("network", "backend", "precision"):
        table.add_column(column)
    for column in ("batch", *_FIGURES.values()):
        table.add_column(column, justify="right")
    table.add_column("note")
    for row in rows:
        figures = [f"{row[key]:.3f}" if "ms" in key else f"{row[key]:.2f}" for key in _FIGURES if key in row]
        figures += [""] * (len(_FIGURES) - len(figures))
        start = (row["network"], row["backend"], row["precision"], str(row["batch"]))
        table.add_row(*start, *figures, row.get("note", ""))
    console.print(table)
