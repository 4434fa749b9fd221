"""Parametric face models: the neutral file format, its evaluation, and the built-in head."""

from tracker.face_model.model import EYE_LEFT, EYE_RIGHT, JAW, JOINT_NAMES, NECK, ROOT, Embedding, FaceModel
from tracker.face_model.store import builtin_path, load_face_model, read_face_model

__all__ = [
    "EYE_LEFT", "EYE_RIGHT", "JAW", "JOINT_NAMES", "NECK", "ROOT", "Embedding", "FaceModel",
    "builtin_path", "load_face_model", "read_face_model",
]  # fmt: skip
