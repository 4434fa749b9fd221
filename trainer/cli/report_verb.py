"""``trainer report``."""

from __future__ import annotations

import argparse

from trainer.cli.arguments import add_run


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_run(parser)
    parser.epilog = """examples:
  trainer report dense_landmarks                              its newest run; prints the page's path
  trainer report runs/dense_landmarks/20260101-120000-run

The page is one file without outside parts. A run that goes on can be looked at, too: `tensorboard --logdir runs` shows it live.
"""


def run(args: argparse.Namespace) -> int:
    """Write the page and say where it is."""
    from trainer.report import write_report
    from trainer.run_folder import find_run

    print(write_report(find_run(args.run)))
    return 0
