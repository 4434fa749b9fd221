"""``engines list``: what the cache holds and which networks are known by name."""

from __future__ import annotations

import argparse

HELP = "list the engines of the cache, and the networks that are known by name"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``engines list``."""
    parser.epilog = (
        "examples:\n"
        "  engines list           engines with backend, precision, batch, device, size and state\n"
        "  engines list --json    the same for programs\n"
        "\n"
        "An engine is usable when its backend has the version it was built by and this machine is one it was built for.\n"
    )
    parser.add_argument("--json", action="store_true", help="as JSON on stdout")


def run(args: argparse.Namespace) -> int:
    """Carry out ``engines list``; returns the exit code."""
    import json
    import sys

    from rich.table import Table

    from engines.cache import artifacts, cache_dir
    from engines.catalogue import catalogues
    from engines.cli.options import wide_console
    from engines.errors import EngineError
    from engines.state import state_of

    found = [(path, header, state_of(header)) for path, header in artifacts()]
    names = [name for catalogue in catalogues() for name in catalogue.names()]
    if args.json:
        engines = [
            {"path": str(path), "state": state, **({} if isinstance(header, EngineError) else header.as_dict())}
            for path, header, state in found
        ]
        json.dump({"engines": engines, "networks": names}, sys.stdout, indent=1)
        sys.stdout.write("\n")
        return 0
    console = wide_console()
    if found:
        table = Table(box=None, pad_edge=False)
        for column in ("network", "backend", "precision", "batch", "device", "MB", "built", "state"):
            table.add_column(column)
        for path, header, state in found:
            if isinstance(header, EngineError):
                table.add_row(path.name, *[""] * 6, state)
            else:
                table.add_row(
                    header.model, header.backend, header.precision, str(header.batch), header.device,
                    f"{header.payload_bytes / 1e6:.1f}", header.built_at[:16].replace("T", " "), state,
                )  # fmt: skip
        console.print(table)
    console.print(f"{len(found)} engines in {cache_dir()}", soft_wrap=True)
    console.print(f"networks known by name: {', '.join(names) or 'none'}", soft_wrap=True)
    return 0
