"""Options that several verbs share."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_settings(parser: argparse.ArgumentParser) -> None:
    """The method and its settings."""
    parser.add_argument("method", metavar="METHOD", help="a method that `trainer list` shows, or package.module:Class")
    parser.add_argument("--preset", metavar="NAME", help="settings that come with the method: smoke, cpu, gpu ...")
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings in TOML, or a run's config in JSON")
    add_set(parser)


def add_set(parser: argparse.ArgumentParser) -> None:
    """Single settings."""
    parser.add_argument(
        "--set", action="append", default=[], dest="sets", metavar="NAME=VALUE",
        help="one setting, such as optimiser.lr=1e-4 or method.backbone=resnet18 (repeatable)",
    )  # fmt: skip


def add_run(parser: argparse.ArgumentParser) -> None:
    """A run."""
    parser.add_argument("run", metavar="RUN", help="a run's folder, or a method: its newest run below runs/")


def add_which(parser: argparse.ArgumentParser) -> None:
    """A checkpoint of a run."""
    parser.add_argument(
        "--checkpoint", choices=("best", "last"), default="best", help="which of its checkpoints (default best)"
    )


def add_running(parser: argparse.ArgumentParser) -> None:
    """How to run."""
    parser.add_argument(
        "--minutes", type=float, metavar="M", help="time for training, the same as --set loop.minutes=M"
    )
    parser.add_argument("--until", type=int, metavar="STEP", help="stop after this step, to be resumed")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")


def all_sets(args: argparse.Namespace) -> list[str]:
    """``--set`` and the options that stand for one."""
    return [*args.sets, *([f"loop.minutes={args.minutes}"] if args.minutes is not None else [])]
