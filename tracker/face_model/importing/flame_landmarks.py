"""Landmark embeddings as they are handed out beside FLAME: where landmarks lie on its mesh."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tracker.errors import FaceModelError
from tracker.face_model.importing.pickles import load_arrays, read_pickle
from tracker.face_model.model import Embedding

STATIC_FILE: Final = "flame_static_embedding.pkl"
"""The 51 inner points of the 68."""
DYNAMIC_FILE: Final = "flame_dynamic_embedding.npy"
"""The 17 points of the contour for 79 turns of the head; the first is the frontal one."""
MEDIAPIPE_FILE: Final = "mediapipe_landmark_embedding.npz"
"""105 of MediaPipe's 478 points."""
_CONTOUR_WEIGHT: Final = 0.1
"""Contour points slide over the face as it turns: the built-in head trusts its own as little."""


def read_flame_landmarks(folder: Path, face_count: int) -> tuple[dict[str, Embedding], list[str]]:
    """Embeddings found in ``folder``: ``ibug68`` and ``mediapipe478`` (weight 0 where the file has no such point).

    Returns:
        The embeddings, and a line for each file that is there and cannot be used.
    """
    embeddings: dict[str, Embedding] = {}
    notes: list[str] = []
    for name, files, read in (
        ("ibug68", (STATIC_FILE, DYNAMIC_FILE), _ibug68),
        ("mediapipe478", (MEDIAPIPE_FILE,), _mediapipe478),
    ):
        there = [file for file in files if (folder / file).is_file()]
        if not there:
            continue
        if len(there) < len(files):
            notes.append(f"{there[0]} is of use only together with {', '.join(f for f in files if f not in there)}")
            continue
        try:
            embedding = read(folder)
            if embedding.faces.min(initial=0) < 0 or embedding.faces.max(initial=0) >= face_count:
                raise FaceModelError(f"it refers to triangles outside 0..{face_count - 1}")
        except (FaceModelError, ValueError, KeyError, TypeError, IndexError, OSError, zipfile.BadZipFile) as error:
            notes.append(
                f"{' and '.join(there)}: not used, damaged or of another kind ({' '.join(str(error).split())})"
            )
            continue
        embeddings[name] = embedding
    return embeddings, notes


def _ibug68(folder: Path) -> Embedding:
    inner = _mapping(read_pickle(folder / STATIC_FILE))
    contour = _mapping(_read_object_npy(folder / DYNAMIC_FILE))
    faces = np.concatenate(
        [_frontal(contour["lmk_face_idx"]).reshape(17), np.asarray(inner["lmk_face_idx"]).reshape(51)]
    )
    barycentric = np.concatenate(
        [_frontal(contour["lmk_b_coords"]).reshape(17, 3), np.asarray(inner["lmk_b_coords"]).reshape(51, 3)]
    )
    weight = np.concatenate([np.full(17, _CONTOUR_WEIGHT), np.ones(51)])
    return Embedding(faces.astype(np.int32), barycentric.astype(np.float32), weight.astype(np.float32))


def _frontal(rows: object) -> NDArray[Any]:
    # A list of 79 arrays, or one array of as many rows.
    return np.asarray(rows[0] if isinstance(rows, list) else np.asarray(rows)[0])


def _mediapipe478(folder: Path) -> Embedding:
    with np.load(folder / MEDIAPIPE_FILE, allow_pickle=False) as stored:
        points = stored["landmark_indices"].astype(np.int64).ravel()
        faces, barycentric, weight = np.zeros(478, np.int32), np.zeros((478, 3), np.float32), np.zeros(478, np.float32)
        faces[points] = stored["lmk_face_idx"].ravel()
        barycentric[:, 0] = 1.0
        barycentric[points] = stored["lmk_b_coords"].reshape(-1, 3)
        weight[points] = 1.0
    return Embedding(faces, barycentric, weight)


def _read_object_npy(path: Path) -> object:
    with path.open("rb") as stream:
        version = np.lib.format.read_magic(stream)
        read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        _, _, dtype = read_header(stream)
        if dtype != np.dtype(object):
            raise FaceModelError(f"{path.name} holds no dictionary")
        return load_arrays(stream.read(), str(path))


def _mapping(value: object) -> Mapping[str, Any]:
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if not isinstance(value, Mapping):
        raise FaceModelError("expected a dictionary")
    return value
