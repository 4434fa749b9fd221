"""ICT-FaceKit Light: a folder of OBJ files (Li 2020), one for the mean, each identity mode and each expression.

All files share one topology of 26 719 vertices in centimetres, y up, z forward. An identity file is the mean with its mode at one
standard deviation, an expression file the mean with that shape at weight 1; what moves is the difference. The
names are ARKit's with ``_L`` and ``_R`` for left and right. Gaze shapes move lids alone: the eyeballs are for us to turn.
"""

from __future__ import annotations

import hashlib
import json
import re
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tracker.arkit import ARKIT_NAMES
from tracker.errors import FaceModelError
from tracker.face_model.importing.obj import ObjMesh, obj_mesh, obj_points
from tracker.face_model.importing.simplification import simplify
from tracker.face_model.importing.source_model import SourceModel
from tracker.face_model.model import Embedding

Float32 = NDArray[np.float32]
Int32 = NDArray[np.int32]
Int = NDArray[np.intp]

NEUTRAL: Final = "generic_neutral_mesh"
INDICES: Final = "vertex_indices.json"
_METRES: Final = np.float32(0.01)
_CONTOUR: Final = 17
_ARCHIVES: Final = (".zip", ".tar", ".tar.xz", ".tar.gz", ".txz", ".tgz")
_VERTEX_COUNT: Final = 26719

PARTS: Final[dict[str, tuple[str, int, int]]] = {
    "face": ("skin", 0, 9409),
    "head and neck": ("skin", 9409, 11248),
    "mouth socket": ("inner_mouth", 11248, 13294),
    "eye sockets": ("eye_socket", 13294, 14062),
    "gums and tongue": ("tongue", 14062, 17039),
    "teeth": ("teeth", 17039, 21451),
    "eyeball left": ("eye_left", 21451, 23021),
    "eyeball right": ("eye_right", 23021, 24591),
}
"""Vertex ranges by the published table, and the built-in head's word for each. Lacrimal fluid, blend and occlusion
meshes and lashes, which only a renderer wants, are left out.
"""
_PART_NAMES: Final = ("skin", "eye_left", "eye_right", "teeth", "tongue", "inner_mouth", "eye_socket")
_FEWER: Final = {
    "mouth socket": 600, "gums and tongue": 800, "teeth": 1400, "eyeball left": 400, "eyeball right": 400,
}  # fmt: skip
"""Hidden parts are modelled for close-ups; so many of their vertices do for seeing them move."""


@dataclass(slots=True)
class _Files:
    """What was found: vertices by file stem, and the rest of the neutral file."""

    shapes: dict[str, Float32] = field(default_factory=dict)
    neutral: bytes = b""
    indices: bytes = b""
    digests: dict[str, str] = field(default_factory=dict)


def is_ict(path: Path) -> bool:
    """Whether a folder or archive looks like ICT-FaceKit: the folder itself or its parent, with the neutral mesh inside."""
    if path.is_dir():
        return _folder_of(path) is not None
    if not path.name.lower().endswith(_ARCHIVES):
        return False
    try:
        return any(Path(name).name == f"{NEUTRAL}.obj" for name in _archive_names(path))
    except (OSError, tarfile.TarError, zipfile.BadZipFile, EOFError, zlib.error):
        return False


def read_ict(path: Path, step: Callable[[int, int], None] | None = None) -> SourceModel:
    """Read ICT-FaceKit Light.

    Args:
        path: the folder ``FaceXModel``, its parent, or a .zip or .tar archive of either.
        step: told how many files are read and how many there are.

    Raises:
        FaceModelError: a file is missing or damaged, or has another topology.
    """
    try:
        files = _read_files(path, step or (lambda _done, _all: None))
    except (OSError, tarfile.TarError, zipfile.BadZipFile, EOFError, zlib.error) as error:
        raise FaceModelError(f"cannot read {path}: {error}; fetch ICT-FaceKit again") from error
    return _assemble(path, files)


