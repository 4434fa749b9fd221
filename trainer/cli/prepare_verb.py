"""``trainer prepare``."""

from __future__ import annotations

import argparse
from pathlib import Path

from trainer.cli.arguments import add_settings

SYNTHETIC = "synthetic"
_EXAMPLES = """\
examples:
  trainer prepare dense_landmarks --preset gpu
  trainer prepare synthetic --skins me.mp4 friends/*.jpg --places holidays/*.jpg
                                      unwrap people's skins and cut backgrounds, for all synthetic faces from now on
  trainer prepare synthetic --heads ict                       draw ICT-FaceKit's heads too, imported with `tracker models import`
  trainer prepare synthetic --skins me.mp4 --pack assets/     the same, into a folder that goes to a GPU machine
  trainer prepare synthetic --sheet sheet.png                 look at what is rendered
  trainer prepare synthetic --gap                             where MediaPipe's network sees points elsewhere than the labels
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_settings(parser)
    faces = parser.add_argument_group("synthetic", "in place of METHOD: what synthetic faces are made of")
    faces.add_argument(
        "--skins", nargs="+", type=Path, default=[], metavar="PATH", help="videos and pictures, one person each"
    )
    faces.add_argument(
        "--places", nargs="+", type=Path, default=[], metavar="PATH", help="videos and pictures for backgrounds alone"
    )
    faces.add_argument(
        "--heads",
        nargs="+",
        default=[],
        metavar="NAME",
        help="imported face models whose heads are drawn as well (ict)",
    )
    faces.add_argument("--pack", type=Path, metavar="DIR", help="write the assets here instead of the user's cache")
    faces.add_argument("--sheet", type=Path, metavar="FILE", help="write a contact sheet with and without landmarks")
    faces.add_argument("--gap", action="store_true", help="compare labels with MediaPipe's network, region by region")
    parser.epilog = _EXAMPLES


def run(args: argparse.Namespace) -> int:
    """Make the data, and print what it is."""
    if args.method == SYNTHETIC:
        return _synthetic(args)
    from trainer.session import layered

    hashes = layered(args.method, args.preset, args.config, args.sets).method.prepare()
    for name, digest in hashes.items():
        print(f"{digest}  {name}")
    print(f"{args.method} is ready to train")
    return 0


def _synthetic(args: argparse.Namespace) -> int:
    from trainer.data.synthetic import SyntheticConfig, SyntheticStream
    from trainer.data.synthetic.library import ARCHIVE, default_folder, prepare_assets

    folder = args.pack or default_folder()
    looks_only = (args.sheet is not None or args.gap) and not (args.skins or args.places or args.heads)
    if not looks_only:
        archive = prepare_assets(folder, args.skins, args.places, progress=print, heads=args.heads)
        print(f"{archive}  {archive.stat().st_size / 1e6:.1f} MB")
    assets = str(folder) if (folder / ARCHIVE).is_file() else None
    if args.sheet is not None:
        from tracker.rendering.picture_file import write_picture
        from trainer.data.synthetic.sheet import contact_sheet

        stream = SyntheticStream(SyntheticConfig(batch_size=24, assets=assets))
        write_picture(args.sheet, contact_sheet(stream.batch(0)))
        print(args.sheet)
    if args.gap:
        from trainer.data.synthetic.definition import definition_gap

        print("region            points  offset  spread   (% of the outer eye distance)")
        for row in definition_gap(assets):
            print(f"{row.region:<16}{row.points:>8}{row.offset:>8.2f}{row.spread:>8.2f}")
    return 0
