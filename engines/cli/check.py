"""``engines check``: whether every backend computes what the network says."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from engines.cli.options import add_comparison_arguments

if TYPE_CHECKING:
    from engines.check import Checked

HELP = "compare every installed backend and precision with fp32 on ONNX Runtime, on real crops"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``engines check``."""
    parser.epilog = (
        "examples:\n"
        "  engines check                                 all networks that are known by name\n"
        "  engines check my.onnx                         your own\n"
        "  engines check my.onnx --precision fp32,bf16 --batch 1:8\n"
        "  engines check face_landmarks_detector --out check.json\n"
        "\n"
        "Landmarks are compared in pixels of the crop, region by region; other outputs relative to their spread. fp32 must\n"
        "agree closely, whatever the batch; bf16, fp16 and int8 must stay within --max-deviation; a second run must give\n"
        "the same bits. Exit code 1 when one does not.\n"
    )
    add_comparison_arguments(parser)
    parser.add_argument("--batch", default="1:4:8", metavar="MIN:OPT:MAX", help="rows per run (default: 1:4:8)")


def run(args: argparse.Namespace) -> int:
    """Carry out ``engines check``; returns the exit code."""
    from dataclasses import asdict

    from engines.batch import parse_batch
    from engines.catalogue import all_names
    from engines.check import check
    from engines.cli.options import precisions_of, wide_console, workbench
    from engines.cli.report import Report

    batch, precisions = parse_batch(args.batch), precisions_of(args.precision)
    console = wide_console(args.json)
    networks: dict[str, list[dict[str, Any]]] = {}
    with Report(args.out, args.json) as report:
        for name in args.models or all_names():
            with workbench(args, name, console) as bench:
                found = check(bench, precisions, batch)
            networks[bench.resolved.name] = [asdict(one) for one in found]
            report.update(networks)
            if not args.json:
                _print(console, bench.resolved.name, found)
    return int(any(one["failures"] for checks in networks.values() for one in checks))


_TEXTS = ("backend", "precision", "what", "unit", "verdict")
_COLUMNS = (*_TEXTS[:4], "mean", "p95", "worst", "row in batch", "repeats", "verdict")


def _print(console: Any, name: str, found: list[Checked]) -> None:
    from rich.table import Table

    table = Table(title=name, box=None, title_justify="left", pad_edge=False)
    for column in _COLUMNS:
        table.add_column(column, justify="left" if column in _TEXTS else "right")
    for one in found:
        verdict = "ok" if not one.failures else "FAILS"
        start = (one.backend, one.precision)
        end = (f"{one.batch_difference:.1e}", "yes" if one.deterministic else "no", verdict)
        rows = [(d.what, d.unit, f"{d.mean:.4f}", f"{d.p95:.4f}", f"{d.worst:.4f}") for d in one.table]
        for index, row in enumerate(rows or [("", "", "", "", "")]):
            table.add_row(*(start if index == 0 else ("", "")), *row, *(end if index == 0 else ("", "", "")))
    console.print(table)
    for one in found:
        for failure in one.failures:
            console.print(f"  {one.backend} {one.precision}: {failure}", soft_wrap=True)
