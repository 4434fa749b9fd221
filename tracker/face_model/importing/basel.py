"""The Basel Face Model: 2009 (``01_MorphableModel.mat``) and 2017, 2019 (``.h5``, statismo's layout).

2009 has no expressions; 3DDFA's basis (``Model_Expression.mat``, 29 components) and the one of Guo et al. that Deng's
reconstruction uses (``Exp_Pca.bin`` with ``std_exp.txt``, 79 components) exist for the 53215 of its 53490 vertices that
``trimIndex`` lists. 2009 counts in micrometres, 2017 and 2019 in millimetres.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tracker.cache import sha256_of
from tracker.errors import FaceModelError
from tracker.face_model.importing.optional import require
from tracker.face_model.importing.source_model import SourceModel

Float32 = NDArray[np.float32]

TRIM_FILES: Final = ("BFM_exp_idx.mat", "model_info.mat")
"""Files that hold ``trimIndex``, from one: Deng's and 3DDFA's."""
EXPRESSION_FILES: Final = ("Model_Expression.mat", "Exp_Pca.bin")
_MICROMETRE, _MILLIMETRE = 1e-6, 1e-3
_EXPRESSION_BOUND: Final = 4.0
_LICENCE: Final = "Basel Face Model licence, non-commercial research only: https://faces.dmi.unibas.ch/bfm"
_PAYSAN: Final = (
    "P. Paysan, R. Knothe, B. Amberg, S. Romdhani, T. Vetter: A 3D face model for pose and illumination invariant face "
    "recognition, AVSS 2009"
)
_GERIG: Final = (
    "T. Gerig, A. Morel-Forster, C. Blumer, B. Egger, M. Lüthi, S. Schönborn, T. Vetter: Morphable face models - "
    "an open framework, FG 2018"
)


@dataclass(frozen=True, slots=True)
class _Expressions:
    basis: Float32
    """(V, 3, Ne) metres per standard deviation."""
    mean: Float32
    """(V, 3) metres, what the relaxed face differs from the shape's mean."""
    credit: str


def read_bfm2009(path: Path, expressions: Path | None = None) -> SourceModel:
    """Read ``01_MorphableModel.mat``.

    Args:
        path: the file.
        expressions: ``Model_Expression.mat`` or ``Exp_Pca.bin``; by default whichever lies beside the model.

    Raises:
        FaceModelError: scipy is missing, or the files are damaged or of another kind.
    """
    stored = _load_mat(path)
    needed = ("shapeMU", "shapePC", "shapeEV", "tl")
    missing = [key for key in needed if key not in stored]
    if missing:
        raise FaceModelError(
            f"{path}: expected the Basel Face Model 2009 with {', '.join(needed)}; missing {', '.join(missing)}"
        )
    mean = _points(path, "shapeMU", stored["shapeMU"]) * _MICROMETRE
    count = mean.shape[0]
    identity = _basis(path, "shapePC", stored["shapePC"], stored["shapeEV"], count) * np.float32(_MICROMETRE)
    faces = (np.asarray(stored["tl"]).astype(np.int64) - 1).astype(np.int32)
    notes = ["no joints and no eyeballs: jaw and gaze come from the completion, not from the file"]
    albedo_mean = albedo_basis = None
    if {"texMU", "texPC", "texEV"} <= set(stored):
        albedo_mean = (_points(path, "texMU", stored["texMU"]) / 255.0).astype(np.float32)
        albedo_basis = _basis(path, "texPC", stored["texPC"], stored["texEV"], count) / np.float32(255.0)
    found = _expressions_2009(path, expressions, count)
    keep = np.arange(count)
    expression = np.zeros((count, 3, 0), np.float32)
    if found is None:
        notes.append(
            "no expressions: give 3DDFA's Model_Expression.mat or Exp_Pca.bin with std_exp.txt, and trimIndex "
            f"({' or '.join(TRIM_FILES)}), with --expressions"
        )
    else:
        bases, keep = found
        expression, mean = bases.basis, mean[keep] + bases.mean
        notes.append(f"{count - keep.size} vertices left out that the expression basis does not have")
    return _model(
        name="bfm2009",
        version="2009" if found is None else f"2009 with {found[0].credit}",
        path=path,
        template=mean,
        faces=_among(path, faces, keep, count),
        identity=identity[keep],
        expression=expression,
        albedo=(albedo_mean, albedo_basis),
        keep=keep,
        notes=notes,
        attribution=_PAYSAN,
    )


