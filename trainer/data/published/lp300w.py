"""300W-LP and AFLW2000-3D: one .mat beside each picture (Zhu 2016, "Face alignment across large poses").

``Pose_Para`` (1, 7): pitch, yaw, roll in radians, translation and scale of a weak-perspective camera whose x points right, y up
and z to the viewer; ``Shape_Para`` (199, 1) and ``Exp_Para`` (29, 1) of the Basel model; ``pt2d`` (2, 68) in 300W-LP;
``pt3d_68`` (3, 68) in AFLW2000-3D, whose ``pt2d`` (2, 21) marks what is hidden with -1. Pixels count from 1.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tracker.extras import require
from trainer.data.published.sample import Sample, listed, picture_of
from trainer.errors import DataError

Float64 = NDArray[np.float64]
LANDMARK_SET: Final = "ibug68"
_TO_OPENCV: Final = np.diag([1.0, -1.0, -1.0])
_PARAMETERS: tuple[str, ...] = ("Pose_Para", "Shape_Para", "Exp_Para", "Illum_Para", "Color_Para", "Tex_Para")


def annotation_files(folder: Path) -> list[Path]:
    """All .mat files with annotations; those of ``landmarks/`` (``*_pts.mat``) and ``Code/`` are another matter."""
    found = listed(folder, "*.mat", "300W-LP or AFLW2000-3D")
    found = [path for path in found if not path.stem.endswith("_pts") and "Code" not in path.relative_to(folder).parts]
    if not found:
        raise DataError(f"300W-LP or AFLW2000-3D: only landmark files below {folder}, none with Pose_Para")
    return found


def read(path: Path) -> Sample:
    """One face. Raises ``DataError`` for a file of another kind or a damaged one."""
    values = _load(path)
    pose = _array(values, "Pose_Para", path).ravel()
    if pose.shape != (7,):
        raise DataError(f"{path}: Pose_Para has {pose.size} numbers, expected 7 (pitch, yaw, roll, translation, scale)")
    if "pt3d_68" in values:
        points = _array(values, "pt3d_68", path, (3, 68)).T.copy()
        # The model's z points to the viewer.
        points[:, 2] *= -1.0
    else:
        flat = _array(values, "pt2d", path, (2, 68)).T
        points = np.column_stack([flat, np.full(68, np.nan)])
    points[:, :2] -= 0.5
    parameters = {name: _array(values, name, path).ravel() for name in _PARAMETERS if name in values}
    return Sample(picture_of(path), points, rotation=rotation_of(*pose[:3]), parameters=parameters)


def rotation_of(pitch: float, yaw: float, roll: float) -> Float64:
    """(3, 3) head axes to OpenCV camera axes, of the angles in ``Pose_Para``."""
    (cx, sx), (cy, sy), (cz, sz) = ((math.cos(a), math.sin(a)) for a in (pitch, yaw, roll))
    about_x = np.array([[1.0, 0.0, 0.0], [0.0, cx, sx], [0.0, -sx, cx]])
    about_y = np.array([[cy, 0.0, -sy], [0.0, 1.0, 0.0], [sy, 0.0, cy]])
    about_z = np.array([[cz, sz, 0.0], [-sz, cz, 0.0], [0.0, 0.0, 1.0]])
    rotation: Float64 = _TO_OPENCV @ about_x @ about_y @ about_z
    return rotation


def _load(path: Path) -> dict[str, Any]:
    io = require("scipy.io", "train", "reading .mat files", DataError)
    try:
        values: dict[str, Any] = io.loadmat(path)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from None
    except Exception as error:  # scipy raises whatever a damaged file leads it to
        raise DataError(
            f"{path} is not a MATLAB file that can be read ({type(error).__name__}); copy it again"
        ) from None
    return values


def _array(values: dict[str, Any], name: str, path: Path, shape: tuple[int, ...] | None = None) -> Float64:
    if name not in values:
        raise DataError(f"{path} has no {name}: it is not of 300W-LP or AFLW2000-3D")
    try:
        array = np.asarray(values[name], np.float64)
    except (TypeError, ValueError):
        raise DataError(f"{path}: {name} holds no numbers") from None
    if shape is not None and array.shape != shape:
        raise DataError(f"{path}: {name} has the shape {array.shape}, expected {shape}")
    return array
