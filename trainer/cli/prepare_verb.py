"""``trainer prepare``."""

from __future__ import annotations

import argparse

from trainer.cli.arguments import add_settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_settings(parser)
    parser.epilog = "example:\n  trainer prepare dense_landmarks --preset gpu"


def run(args: argparse.Namespace) -> int:
    """Make the data, and print what it is."""
    from trainer.session import layered

    hashes = layered(args.method, args.preset, args.config, args.sets).method.prepare()
    for name, digest in hashes.items():
        print(f"{digest}  {name}")
    print(f"{args.method} is ready to train")
    return 0
