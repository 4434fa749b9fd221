"""The formats that takes convert to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tracker.errors import ConfigError
from tracker.exporting import bvh, fbx, gltf, livelink_csv, usd
from tracker.exporting.performance import Performance
from tracker.face_model.model import FaceModel
from tracker.recording import outputs

Writer = Callable[[Performance, Callable[[], FaceModel], Path], list[str]]


@dataclass(frozen=True, slots=True)
class Format:
    """One kind of file."""

    name: str
    """What ``--to`` calls it."""
    suffix: str
    """What files of it end in; after a take's own name, ``.livelink.csv`` for example."""
    what: str
    write: Writer | None = None
    """Exports a performance, given what loads its face model, to a file; None for takes, which ``recording`` writes. Returns
    what people should know."""
    side_file: Callable[[Performance], bytes] | None = None
    """What belongs into NAME.json beside it."""
    check: Callable[[], None] | None = None
    """Raises RecordingError when a package that it needs is missing."""

    @property
    def is_take(self) -> bool:
        return self.write is None


def _with_model(write: Callable[[Performance, FaceModel, Path], list[str]]) -> Writer:
    return lambda performance, load_model, path: write(performance, load_model(), path)


def _without_model(write: Callable[[Performance, Path], list[str]]) -> Writer:
    return lambda performance, load_model, path: write(performance, path)


FORMATS: Final[tuple[Format, ...]] = (
    Format("npz", ".npz", "a take as numpy arrays, with VHAP's keys"),
    Format("jsonl", ".jsonl", "a take as JSON, one frame a line"),
    Format("csv", ".csv", "a take as a table"),
    Format("parquet", ".parquet", "a take as Parquet, for DuckDB, pandas and Polars"),
    Format("mcap", ".mcap", "a take as MCAP, which Foxglove opens"),
    Format(
        "livelink", ".livelink.csv", "Live Link Face's CSV, for Unreal, Maya, Blender importers",
        _without_model(livelink_csv.write_livelink_csv), livelink_csv.side_file,
    ),
    Format("glb", ".glb", "glTF 2.0: mesh with blend shapes, skeleton, camera and animation", _with_model(gltf.write_glb)),
    Format("gltf", ".gltf", "the same as text", _with_model(gltf.write_gltf)),
    Format("usd", ".usd", "USD: the same as UsdSkel", _with_model(usd.write_usd), check=usd.check_package),
    Format("usda", ".usda", "the same as text", _with_model(usd.write_usd), check=usd.check_package),
    Format("usdc", ".usdc", "the same, binary by name", _with_model(usd.write_usd), check=usd.check_package),
    Format("bvh", ".bvh", "head, jaw and eyes as motion capture", _with_model(bvh.write_bvh)),
    Format("fbx", ".fbx", "by way of Blender", _with_model(fbx.write_fbx), check=fbx.check_package),
)  # fmt: skip


def find_format(name: str | None, path: Path | None = None) -> Format:
    """The format called ``name``, or the one that the name of a file says.

    Raises:
        ConfigError: there is none; the message lists them.
    """
    known: dict[str, Any] = {entry.name: entry for entry in FORMATS}
    if name is not None:
        if name.lower() in known:
            found: Format = known[name.lower()]
            return found
        raise ConfigError(f"unknown format '{name}': there are {', '.join(known)}")
    assert path is not None
    fitting = [entry for entry in FORMATS if path.name.lower().endswith(entry.suffix)]
    if not fitting:
        suffixes = ", ".join(entry.suffix for entry in FORMATS)
        raise ConfigError(f"{path} does not say a format: expected a name ending in {suffixes}, or --to FORMAT")
    return max(fitting, key=lambda entry: len(entry.suffix))


def check_format(entry: Format, path: Path) -> None:
    """Raise RecordingError when a package that a format needs is missing."""
    if entry.is_take:
        outputs.check_packages(path)
    elif entry.check is not None:
        entry.check()
