"""The face models that the user has imported: one npz each in the user's data folder, beside it a picture of its registration."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from tracker.cache import data_dir
from tracker.errors import FaceModelError

BUILTIN_NAME: Final = "builtin"
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_RESERVED: Final = {
    BUILTIN_NAME, "con", "prn", "aux", "nul", *(f"com{n}" for n in range(1, 10)), *(f"lpt{n}" for n in range(1, 10)),
}  # fmt: skip
"""Ours, and what Windows keeps for devices."""
_FOREIGN: Final = (".pkl", ".pickle", ".mat", ".h5", ".hdf5", ".obj")


def library_dir() -> Path:
    """The folder of imported models; it need not exist. ``TRACKER_DATA`` moves it."""
    return data_dir("face_models")


def imported_names() -> list[str]:
    """Names of the imported models, sorted."""
    folder = library_dir()
    return (
        sorted(path.stem for path in folder.glob("*.npz") if not path.name.startswith(".")) if folder.is_dir() else []
    )


def library_path(name: str) -> Path:
    """Where the model ``name`` lies or would lie.

    Raises:
        FaceModelError: the name cannot be used on every system, or is reserved.
    """
    if name.partition(".")[0] in _RESERVED:
        raise FaceModelError(f"'{name}' is reserved; give another name with --name")
    if not _NAME.fullmatch(name) or name.endswith((".", ".npz")):
        raise FaceModelError(
            f"{name!r} cannot be a model's name: expected small letters, digits, '.', '_' and '-', at most 64, "
            "starting with a letter or digit; give one with --name"
        )
    return library_dir() / f"{name}.npz"


def find_face_model(name_or_path: str) -> Path:
    """The file of an imported model, or the path itself where a file is meant.

    Raises:
        FaceModelError: there is nothing of that name, or the file has to be imported first.
    """
    path = Path(name_or_path).expanduser()
    if name_or_path in imported_names():
        return library_dir() / f"{name_or_path}.npz"
    if path.is_dir() or path.suffix.lower() in _FOREIGN:
        if path.exists():
            raise FaceModelError(f"{path} has to be imported first: tracker models import {path}")
        raise FaceModelError(f"cannot read face model {path}: no such file or folder")
    if path.exists() or path.suffix.lower() == ".npz" or len(path.parts) > 1:
        return path
    raise FaceModelError(
        f"unknown face model '{name_or_path}': there are {', '.join([BUILTIN_NAME, *imported_names()])}; "
        "bring others with: tracker models import PATH"
    )


def remove_face_model(name: str) -> Path:
    """Delete an imported model, and the picture of its registration, and return where it was.

    Raises:
        FaceModelError: it is the built-in head, there is none of that name, or it cannot be deleted.
    """
    if name == BUILTIN_NAME:
        raise FaceModelError("the built-in head is part of the program and cannot be removed")
    if name not in imported_names():
        known = ", ".join(imported_names()) or "none"
        raise FaceModelError(f"no imported face model '{name}' (there are: {known})")
    path = library_path(name)
    try:
        path.unlink()
        path.with_suffix(".png").unlink(missing_ok=True)
    except OSError as error:
        raise FaceModelError(f"cannot remove {path}: {error.strerror or error}") from error
    return path
