"""``tracker cameras``: which cameras are there, and what they offer."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tracker.sources.v4l2 import CameraInfo

HELP = "list the cameras of this machine with their formats"

EPILOG = """examples:
  tracker cameras                       what is there, and how to name it
  tracker cameras --json                the same for programs
  tracker run --source webcam:2         use the camera listed as webcam:2
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Lists the cameras of this machine: the name to give to --source, the device, and each picture encoding with its "
        "sizes and frame rates. Exit code 1 when there is none."
    )
    parser.epilog = EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--json", action="store_true", help="print a JSON list instead of text")


def run(args: argparse.Namespace) -> int:
    from tracker.sources.webcam import list_cameras, no_camera_text

    cameras = list_cameras()
    if args.json:
        print(json.dumps([camera.to_message() for camera in cameras.found], indent=2))
    else:
        print(
            "\n".join(line for camera in cameras.found for line in describe(camera)), end="\n" if cameras.found else ""
        )
    for path, reason in cameras.refused:
        print(f"{path} cannot be asked: {reason}; `sudo usermod -aG video $USER` and a new login help", file=sys.stderr)
    if not cameras.found and not cameras.refused:
        print(no_camera_text(cameras), file=sys.stderr)
    return 0 if cameras.found else 1


def describe(camera: CameraInfo) -> list[str]:
    """Lines for people: the camera, then one line per encoding and size."""
    device = " ".join(part for part in (camera.path, camera.driver) if part)
    lines = [f"webcam:{camera.index}  {camera.name}" + (f"  ({device})" if device else "")]
    for offer in camera.formats:
        rates = ", ".join(f"{float(rate):g}" for rate in offer.rates)
        lines.append(f"    {offer.fourcc:4}  {offer.width}x{offer.height}" + (f"  at {rates} fps" if rates else ""))
    return lines
