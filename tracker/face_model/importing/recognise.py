"""From a file or folder to the reader that understands it."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tracker.errors import FaceModelError
from tracker.face_model.importing.basel import read_bfm2009, read_bfm_h5
from tracker.face_model.importing.flame import is_flame, read_flame
from tracker.face_model.importing.gnm import is_gnm, read_gnm
from tracker.face_model.importing.ict import is_ict, read_ict
from tracker.face_model.importing.pickles import read_pickle
from tracker.face_model.importing.source_model import SourceModel

SUPPORTED: Final = (
    "FLAME (.pkl, .npz), Basel Face Model 2009 (.mat) or 2017/2019 (.h5), GNM head (.npz), "
    "ICT-FaceKit (its folder or archive)"
)
_MODEL_SUFFIXES: Final = (".pkl", ".npz", ".mat", ".h5")
_BESIDE: Final = ("embedding", "mask", "texture", "exp_idx", "front_idx", "model_info", "model_expression", "lm3d")
"""Words in the names of files that lie beside a model and are none."""
_CHIEF: Final = ("generic_model.pkl", "01_MorphableModel.mat")
"""The file of a download that is for everybody: FLAME's have a female and a male model too, Basel's attributes and cameras."""


def read_source(
    path: Path, expressions: Path | None = None, step: Callable[[int, int], None] | None = None
) -> SourceModel:
    """Recognise a foreign face model by its content and read it.

    Args:
        path: a file, or a folder that holds one model.
        expressions: an expression basis that does not come with the model (Basel Face Model 2009).
        step: told how many files are read and how many there are, where there are many.

    Raises:
        FaceModelError: nothing is there, it is no face model, or of a kind that is not supported.
    """
    if not path.exists():
        raise FaceModelError(f"cannot import {path}: no such file or folder")
    if expressions is not None and not expressions.exists():
        raise FaceModelError(f"--expressions {expressions}: no such file or folder")
    if is_ict(path):
        source = read_ict(path, step)
    else:
        source = _read_folder(path, expressions) if path.is_dir() else _read_file(path, expressions)
    if expressions is not None and not (source.family == "basel" and source.version.startswith("2009")):
        raise FaceModelError(
            f"--expressions goes with the Basel Face Model 2009; {source.name} has its own expressions"
        )
    return source


def _read_file(path: Path, expressions: Path | None) -> SourceModel:
    try:
        with path.open("rb") as stream:
            head = stream.read(512)
    except OSError as error:
        raise FaceModelError(f"cannot read {path}: {error.strerror or error}") from error
    if head.startswith(b"PK"):
        return _read_npz(path)
    if head.startswith(b"\x89HDF\r\n"):
        return read_bfm_h5(path)
    if head.startswith(b"MATLAB"):
        return read_bfm2009(path, expressions)
    if path.suffix.lower() in (".pkl", ".pickle") or head[:1] == b"\x80":
        content = read_pickle(path)
        if is_flame(content) and isinstance(content, Mapping):
            return read_flame(path, content)
        found = (
            ", ".join(str(key) for key in list(content)[:6]) if isinstance(content, Mapping) else type(content).__name__
        )
        raise FaceModelError(f"{path} is a pickle but not FLAME's: found {found or 'nothing'}; supported: {SUPPORTED}")
    if not head:
        raise FaceModelError(f"{path} is empty; fetch it again")
    raise FaceModelError(f"{path} is no face model that can be imported; supported: {SUPPORTED}")


def _read_npz(path: Path) -> SourceModel:
    content = _npz_arrays(path)
    if is_gnm(content):
        return read_gnm(path, content)
    if is_flame(content):
        return read_flame(path, content)
    if "format" in content and "identity_basis" in content:
        raise FaceModelError(f"{path} is in our own format already: give it to --face-model as it is")
    found = ", ".join(list(content)[:6]) or "nothing"
    raise FaceModelError(f"{path} is no face model that can be imported: found {found}; supported: {SUPPORTED}")


def _npz_arrays(path: Path) -> dict[str, NDArray[Any]]:
    content: dict[str, NDArray[Any]] = {}
    try:
        with np.load(path, allow_pickle=False) as stored:
            if not isinstance(stored, np.lib.npyio.NpzFile):
                raise ValueError("not an archive of arrays")
            for key in stored.files:
                try:
                    content[key] = stored[key]
                except ValueError as error:
                    if "allow_pickle" not in str(error):
                        raise
                    raise FaceModelError(
                        f"{path}: '{key}' holds Python objects, not numbers, and is refused; give the .pkl it was made from"
                    ) from None
    except (ValueError, OSError, zipfile.BadZipFile, EOFError, KeyError, NotImplementedError) as error:
        raise FaceModelError(
            f"{path}: expected an .npz of arrays ({' '.join(str(error).split())}); fetch it again"
        ) from error
    return content


def _read_folder(path: Path, expressions: Path | None) -> SourceModel:
    found = [
        file
        for file in sorted(path.iterdir())
        if file.is_file()
        and file.suffix.lower() in _MODEL_SUFFIXES
        and not any(word in file.name.lower() for word in _BESIDE)
    ]
    if not found:
        raise FaceModelError(f"{path} holds no face model; supported: {SUPPORTED}")
    chief = [file for file in found if file.name in _CHIEF]
    if len(chief) == 1:
        return _read_file(chief[0], expressions)
    if len(found) > 1:
        raise FaceModelError(f"{path} holds several files ({', '.join(f.name for f in found[:6])}): import one of them")
    return _read_file(found[0], expressions)
