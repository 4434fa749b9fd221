from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from tracker.publishing.config import PublishConfig
from tracker.publishing.publisher import Publisher

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def golden() -> ModuleType:
    """tools/make_golden_wire.py as a module: fixed faces, frames and packets."""
    spec = importlib.util.spec_from_file_location("make_golden_wire", ROOT / "tools" / "make_golden_wire.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["make_golden_wire"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def free_ports() -> PublishConfig:
    return PublishConfig(bind="127.0.0.1:0", latest="127.0.0.1:0", control="127.0.0.1:0")


@pytest.fixture
def publisher(free_ports: PublishConfig, golden: ModuleType) -> Iterator[Publisher]:
    with Publisher(free_ports, golden.MODEL) as publisher:
        yield publisher
