"""Parametric face models: the neutral file format, its evaluation, and the built-in head."""

from tracker.face_model.model import (
    CONTROL_NAMES,
    EYE_LEFT,
    EYE_RIGHT,
    EYELID_CONTROLS,
    JAW,
    JOINT_NAMES,
    NECK,
    ROOT,
    Embedding,
    FaceModel,
)  # fmt: skip
from tracker.face_model.store import builtin_path, load_face_model, load_named_model, load_told_model, read_face_model

__all__ = [
    "CONTROL_NAMES", "EYELID_CONTROLS", "EYE_LEFT", "EYE_RIGHT", "JAW", "JOINT_NAMES", "NECK", "ROOT", "Embedding", "FaceModel",
    "builtin_path", "load_face_model", "load_named_model", "load_told_model", "read_face_model",
]  # fmt: skip
