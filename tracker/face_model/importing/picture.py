"""The picture that shows whether a registration is right: both heads with their landmarks."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from tracker.cache import atomic_target
from tracker.errors import FaceModelError
from tracker.face_model.importing.registration.head_template import head_template
from tracker.face_model.importing.registration.portrait import Picture, Viewer, view_of
from tracker.face_model.model import FaceModel
from tracker.face_model.normals import vertex_normals
from tracker.types import ImageRGB

Float64 = NDArray[np.float64]

_YAWS: Final = (0.0, 0.6)
_CLOSER: Final = 0.75
_DOT: Final = (20, 150, 60)
_DOT_68: Final = (220, 40, 40)
_LETTERS: Final = (40, 40, 40)


def registration_picture(model: FaceModel, viewer: Viewer) -> ImageRGB:
    """(1024, 1024, 3) RGB: the model above, the built-in head below, from the front and from three quarters, with
    ``mediapipe478`` in green and ``ibug68`` in red. Points on the far side are left out.
    """
    rows = []
    for label, shown in ((model.name, model), ("built-in", head_template().model)):
        vertices = shown.template.astype(np.float64)
        normals = vertex_normals(vertices, shown.faces.astype(np.intp))
        middle, eyes = viewer.face_place(vertices, shown.faces.astype(np.int32), None)
        tiles = []
        for yaw in _YAWS:
            turn = view_of(yaw, 0.0)
            picture = Picture.take(vertices, shown.faces.astype(np.int32), normals, None, turn, middle, eyes * _CLOSER)
            image = picture.image.copy()
            for name, colour, radius in (("mediapipe478", _DOT, 1.2), ("ibug68", _DOT_68, 2.0)):
                if name in shown.embeddings:
                    _dots(image, picture, shown, name, normals, colour, radius)
            tiles.append(image)
        row = np.concatenate(tiles, axis=1)
        cv2.putText(row, label, (12, 28), cv2.FONT_HERSHEY_SIMPLEX, 0.7, _LETTERS, 1, cv2.LINE_AA)
        rows.append(row)
    return np.concatenate(rows, axis=0)


def write_picture(path: Path, image: ImageRGB) -> None:
    """Write a PNG. Raises ``FaceModelError`` when it cannot be written."""
    encoded, blob = cv2.imencode(".png", image[:, :, ::-1])
    if not encoded:
        raise FaceModelError(f"cannot write {path}: OpenCV has no PNG writer here")
    try:
        with atomic_target(path) as partial:
            partial.write_bytes(blob.tobytes())
    except OSError as error:
        raise FaceModelError(f"cannot write {path}: {error.strerror or error}") from error


def _dots(
    image: ImageRGB,
    picture: Picture,
    model: FaceModel,
    name: str,
    normals: Float64,
    colour: tuple[int, int, int],
    radius: float,
) -> None:
    embedding = model.embedding(name)
    corners = model.faces[embedding.faces]
    share = embedding.barycentric.astype(np.float64)
    points = np.einsum("lk,lki->li", share, model.template[corners].astype(np.float64))
    facing = np.einsum("lk,lki->li", share, normals[corners]) @ picture.turn.T
    for (x, y), towards in zip(picture.project(points), facing[:, 2] < 0.05, strict=True):
        if towards:
            cv2.circle(image, (round(x * 8 - 4), round(y * 8 - 4)), round(radius * 8), colour, -1, cv2.LINE_AA, 3)
