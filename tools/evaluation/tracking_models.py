"""The face models that are compared as the tracker's own."""

from __future__ import annotations

import hashlib
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.progress import Progress

from tools.evaluation import ict
from tools.structured_models.flame_files import write_flame
from tracker.cache import ensure_cache_dir
from tracker.face_model import FaceModel, load_face_model
from tracker.face_model.importing.recognise import read_source
from tracker.face_model.importing.transfer import complete
from tracker.face_model.store import read_face_model
from tracker.face_model.writing import write_face_model

NAMES: Final = ("builtin", "ict", "flame")
_ROOT: Final = Path(__file__).resolve().parents[2]
_MAKERS: Final = ("tracker/face_model", "tools/structured_models")


def load(names: Sequence[str] = NAMES) -> dict[str, FaceModel]:
    """Face models in that order, named or by path.

    ``ict`` is ICT-FaceKit of the development data, left out where that is absent; ``flame`` is a head of FLAME's structure made
    from the built-in one. Both go through the importer, and are kept in the cache until the importer's code changes.

    Raises:
        FaceModelError: there is no such model.
    """
    found: dict[str, FaceModel] = {}
    for name in names:
        if name == "ict" and not ict.available():
            sys.stderr.write("evaluate: left out: ICT-FaceKit, as the development data is not beside the checkout\n")
        elif name == "ict":
            found[name] = imported_ict()
        elif name == "flame":
            found[name] = _imported(name, lambda folder: write_flame(folder, "2023"))
        else:
            found[name] = load_face_model(name)
    return found


@cache
def imported_ict() -> FaceModel:
    """ICT-FaceKit through the importer; needs ``ict.available()``."""
    return _imported("ict", lambda _folder: ict.ARCHIVE)


def _imported(name: str, source: Callable[[Path], Path]) -> FaceModel:
    path = ensure_cache_dir("evaluation") / f"model_{name}_{_digest()}.npz"
    if not path.is_file():
        for old in path.parent.glob(f"model_{name}_*.npz"):
            old.unlink()
        with (
            tempfile.TemporaryDirectory() as folder,
            Progress(console=Console(stderr=True), transient=True) as progress,
        ):
            task = progress.add_task(f"importing {name}", total=1.0)
            read = read_source(source(Path(folder)))
            model, _ = complete(read, lambda _what, share: progress.update(task, completed=share))
        write_face_model(path, model)
    return read_face_model(path)


def _digest() -> str:
    """Changes with everything that decides what an imported model looks like."""
    state = hashlib.sha256()
    for folder in _MAKERS:
        for path in sorted((_ROOT / folder).rglob("*")):
            if path.suffix in (".py", ".npz"):
                state.update(path.read_bytes())
    return state.hexdigest()[:12]
