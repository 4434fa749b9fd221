"""``trainer resume``."""

from __future__ import annotations

import argparse

from trainer.cli.arguments import add_run, add_running, add_set, all_sets


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_run(parser)
    add_set(parser)
    add_running(parser)
    parser.epilog = """examples:
  trainer resume runs/dense_landmarks/20260101-120000-run
  trainer resume dense_landmarks                              # its newest run
  trainer resume dense_landmarks --set loop.steps=40000       # longer than planned
"""


def run(args: argparse.Namespace) -> int:
    """Train on; 0 when done, 130 after Ctrl-C."""
    from trainer.cli.display import display, ended
    from trainer.run_folder import find_run
    from trainer.session import resume

    folder = find_run(args.run)
    with display(args.quiet) as watcher:
        outcome = resume(folder, all_sets(args), watcher, args.until)
    return ended(folder, outcome)
