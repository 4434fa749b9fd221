"""``trainer evaluate``."""

from __future__ import annotations

import argparse
import json

from trainer.cli.arguments import add_run, add_set, add_which


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_run(parser)
    add_which(parser)
    add_set(parser)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.epilog = """examples:
  trainer evaluate dense_landmarks                            its newest run, best checkpoint
  trainer evaluate runs/dense_landmarks/20260101-120000-run --checkpoint last
  trainer evaluate dense_landmarks --json > result.json       {"rows": {ROW: {METRIC: value}}, "notes": [...]}

Rows are subsets of the validation data (all, parts of the face, turns of the head ...), columns are metrics. The data is what
the run's config.json says; --set changes that, such as method.data.folder=DIR.
"""


def run(args: argparse.Namespace) -> int:
    """Print the table."""
    from trainer.cli.display import print_table
    from trainer.run_folder import find_run
    from trainer.session import measure

    table = measure(find_run(args.run), args.checkpoint, args.sets)
    if args.json:
        print(json.dumps({"rows": table.rows, "notes": list(table.notes)}, indent=2))
    else:
        print_table(table)
    return 0
