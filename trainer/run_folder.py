"""A run on disk.

config.json       settings, what they were run with, the command line
history.jsonl     one line per logged step and per evaluation
checkpoints/      last.pt, best.pt
tensorboard/      scalars and pictures
samples/          pictures of predictions on validation data
report/           the page that `trainer report` writes
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tracker import __version__
from tracker.errors import ConfigError
from trainer.errors import TrainingError

_PACKAGES: Final = ("torch", "lightning-fabric", "timm", "numpy", "opencv-python-headless", "onnx", "onnxscript")


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Where a run keeps its things."""

    path: Path

    @property
    def last(self) -> Path:
        return self.path / "checkpoints" / "last.pt"

    @property
    def best(self) -> Path:
        return self.path / "checkpoints" / "best.pt"

    @property
    def history_path(self) -> Path:
        return self.path / "history.jsonl"

    @property
    def config_path(self) -> Path:
        return self.path / "config.json"

    def write_config(
        self, method: str, settings: Mapping[str, Any], data: Mapping[str, str], best: tuple[str, str]
    ) -> None:
        """Save the settings, what the run was made with, and the row and metric that checkpoints are compared by."""
        self.path.mkdir(parents=True, exist_ok=True)
        values = {"method_name": method, "settings": settings, "best": best, "made_with": _made_with(data)}
        write_text(self.config_path, json.dumps(values, indent=2) + "\n")

    def config(self) -> dict[str, Any]:
        """What ``write_config`` wrote. Raises ``ConfigError``."""
        try:
            values: dict[str, Any] = json.loads(self.config_path.read_text(encoding="utf-8"))
            if not isinstance(values["settings"], dict) or not isinstance(values["method_name"], str):
                raise KeyError
        except OSError as error:
            raise ConfigError(
                f"{self.path} is no run folder: config.json cannot be read ({error.strerror}); `trainer fit` makes one"
            ) from None
        except (ValueError, KeyError, TypeError):
            raise ConfigError(f"{self.config_path} is damaged: it must hold method_name and settings") from None
        return values

    def log(self, kind: str, step: int, values: Mapping[str, Any]) -> None:
        """Append a line to the history."""
        with self.history_path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"kind": kind, "step": step, **values}) + "\n")

    def history(self) -> list[dict[str, Any]]:
        """All lines of the history in order; a torn last one is left out."""
        lines: list[dict[str, Any]] = []
        if self.history_path.exists():
            for line in self.history_path.read_text(encoding="utf-8").splitlines():
                try:
                    lines.append(json.loads(line))
                except ValueError:
                    continue
        return lines

    def forget_after(self, step: int) -> None:
        """Drop history that a resumed run is going to write again."""
        if self.history_path.exists():
            kept = [line for line in self.history() if line["step"] <= step]
            write_text(self.history_path, "".join(json.dumps(line) + "\n" for line in kept))


def new_run(method: str, out: Path | None, name: str | None) -> RunFolder:
    """A fresh folder: ``out``, or ``runs/METHOD/DATE-NAME`` below the working directory.

    Raises:
        TrainingError: it holds a run already.
    """
    if out is None:
        label = re.sub(r"[^\w.-]+", "_", name or "run")
        method_folder = re.sub(r"[^\w.-]+", "_", method)
        out = Path("runs") / method_folder / f"{time.strftime('%Y%m%d-%H%M%S')}-{label}"
    run = RunFolder(out)
    if run.config_path.exists():
        raise TrainingError(f"{out} holds a run already; take it up with `trainer resume {out}` or give another --out")
    return run


def find_run(where: str) -> RunFolder:
    """The run in a folder, or the newest of a method's runs below ``runs/``. Raises ``ConfigError``."""
    folder = Path(where)
    if folder.is_dir() or os.sep in where:
        return RunFolder(folder)
    runs = sorted((Path("runs") / where).glob("*/config.json"), key=lambda path: path.stat().st_mtime)
    if not runs:
        raise ConfigError(f"there is no run folder {where!r}, nor a run of a method of that name below runs/")
    return RunFolder(runs[-1].parent)


def write_text(path: Path, text: str) -> None:
    """Write a whole file or leave what was there."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        unfinished.write_text(text, encoding="utf-8")
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def _made_with(data: Mapping[str, str]) -> dict[str, Any]:
    packages = {}
    for package in _PACKAGES:
        try:
            packages[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {
        "trainer": __version__,
        "commit": _commit(),
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "packages": packages,
        "data_sha256": dict(data),
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }


def _commit() -> str | None:
    """Of the checkout that this code runs from, with ``+`` where files differ from it; None outside of one."""
    folder = Path(__file__).resolve().parent
    try:
        run = ["git", "-C", str(folder), "describe", "--always", "--abbrev=40", "--dirty=+", "--exclude=*"]
        return subprocess.run(run, capture_output=True, text=True, timeout=10, check=True).stdout.strip() or None
    except (OSError, subprocess.SubprocessError):
        return None
