"""``engines prune``: delete what cannot be used any more."""

from __future__ import annotations

import argparse

HELP = "delete engines that are stale, damaged or for other machines"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``engines prune``."""
    parser.epilog = (
        "examples:\n"
        "  engines prune --dry-run    say what would go\n"
        "  engines prune              delete stale and damaged engines, and what interrupted builds left behind\n"
        "  engines prune --foreign    also those built for other machines or for backends that are not installed\n"
        "  engines prune --all        all engines\n"
    )
    parser.add_argument("--dry-run", action="store_true", help="delete nothing")
    parser.add_argument("--foreign", action="store_true", help="also those for other machines or missing backends")
    parser.add_argument("--all", action="store_true", help="all engines")


def run(args: argparse.Namespace) -> int:
    """Carry out ``engines prune``; returns the exit code."""
    from engines import state
    from engines.cache import artifacts, leftovers
    from engines.cli.options import wide_console

    unwanted = {state.DAMAGED, state.STALE}
    unwanted |= {state.FOREIGN, state.NO_BACKEND} if args.foreign or args.all else set()
    unwanted |= {state.USABLE} if args.all else set()
    doomed = [(path, state.state_of(header)) for path, header in artifacts()]
    doomed = [(path, word) for path, word in doomed if word in unwanted]
    doomed += [(path, "left behind") for path in leftovers()]
    console = wide_console()
    freed = 0
    for path, word in doomed:
        freed += path.stat().st_size
        console.print(f"{'would delete' if args.dry_run else 'deleted'} {path.name} ({word})", soft_wrap=True)
        if not args.dry_run:
            path.unlink()
    console.print(f"{len(doomed)} files, {freed / 1e6:.1f} MB")
    return 0
