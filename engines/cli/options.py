"""Arguments that several verbs share."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engines.backend import Progress
from engines.precision import PRECISIONS

if TYPE_CHECKING:
    from engines.workbench import Workbench


def add_input_arguments(parser: argparse.ArgumentParser) -> None:
    """Where real inputs come from and what int8 may deviate."""
    parser.add_argument(
        "--calibrate",
        type=Path,
        metavar="FILE.npz",
        help="real inputs: an array per input name, or `crops`, RGB uint8 (N, S, S, 3); "
        "default: faces from the sample clips (`tracker samples fetch`)",
    )
    parser.add_argument("--rows", type=int, default=96, metavar="N", help="real inputs to use (default: 96)")
    parser.add_argument(
        "--max-deviation",
        type=float,
        default=1.0,
        metavar="PX",
        help="refuse int8 when the mean distance of any region's landmarks from fp32 exceeds this, px of the crop (default: 1)",
    )
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="CPU threads per run (default: 1)")


def add_comparison_arguments(parser: argparse.ArgumentParser) -> None:
    """What the verbs that compare engines share: networks, precisions, backends, inputs, results."""
    parser.add_argument(
        "models", nargs="*", metavar="MODEL", help="networks' files or names (default: all known by name)"
    )
    parser.add_argument(
        "--precision", default="all", metavar="P,…", help="fp32, fp16, bf16, int8 or all (default: all)"
    )
    parser.add_argument(
        "--json", action="store_true", help="as JSON on stdout; Ctrl-C leaves the networks that are done"
    )
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="also as JSON into a file, written after every network"
    )
    parser.add_argument("--backend", default="", metavar="B,…", help="only these (default: all that are installed)")
    add_input_arguments(parser)


def precisions_of(text: str) -> tuple[str, ...]:
    """``fp32,int8`` as names; ``all`` is all. Raises EngineError."""
    from engines.precision import canonical

    return PRECISIONS if text == "all" else tuple(canonical(name) for name in text.split(","))


def backends_of(text: str) -> tuple[str, ...]:
    """``openvino,torch`` as names; empty: none named. Raises EngineError."""
    from engines.backend import check_name

    names = tuple(name for name in text.split(",") if name)
    for name in names:
        check_name(name)
    return names


@contextmanager
def shown_progress(console: Any, title: str) -> Iterator[Progress]:
    """A line that says what is being done; nothing where nobody sees it."""
    with console.status(f"{title}: starting") as status:

        def progress(step: str, done: float | None = None) -> None:
            status.update(f"{title}: {step}{'' if done is None else f' {done:.0%}'}")

        yield progress


@contextmanager
def workbench(args: argparse.Namespace, name: str, console: Any) -> Iterator[Workbench]:
    """A network with what ``add_comparison_arguments`` asks to compare it by, and a line that says what is being done."""
    from engines.quantise import Limits
    from engines.workbench import Workbench

    with shown_progress(console, name) as progress:
        yield Workbench(
            name, calibrate=args.calibrate, limits=Limits(args.max_deviation), rows=args.rows, threads=args.threads,
            progress=progress, backends=backends_of(args.backend),
        )  # fmt: skip


def wide_console(stderr: bool = False) -> Any:
    """A console whose tables are not squeezed when they go into a file."""
    from rich.console import Console

    console = Console(highlight=False, stderr=stderr)
    return console if console.is_terminal else Console(highlight=False, stderr=stderr, width=160)
