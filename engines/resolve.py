"""From what people type to an .onnx (or .pt2) file with a header."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path

from engines import catalogue as catalogues
from engines.catalogue import Catalogue
from engines.errors import EngineError


@dataclass(frozen=True, slots=True)
class Resolved:
    """A network that can be built."""

    name: str
    """What it was called: goes into messages and commands."""
    path: Path
    """An .onnx or .pt2 file."""
    original: Path
    """The file it was converted from, else the same."""
    catalogue: Catalogue | None = None
    known_as: str = ""
    """Its name in the catalogue."""


def resolve(name: str) -> Resolved:
    """A file, or the name of a network that some package offers.

    Raises:
        EngineError: there is no such file or name, it is of an unknown kind, or it cannot be converted.
    """
    path = Path(name).expanduser()
    found = None if path.is_file() else catalogues.find(name)
    if found is None:
        if not path.is_file():
            raise EngineError(_unknown(name, path))
        return Resolved(name, _buildable(path, catalogues.find(path.name)), path)
    catalogue, known = found
    original = catalogue.locate(known)
    return Resolved(known, _buildable(original, (catalogue, known)), original, catalogue, known)


def _buildable(path: Path, found: tuple[Catalogue, str] | None) -> Path:
    suffix = path.suffix.lower()
    if suffix in (".onnx", ".pt2"):
        return path
    if suffix != ".tflite":
        raise EngineError(
            f"{path.name}: networks must be .onnx, .tflite or .pt2 files, got {path.suffix or 'no suffix'}"
        )
    from engines.tflite.convert import convert

    return convert(path, found[0].header(found[1]) if found else None)


def _unknown(name: str, path: Path) -> str:
    if path.suffix and (path.parent != Path() or path.suffix in (".onnx", ".pt2")):
        return f"network file {name} does not exist"
    known = [known for catalogue in catalogues.catalogues() for known in catalogue.names()]
    close = difflib.get_close_matches(name, [*known, *(Path(one).stem for one in known)], n=1)
    hint = f"did you mean {close[0]}?" if close else f"known names: {', '.join(known) or 'none'}"
    return f"no file and no network called {name!r}; {hint}"
