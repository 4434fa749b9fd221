"""How a head becomes a picture, in torch, batched and differentiable: once, for every method.

Conventions are the tracker's: metres; camera axes x right, y down, z forward; head axes x to the subject's left, y up, z out of
the face; image points continuous, the centre of the first pixel at (0.5, 0.5).
"""

from trainer.image_formation.camera import CropCameras, project
from trainer.image_formation.face_model import TorchFaceModel
from trainer.image_formation.normals import NormalField
from trainer.image_formation.points import sample_image, visible_points
from trainer.image_formation.rasteriser import Raster, rasterise
from trainer.image_formation.rotations import matrix_from_rotvec
from trainer.image_formation.shading import sh_basis, shade

__all__ = [
    "CropCameras", "NormalField", "Raster", "TorchFaceModel", "matrix_from_rotvec", "project", "rasterise", "sample_image",
    "sh_basis", "shade", "visible_points",
]  # fmt: skip
