"""Errors of fitted faces in space (Simic 2022, eq. 4.2)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tracker.face_model import FaceModel
from tracker.face_model.importing.dense_sets import face_triangles

Float = NDArray[np.floating]
Int = NDArray[np.intp]


def mve(vertices: Float, truth: Float, chosen: Int) -> float:
    """Mean vertex error (4.2) of chosen vertices: (B, V, 3) twice, in their unit."""
    return float(np.linalg.norm(vertices[:, chosen] - truth[:, chosen], axis=-1).mean())


def moved_together(vertices: Float, truth: Float, chosen: Int) -> Float:
    """Vertices (B, V, 3) moved, not turned, so that the chosen ones have the truth's centre: one view with an assumed focal
    length does not tell how far away a face is.
    """
    offset = (truth[:, chosen] - vertices[:, chosen]).mean(axis=1, keepdims=True)
    return np.asarray(vertices + offset)


def face_vertices(model: FaceModel) -> Int:
    """The face, V_L of the thesis: all that dense landmarks are taken from, ears, scalp and neck left out."""
    return np.unique(model.faces[face_triangles(model)]).astype(np.intp)


def head_vertices(model: FaceModel) -> Int:
    """The head without the neck, V_H of the thesis: all skin but what the model's region ``neck`` names."""
    keep = model.parts == model.part_names.index("skin")
    if "neck" in model.region_names:
        keep &= ~model.regions[:, model.region_names.index("neck")]
    return np.flatnonzero(keep)
