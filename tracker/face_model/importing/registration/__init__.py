"""Registration of a head to the built-in one: landmarks from pictures, a similarity, non-rigid ICP (docs/models.md)."""

from tracker.face_model.importing.registration.correspondence import Correspondence, SurfaceMap, register
from tracker.face_model.importing.registration.portrait import SeenLandmarks, Viewer
from tracker.face_model.importing.registration.similarity import Similarity

__all__ = ["Correspondence", "SeenLandmarks", "Similarity", "SurfaceMap", "Viewer", "register"]