def _assemble(path: Path, files: _Files) -> SourceModel:
    if NEUTRAL not in files.shapes:
        raise FaceModelError(f"{path}: expected {NEUTRAL}.obj among the .obj files of ICT-FaceKit's FaceXModel folder")
    neutral = files.shapes[NEUTRAL]
    odd = sorted(name for name, shape in files.shapes.items() if shape.shape != neutral.shape)
    if odd:
        found = len(files.shapes[odd[0]])
        raise FaceModelError(
            f"{path}: {odd[0]}.obj has {found} vertices, {NEUTRAL}.obj {len(neutral)}; fetch them again"
        )
    for name, shape in files.shapes.items():
        if not np.isfinite(shape).all():
            raise FaceModelError(f"{path}: {name}.obj contains numbers that are not finite; fetch it again")
    names = sorted(name for name in files.shapes if re.fullmatch(r"identity\d+", name))
    missing = [f"identity{k:03d}" for k in range(len(names)) if f"identity{k:03d}" not in files.shapes]
    if not names or missing:
        what = f"{missing[0]}.obj is missing" if missing else "there is no identity000.obj"
        raise FaceModelError(f"{path}: {what}; ICT-FaceKit Light has 100 identity files")
    try:
        mesh = obj_mesh(files.neutral, len(neutral))
    except ValueError as error:
        raise FaceModelError(f"{path}: {NEUTRAL}.obj {error}; fetch it again") from error
    rows, faces, uv_faces, parts = _tracking_mesh(neutral, mesh)
    template = neutral[rows] * _METRES
    identity = np.stack([files.shapes[name][rows] * _METRES - template for name in names], axis=2)
    expression_names, expression, used = _expressions(files, rows, template)
    unused = sorted(set(files.shapes) - used - set(names) - {NEUTRAL})
    notes = [f"{', '.join(unused)}: ARKit has no such expressions"] if unused else []
    digest = hashlib.sha256()
    for name in sorted(files.digests):
        digest.update(f"{files.digests[name]}\n".encode())
    return SourceModel(
        name="ict",
        family="ict",
        version="Light",
        licence="MIT, USC Institute for Creative Technologies; see LICENSE in its folder",
        attribution="ICT-FaceKit, USC Institute for Creative Technologies (Li et al. 2020)",
        source=str(path),
        sha256=digest.hexdigest(),
        template=template,
        faces=faces,
        identity_basis=identity,
        expression_basis=expression,
        expression_names=expression_names,
        expression_bounds=np.tile(np.array([0.0, 1.0], np.float32), (len(expression_names), 1)),
        uv=mesh.uv,
        uv_faces=uv_faces,
        parts=parts,
        part_names=_PART_NAMES,
        embeddings=_landmarks(path, files.indices, rows, faces, notes),
        notes=tuple(notes),
    )


def _expressions(files: _Files, rows: Int, template: Float32) -> tuple[tuple[str, ...], Float32, set[str]]:
    names, deltas, used = [], [], set[str]()
    for name in ARKIT_NAMES:
        present = [part for part in _ict_names(name) if part in files.shapes]
        if not present:
            continue
        names.append(name)
        # Where ICT tells left from right and ARKit does not, the expression is both sides at once.
        deltas.append(np.sum([files.shapes[part][rows] * _METRES - template for part in present], axis=0))
        used.update(present)
    basis = np.stack(deltas, axis=2).astype(np.float32) if deltas else np.zeros((len(rows), 3, 0), np.float32)
    return tuple(names), basis, used


def _ict_names(arkit: str) -> tuple[str, ...]:
    for side in ("Left", "Right"):
        if arkit.endswith(side) and arkit not in ("jawLeft", "jawRight", "mouthLeft", "mouthRight"):
            return (f"{arkit.removesuffix(side)}_{side[0]}",)
    return (arkit, f"{arkit}_L", f"{arkit}_R")


