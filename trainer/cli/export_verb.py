"""``trainer export``."""

from __future__ import annotations

import argparse
from pathlib import Path

from trainer.cli.arguments import add_run, add_which


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_run(parser)
    add_which(parser)
    parser.add_argument("-o", "--output", required=True, type=Path, metavar="FILE", help="the .onnx file to write")
    parser.epilog = """examples:
  trainer export dense_landmarks -o landmarks.onnx            its newest run, best checkpoint
  trainer export runs/dense_landmarks/20260101-120000-run --checkpoint last -o last.onnx

The moving average of the weights is exported where the run kept one. ONNX Runtime's outputs must be torch's, or nothing is
written. What then:
  tracker run --encoder landmarks.onnx                        track with it
  engines build landmarks.onnx --backend openvino             measure and speed it up; prints the engine's path
"""


def run(args: argparse.Namespace) -> int:
    """Write the file."""
    from trainer.run_folder import find_run
    from trainer.session import export

    folder = find_run(args.run)
    export(folder, args.output, args.checkpoint)
    print(f"{args.output}: {args.output.stat().st_size / 1e6:.1f} MB, from {folder.path}, same as torch")
    return 0
