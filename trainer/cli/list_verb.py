"""``trainer list``."""

from __future__ import annotations

import argparse
import json

from trainer.methods import find, names


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("method", nargs="?", metavar="METHOD", help="show this one with all its settings")
    parser.epilog = "examples:\n  trainer list\n  trainer list dense_landmarks"


def run(args: argparse.Namespace) -> int:
    """Print the methods, or one of them."""
    if args.method is None:
        for name in names():
            method = find(name)
            print(f"{name:<20}{method.summary}  [presets: {', '.join(method.presets) or 'none'}]")
        return 0
    from trainer.session import layered

    kind = find(args.method)
    print(f"{args.method}: {kind.summary}\n\ndefaults:\n{json.dumps(layered(args.method).plain(), indent=2)}")
    for preset, values in kind.presets.items():
        print(f"\npreset {preset}:\n{json.dumps(values, indent=2)}")
    return 0