def _tracking_mesh(neutral: Float32, mesh: ObjMesh) -> tuple[Int, Int32, Int32 | None, NDArray[np.int8]]:
    """Vertices that are kept, their triangles (two ways) and parts: all skin, and fewer of what hides behind it."""
    if len(neutral) != _VERTEX_COUNT:
        # Another cut of the model: all of it is taken for skin.
        used: Int = np.unique(mesh.faces).astype(np.intp)
        return used, np.searchsorted(used, mesh.faces).astype(np.int32), mesh.uv_faces, np.zeros(len(used), np.int8)
    label = np.full(len(neutral), -1, np.int8)
    # Polygons that join two parts belong to the later one, as in the published table.
    latest = mesh.faces.max(axis=1)
    keep = np.zeros(len(neutral), np.bool_)
    corners, uv_corners = [], []
    for name, (part, first, last) in PARTS.items():
        label[first:last] = _PART_NAMES.index(part)
        inside = np.flatnonzero((latest >= first) & (latest < last))
        triangles: Int32 = mesh.faces[inside]
        uv_triangles: Int32 | None = None if mesh.uv_faces is None else mesh.uv_faces[inside]
        if name in _FEWER:
            coarse = simplify(neutral, triangles, [_FEWER[name]])[0]
            simple: Int32 = coarse.kept[coarse.faces].astype(np.int32)
            if uv_triangles is not None:
                # One texture coordinate for every vertex that stays; seams of hidden parts may stretch.
                at = np.zeros(len(neutral), np.int32)
                at[triangles.ravel()] = uv_triangles.ravel()
                uv_triangles = at[simple]
            triangles = simple
        corners.append(triangles)
        if uv_triangles is not None:
            uv_corners.append(uv_triangles)
        keep[triangles] = True
    rows: Int = np.flatnonzero(keep)
    faces: Int32 = np.searchsorted(rows, np.concatenate(corners)).astype(np.int32)
    return rows, faces, np.concatenate(uv_corners) if uv_corners else None, label[rows]


def _landmarks(path: Path, text: bytes, rows: Int, faces: Int32, notes: list[str]) -> dict[str, Embedding]:
    """The 68 points of the file's own list, right to left as in the iBUG set."""
    if not text:
        notes.append(f"{INDICES} is not there: no landmarks of its own")
        return {}
    try:
        vertices = np.asarray(json.loads(text)["idx_to_landmark_verts"], np.intp)
    except (ValueError, KeyError, TypeError) as error:
        raise FaceModelError(f"{path}: {INDICES} is damaged ({error}); fetch it again") from error
    at = np.searchsorted(rows, vertices).clip(max=len(rows) - 1)
    if vertices.shape != (68,) or (rows[at] != vertices).any():
        notes.append(f"{INDICES} lists no 68 landmarks on this mesh")
        return {}
    triangle = np.array([int(np.flatnonzero((faces == vertex).any(axis=1))[0]) for vertex in at], np.int32)
    weight = np.ones(68, np.float32)
    weight[:_CONTOUR] = 0.1
    barycentric = (faces[triangle] == at[:, None]).astype(np.float32)
    return {"ibug68": Embedding(triangle, barycentric, weight)}


def _read_files(path: Path, step: Callable[[int, int], None]) -> _Files:
    files = _Files()
    for name, blob, done, total in _contents(path):
        stem = Path(name).stem
        files.digests[Path(name).name] = hashlib.sha256(blob).hexdigest()
        if name.endswith(".json"):
            files.indices = blob
        else:
            try:
                files.shapes[stem] = obj_points(blob)
            except ValueError as error:
                raise FaceModelError(f"{path}: {stem}.obj {error}; fetch it again") from error
            if stem == NEUTRAL:
                files.neutral = blob
        step(done, total)
    return files


def _contents(path: Path) -> Iterator[tuple[str, bytes, int, int]]:
    """Name and content of the model's files, with how many are done and how many there are."""
    if path.is_dir():
        folder = _folder_of(path)
        if folder is None:
            raise FaceModelError(
                f"{path}: expected ICT-FaceKit's folder with {NEUTRAL}.obj in it or in FaceXModel below"
            )
        wanted = [file for file in sorted(folder.iterdir()) if _is_wanted(file.name)]
        for done, file in enumerate(wanted, 1):
            yield file.name, file.read_bytes(), done, len(wanted)
    elif zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            members = [name for name in archive.namelist() if _is_wanted(Path(name).name)]
            for done, name in enumerate(members, 1):
                yield Path(name).name, archive.read(name), done, len(members)
    else:
        with tarfile.open(path) as tar:
            # A packed archive tells its length only at the end: the official one has 157 files.
            done = 0
            for member in tar:
                if member.isfile() and _is_wanted(Path(member.name).name) and (stream := tar.extractfile(member)):
                    done += 1
                    yield Path(member.name).name, stream.read(), done, max(157, done)


def _archive_names(path: Path) -> Iterator[str]:
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            yield from archive.namelist()
    else:
        with tarfile.open(path) as tar:
            for member in tar:
                yield member.name


def _is_wanted(name: str) -> bool:
    return (name.endswith(".obj") and not name.startswith(".")) or name == INDICES


def _folder_of(path: Path) -> Path | None:
    for folder in (path, path / "FaceXModel"):
        if (folder / f"{NEUTRAL}.obj").is_file():
            return folder
    return None