def read_bfm_h5(path: Path) -> SourceModel:
    """Read ``model2017-1_bfm_nomouth.h5``, ``model2019_bfm.h5``, ``model2019_face12.h5`` and their like.

    Raises:
        FaceModelError: h5py is missing, or the file is damaged or of another kind.
    """
    h5py = require("h5py", f"{path.name}: reading .h5 files")
    try:
        with h5py.File(path, "r") as stored:
            content = {key: np.asarray(stored[key]) for key in _H5_KEYS if key in stored}
    except (OSError, ValueError, KeyError, RuntimeError, TypeError) as error:
        raise FaceModelError(
            f"{path}: expected an HDF5 file ({' '.join(str(error).split())}); fetch it again"
        ) from error
    missing = [key for key in _H5_KEYS[:4] if key not in content]
    if missing:
        raise FaceModelError(f"{path}: expected the Basel Face Model 2017 or 2019; missing {', '.join(missing)}")
    mean = _points(path, "shape/model/mean", content["shape/model/mean"]) * _MILLIMETRE
    count = mean.shape[0]
    identity = _h5_basis(path, content, "shape", count) * np.float32(_MILLIMETRE)
    faces = content["shape/representer/cells"]
    faces = (faces if faces.ndim == 2 and faces.shape[1] == 3 else faces.T).astype(np.int32)
    notes = ["no joints and no eyeballs: jaw and gaze come from the completion, not from the file"]
    expression = np.zeros((count, 3, 0), np.float32)
    if "expression/model/pcaBasis" in content:
        expression = _h5_basis(path, content, "expression", count) * np.float32(_MILLIMETRE)
        if "expression/model/mean" in content:
            mean = mean + _points(path, "expression/model/mean", content["expression/model/mean"]) * _MILLIMETRE
    else:
        notes.append("the file has no expressions")
    albedo_mean = albedo_basis = None
    if "color/model/mean" in content and "color/model/pcaBasis" in content:
        albedo_mean = _points(path, "color/model/mean", content["color/model/mean"]).astype(np.float32)
        albedo_basis = _h5_basis(path, content, "color", count)
    version = "2019" if "2019" in path.stem else "2017" if "2017" in path.stem else "2017 or 2019"
    return _model(
        name="bfm" + version[:4],
        version=version + (", face12 crop" if "face12" in path.stem.lower() else ""),
        path=path,
        template=mean,
        faces=_among(path, faces, np.arange(count), count),
        identity=identity,
        expression=expression,
        albedo=(albedo_mean, albedo_basis),
        keep=np.arange(count),
        notes=notes,
        attribution=_GERIG,
    )


_H5_KEYS: Final = (
    "shape/model/mean", "shape/model/pcaBasis", "shape/model/pcaVariance", "shape/representer/cells",
    "expression/model/mean", "expression/model/pcaBasis", "expression/model/pcaVariance",
    "color/model/mean", "color/model/pcaBasis", "color/model/pcaVariance",
)  # fmt: skip


def _model(
    *,
    name: str,
    version: str,
    path: Path,
    template: NDArray[np.floating],
    faces: NDArray[np.int32],
    identity: Float32,
    expression: Float32,
    albedo: tuple[Float32 | None, Float32 | None],
    keep: NDArray[np.intp],
    notes: list[str],
    attribution: str,
) -> SourceModel:
    count = expression.shape[2]
    return SourceModel(
        name=name,
        family="basel",
        version=version,
        licence=_LICENCE,
        source=str(path),
        sha256=sha256_of(path),
        template=template.astype(np.float32),
        faces=_outward(template, faces),
        identity_basis=identity,
        expression_basis=expression,
        expression_names=tuple(f"expression{index:03d}" for index in range(count)),
        expression_bounds=np.tile(np.array([-_EXPRESSION_BOUND, _EXPRESSION_BOUND], np.float32), (count, 1)),
        albedo_mean=None if albedo[0] is None else albedo[0][keep],
        albedo_basis=None if albedo[1] is None else albedo[1][keep],
        attribution=attribution,
        notes=tuple(notes),
    )


def _expressions_2009(path: Path, given: Path | None, count: int) -> tuple[_Expressions, NDArray[np.intp]] | None:
    if given is not None and given.is_dir():
        folder, candidates = given, [given / name for name in EXPRESSION_FILES]
    else:
        folder = (given or path).parent
        candidates = [given] if given is not None else [folder / name for name in EXPRESSION_FILES]
    file = next((candidate for candidate in candidates if candidate.is_file()), None)
    if file is None:
        if given is not None:
            raise FaceModelError(f"{given}: expected {' or '.join(EXPRESSION_FILES)} there")
        return None
    keep = _trim_index(folder, path.parent, count)
    found = _exp_pca_bin(file, keep.size) if file.suffix == ".bin" else _model_expression_mat(file, keep.size)
    return found, keep


def _trim_index(*places: Any) -> NDArray[np.intp]:
    *folders, count = places
    for folder in folders:
        for name in TRIM_FILES:
            if (folder / name).is_file():
                stored = _load_mat(folder / name)
                if "trimIndex" in stored:
                    index = np.asarray(stored["trimIndex"]).ravel().astype(np.int64) - 1
                    if index.size == 0 or index.min() < 0 or index.max() >= count:
                        raise FaceModelError(f"{folder / name}: trimIndex refers to vertices outside 1..{count}")
                    return index.astype(np.intp)
    raise FaceModelError(
        f"{folders[0]}: an expression basis for the Basel Face Model needs trimIndex beside it, which vertices it is for: "
        f"{' or '.join(TRIM_FILES)}"
    )


