"""A package index in a folder: one hand-made wheel, and pip told to look nowhere else."""

from __future__ import annotations

import hashlib
import os
import zipfile
from pathlib import Path

import pytest


class WheelIndex:
    """A folder with the wheel ``facedata`` 1.0, whose members are given."""

    requirement = "facedata==1.0"

    def __init__(self, folder: Path, members: dict[str, bytes]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.wheel = folder / "facedata-1.0-py3-none-any.whl"
        info = "facedata-1.0.dist-info"
        with zipfile.ZipFile(self.wheel, "w") as archive:
            for name, content in members.items():
                archive.writestr(name, content)
            archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: facedata\nVersion: 1.0\n")
            archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            archive.writestr(f"{info}/RECORD", "")
        self.sha256 = hashlib.sha256(self.wheel.read_bytes()).hexdigest()

    def use(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Make pip see this folder and nothing else."""
        go_offline(monkeypatch)
        monkeypatch.setenv("PIP_FIND_LINKS", str(self.folder))


def go_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take every index away from pip."""
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
