"""The built-in head as the template of registration."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tracker.face_model.model import FaceModel
from tracker.face_model.store import load_face_model

Int = NDArray[np.intp]
Float64 = NDArray[np.float64]

FACE_OVAL: Final = (
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377,
    152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
)  # fmt: skip
"""The contour points of ``mediapipe478``, around the face."""
LOWER_CONTOUR: Final = (
    454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234,
)  # fmt: skip
"""Those from ear to ear along the chin."""
EDGES: Final = (
    33, 246, 161, 160, 159, 158, 157, 173, 133, 7, 163, 144, 145, 153, 154, 155,
    263, 466, 388, 387, 386, 385, 384, 398, 362, 249, 390, 373, 374, 380, 381, 382,
    61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291, 146, 91, 181, 84, 17, 314, 405, 321, 375,
    78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308, 95, 88, 178, 87, 14, 317, 402, 318, 324,
)  # fmt: skip
"""Lid margins, outer and inner lip borders."""
NOSE_AND_BROWS: Final = (
    1, 2, 4, 5, 6, 19, 94, 97, 98, 99, 168, 195, 197, 240, 326, 327, 328, 460, 48, 278, 64, 294, 102, 331, 49, 279,
    46, 53, 52, 65, 55, 107, 66, 105, 63, 70, 276, 283, 282, 295, 285, 336, 296, 334, 293, 300,
)  # fmt: skip
LIDS: Final = EDGES[:32]
IRISES: Final = tuple(range(468, 478))
_REGION_TRUST: Final = {"ear_left": 0.15, "ear_right": 0.15, "scalp": 0.5, "neck": 0.3}


@dataclass(frozen=True, slots=True)
class HeadTemplate:
    """The skin of the built-in head."""

    model: FaceModel
    vertex_ids: Int
    """(n,) skin vertices in the whole head's numbers."""
    local: Int
    """(V,) number of a vertex among the skin vertices, -1 for others."""
    face_ids: Int
    """(m,) skin triangles in the whole head's numbers."""
    faces: Int
    """(m, 3) in the numbers of skin vertices."""
    trust: Float64
    """(n,) how alike heads are here: hair hides scalps, ears fold."""

    def region(self, *names: str) -> NDArray[np.bool_]:
        """(n,) skin vertices that belong to any of the regions."""
        columns = [self.model.region_names.index(name) for name in names]
        return np.asarray(self.model.regions[self.vertex_ids][:, columns].any(axis=1), np.bool_)


@cache
def head_template() -> HeadTemplate:
    """Built once per process."""
    model = load_face_model()
    skin = model.parts == model.part_names.index("skin")
    face_ids = np.flatnonzero(skin[model.faces].all(axis=1))
    vertex_ids = np.unique(model.faces[face_ids]).astype(np.intp)
    local = np.full(model.vertex_count, -1, np.intp)
    local[vertex_ids] = np.arange(len(vertex_ids))
    trust = np.ones(len(vertex_ids))
    for name, value in _REGION_TRUST.items():
        rows = model.regions[vertex_ids, model.region_names.index(name)]
        trust[rows] = np.minimum(trust[rows], value)
    return HeadTemplate(model, vertex_ids, local, face_ids, local[model.faces[face_ids]], trust)
