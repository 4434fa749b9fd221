"""Augmentations: pictures changed, and their labels with them."""

from trainer.data.augment.augmenter import AugmentedStream, Augmenter
from trainer.data.augment.config import DENSE_LANDMARKS, NOTHING, SADRNET, AugmentConfig
from trainer.data.augment.mirror import Mirror
from trainer.data.augment.views import LandmarkMesh

__all__ = [
    "DENSE_LANDMARKS",
    "NOTHING",
    "SADRNET",
    "AugmentConfig",
    "AugmentedStream",
    "Augmenter",
    "LandmarkMesh",
    "Mirror",
]
