"""Files of the Basel Face Model's structure: 2009 with 3DDFA's and Guo's expression bases beside it, 2017 and 2019.

The shape is the built-in head's face, cut where the Basel scans end, at a fraction of their 53490 vertices: nothing in the
files depends on how many there are, and tests would read 300 MB otherwise. Writing needs scipy (2009) or h5py (2017, 2019).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tools.structured_models.refinement import cut_out
from tracker.face_model import load_face_model

Array = NDArray[np.float64]

SHAPE_COUNT: Final = 60
EXPRESSION_COUNT: Final = 29
COLOUR_COUNT: Final = 20
_BEHIND_M: Final = -0.075
"""Basel's scans end behind the ears."""


@dataclass(frozen=True, slots=True)
class BaselArrays:
    """A face in metres, x subject-left, y up, z forward, with orthonormal components apart from their deviations."""

    mean: Array
    """(V, 3)."""
    faces: NDArray[np.int32]
    """(F, 3) counter-clockwise from outside."""
    shape: Array
    """(3V, SHAPE_COUNT) orthonormal."""
    shape_deviation: Array
    """(SHAPE_COUNT,) metres."""
    expression: Array
    """(3V, EXPRESSION_COUNT) orthonormal."""
    expression_deviation: Array
    """(EXPRESSION_COUNT,) metres."""
    colour_mean: Array
    """(V, 3) 0..1."""
    colour: Array
    """(3V, COLOUR_COUNT) orthonormal."""
    colour_deviation: Array
    """(COLOUR_COUNT,) 0..1."""


@cache
def basel_arrays() -> BaselArrays:
    """The arrays; the same on every machine up to rounding and the signs of components."""
    head = load_face_model()
    keep = (head.parts == head.part_names.index("skin")) & (head.template[:, 2] > _BEHIND_M)
    rows, faces = cut_out(head.faces, keep)
    rng = np.random.default_rng(2009)
    shape, shape_deviation = _principal(head.identity_basis[rows], SHAPE_COUNT)
    expression, expression_deviation = _principal(0.3 * head.expression_basis[rows], EXPRESSION_COUNT)
    tint = np.cos(head.template[rows].astype(np.float64) @ rng.normal(0.0, 40.0, (3, COLOUR_COUNT)))
    colour, colour_deviation = _principal(tint[:, None, :] * rng.normal(0.0, 0.03, (1, 3, COLOUR_COUNT)), COLOUR_COUNT)
    return BaselArrays(
        head.template[rows].astype(np.float64), faces, shape, shape_deviation, expression, expression_deviation,
        np.clip(np.array([0.72, 0.53, 0.45]) + 0.05 * tint[:, :3], 0.0, 1.0), colour, colour_deviation,
    )  # fmt: skip


def write_bfm2009(folder: Path) -> Path:
    """Write ``01_MorphableModel.mat``: micrometres, colours 0..255, triangles from one and clockwise."""
    from scipy.io import savemat

    arrays = basel_arrays()
    path = folder / "01_MorphableModel.mat"
    content = {
        "shapeMU": (arrays.mean.reshape(-1, 1) * 1e6).astype(np.float32),
        "shapePC": arrays.shape.astype(np.float32),
        "shapeEV": (arrays.shape_deviation[:, None] * 1e6).astype(np.float32),
        "texMU": (arrays.colour_mean.reshape(-1, 1) * 255.0).astype(np.float32),
        "texPC": arrays.colour.astype(np.float32),
        "texEV": (arrays.colour_deviation[:, None] * 255.0).astype(np.float32),
        "tl": (arrays.faces[:, ::-1] + 1).astype(np.float64),
        "segbin": np.ones((len(arrays.mean), 4), np.uint8),
    }
    savemat(path, content)
    return path


def trim_index() -> NDArray[np.intp]:
    """(W,) the vertices, from zero, that the expression bases are for: all but some at the rim."""
    return np.flatnonzero(basel_arrays().mean[:, 2] > _BEHIND_M + 0.01)


def write_3ddfa_expressions(folder: Path) -> Path:
    """Write ``Model_Expression.mat`` and ``model_info.mat`` with ``trimIndex``."""
    from scipy.io import savemat

    arrays, keep = basel_arrays(), trim_index()
    path = folder / "Model_Expression.mat"
    content = {
        "mu_exp": np.zeros((3 * keep.size, 1), np.float32),
        "w_exp": _rows(arrays.expression, keep).astype(np.float32),
        "sigma_exp": (arrays.expression_deviation[:, None] * 1e6).astype(np.float32),
    }
    savemat(path, content)
    savemat(folder / "model_info.mat", {"trimIndex": (keep[:, None] + 1).astype(np.float64)})
    return path


def write_guo_expressions(folder: Path) -> Path:
    """Write ``Exp_Pca.bin``, ``std_exp.txt`` and ``BFM_exp_idx.mat``."""
    from scipy.io import savemat

    arrays, keep = basel_arrays(), trim_index()
    path = folder / "Exp_Pca.bin"
    mean = np.full(
        3 * keep.size, 100.0, np.float32
    )  # a tenth of a millimetre, so that reading it can be told from leaving it out
    rows = _rows(arrays.expression, keep).T.astype("<f4")
    path.write_bytes(np.int32(EXPRESSION_COUNT).tobytes() + mean.tobytes() + rows.tobytes())
    np.savetxt(folder / "std_exp.txt", arrays.expression_deviation[None] * 1e6)
    savemat(folder / "BFM_exp_idx.mat", {"trimIndex": (keep[:, None] + 1).astype(np.float64)})
    return path


def write_bfm_h5(folder: Path, version: str = "2019") -> Path:
    """Write ``model2017-1_bfm_nomouth.h5`` or ``model2019_bfm.h5``: millimetres, colours 0..1."""
    import h5py

    arrays = basel_arrays()
    path = folder / ("model2019_bfm.h5" if version == "2019" else "model2017-1_bfm_nomouth.h5")
    with h5py.File(path, "w") as file:
        parts = (
            ("shape", arrays.mean * 1e3, arrays.shape, arrays.shape_deviation * 1e3),
            ("expression", np.zeros_like(arrays.mean), arrays.expression, arrays.expression_deviation * 1e3),
            ("color", arrays.colour_mean, arrays.colour, arrays.colour_deviation),
        )
        for name, mean, components, deviation in parts:
            file[f"{name}/model/mean"] = mean.ravel().astype(np.float32)
            file[f"{name}/model/pcaBasis"] = components.astype(np.float32)
            file[f"{name}/model/pcaVariance"] = (deviation**2).astype(np.float32)
            file[f"{name}/model/noiseVariance"] = np.float32(0.0)
            file[f"{name}/representer/points"] = (arrays.mean.T * 1e3).astype(np.float32)
            file[f"{name}/representer/cells"] = arrays.faces.T.astype(np.int32)
        file["version/majorVersion"], file["version/minorVersion"] = 0, 9
    return path


def _principal(basis: NDArray[np.floating], count: int) -> tuple[Array, Array]:
    """Orthonormal components (3V, count) and their standard deviations of a basis (V, 3, N) of N(0, 1) coefficients."""
    left, singular, _ = np.linalg.svd(basis.reshape(-1, basis.shape[2]).astype(np.float64), full_matrices=False)
    return left[:, :count], singular[:count]


def _rows(components: Array, keep: NDArray[np.intp]) -> Array:
    """Components (3V, N) at the kept vertices only: (3W, N)."""
    kept: Array = components.reshape(-1, 3, components.shape[1])[keep].reshape(3 * keep.size, -1)
    return kept
