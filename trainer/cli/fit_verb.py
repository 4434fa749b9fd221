"""``trainer fit``."""

from __future__ import annotations

import argparse
from pathlib import Path

from trainer.cli.arguments import add_running, add_settings, all_sets


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_settings(parser)
    add_running(parser)
    parser.add_argument("--out", type=Path, metavar="DIR", help="the run's folder (default runs/METHOD/DATE-NAME)")
    parser.add_argument("--name", metavar="NAME", help="what the run is called")
    parser.epilog = """examples:
  trainer fit dense_landmarks --preset smoke
  trainer fit dense_landmarks --config mine.toml --set seed=1 --name seed1
  trainer fit dense_landmarks --preset gpu --minutes 25
  torchrun --nproc-per-node 4 -m trainer fit dense_landmarks --preset gpu

Ctrl-C ends it after the step at work, with a checkpoint; `trainer resume` goes on from there.
"""


def run(args: argparse.Namespace) -> int:
    """Train; 0 when done, 130 after Ctrl-C."""
    from trainer.cli.display import display, ended
    from trainer.session import fit, layered

    wanted = layered(args.method, args.preset, args.config, all_sets(args))
    with display(args.quiet) as watcher:
        folder, outcome = fit(wanted, args.out, args.name, watcher, args.until)
    return ended(folder, outcome)
