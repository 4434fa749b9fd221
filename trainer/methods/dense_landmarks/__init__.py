"""Dense landmarks with uncertainty (Simic 2022): a backbone, a decoder over the face's mesh, likelihoods as losses."""

from __future__ import annotations

from trainer.methods.dense_landmarks.method import DenseLandmarks

METHOD = DenseLandmarks
