from __future__ import annotations

from pathlib import Path

import pytest

from engines import catalogue
from tests.engines.toy import Toys, toy_network


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of its own."""
    monkeypatch.setenv("TRACKER_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "engines"


@pytest.fixture
def toy(tmp_path: Path, cache: Path) -> Path:
    return toy_network(tmp_path / "toy.onnx")


@pytest.fixture
def known(toy: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The toy network as the only one that is known by name."""
    toys = Toys(toy)
    monkeypatch.setattr(catalogue, "catalogues", lambda: [toys])
    return "toy"