def _model_expression_mat(path: Path, count: int) -> _Expressions:
    stored = _load_mat(path)
    needed = ("w_exp", "mu_exp", "sigma_exp")
    if not set(needed) <= set(stored):
        raise FaceModelError(f"{path}: expected 3DDFA's expression basis with {', '.join(needed)}")
    basis = _basis(path, "w_exp", stored["w_exp"], stored["sigma_exp"], count) * np.float32(_MICROMETRE)
    mean = _points(path, "mu_exp", stored["mu_exp"]) * _MICROMETRE
    return _Expressions(basis, mean.astype(np.float32), "3DDFA's expressions")


def _exp_pca_bin(path: Path, count: int) -> _Expressions:
    deviations_path = path.with_name("std_exp.txt")
    try:
        blob = path.read_bytes()
        deviations = np.loadtxt(deviations_path).ravel()
    except (OSError, ValueError) as error:
        raise FaceModelError(
            f"{path}: expected std_exp.txt with its standard deviations beside it ({' '.join(str(error).split())})"
        ) from error
    components = int(np.frombuffer(blob[:4], "<i4")[0]) if len(blob) >= 4 else 0
    expected = 4 + 4 * 3 * count * (components + 1)
    if components < 1 or len(blob) != expected or deviations.size < components:
        raise FaceModelError(
            f"{path}: expected {components} expressions of {count} vertices in {expected} bytes and as many standard deviations, "
            f"got {len(blob)} bytes and {deviations.size}"
        )
    numbers = np.frombuffer(blob[4:], "<f4")
    mean = numbers[: 3 * count].reshape(count, 3) * np.float32(_MICROMETRE)
    rows = numbers[3 * count :].reshape(components, count, 3)
    basis = np.moveaxis(rows, 0, 2) * (deviations[:components] * _MICROMETRE).astype(np.float32)
    return _Expressions(np.ascontiguousarray(basis, np.float32), mean, "Guo's expressions")


def _load_mat(path: Path) -> dict[str, Any]:
    scipy_io = require("scipy.io", f"{path.name}: reading .mat files")
    try:
        loaded: dict[str, Any] = scipy_io.loadmat(path)
    except Exception as error:  # scipy's reader raises whatever a damaged file leads it to
        raise FaceModelError(
            f"{path}: expected a MATLAB file ({' '.join(str(error).split())[:120] or type(error).__name__}); fetch it again"
        ) from error
    return loaded


def _points(path: Path, key: str, values: object) -> NDArray[np.float64]:
    array = np.asarray(values, np.float64).ravel()
    if array.size == 0 or array.size % 3:
        raise FaceModelError(f"{path}: expected '{key}' with three numbers a vertex, got {array.size}")
    return array.reshape(-1, 3)


def _basis(path: Path, key: str, components: object, deviations: object, count: int) -> Float32:
    """(3V, N) components of unit length times their standard deviations -> (V, 3, N)."""
    matrix, scale = np.asarray(components, np.float32), np.asarray(deviations, np.float32).ravel()
    if matrix.ndim != 2 or matrix.shape != (3 * count, scale.size):
        raise FaceModelError(
            f"{path}: expected '{key}' of shape {(3 * count, scale.size)} for {count} vertices, got {matrix.shape}"
        )
    scaled: Float32 = (matrix * scale).reshape(count, 3, scale.size)
    return scaled


def _h5_basis(path: Path, content: dict[str, NDArray[Any]], part: str, count: int) -> Float32:
    variance = np.asarray(content.get(f"{part}/model/pcaVariance", np.zeros(0)), np.float64).ravel()
    if (variance < 0.0).any():
        raise FaceModelError(f"{path}: '{part}/model/pcaVariance' is negative; fetch the file again")
    return _basis(path, f"{part}/model/pcaBasis", content[f"{part}/model/pcaBasis"], np.sqrt(variance), count)


def _among(path: Path, faces: NDArray[np.int32], keep: NDArray[np.intp], count: int) -> NDArray[np.int32]:
    """Triangles between the kept vertices, renumbered."""
    if faces.ndim != 2 or faces.shape[1] != 3 or faces.min(initial=0) < 0 or faces.max(initial=0) >= count:
        raise FaceModelError(
            f"{path}: expected triangles between {count} vertices, got {faces.shape}; fetch the file again"
        )
    renumbered = np.full(count, -1, np.int32)
    renumbered[keep] = np.arange(keep.size, dtype=np.int32)
    kept = renumbered[faces]
    inside: NDArray[np.int32] = kept[(kept >= 0).all(axis=1)]
    return inside


def _outward(template: NDArray[np.floating], faces: NDArray[np.int32]) -> NDArray[np.int32]:
    """Triangles counter-clockwise from outside: the releases differ, and most of a face looks ahead (+z)."""
    a, b, c = (template[faces[:, corner]] for corner in range(3))
    ahead = np.cross(b - a, c - a)[:, 2].sum()
    return faces if ahead >= 0.0 else np.ascontiguousarray(faces[:, ::-1])
