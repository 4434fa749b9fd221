"""Backbones: from an image to one feature vector (Simic 2022, section 3.3.1), through timm."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from tracker.errors import ConfigError
from tracker.networks.store import locate

BACKBONES: Final = {
    "resnet18": "resnet18",
    "resnet50": "resnet50",
    "convnext_t": "convnext_tiny",
    "swin_t": "swin_tiny_patch4_window7_224",
    "mobilenetv3_l": "mobilenetv3_large_100",
    "mobilenetv4_s": "mobilenetv4_conv_small",
    "mobilenetv4_m": "mobilenetv4_conv_medium",
}
"""Our names, and timm's. The first five are the thesis's and its small sibling; MobileNetV4 is the modern mobile one."""

TRACKERS_OWN: Final = "facemesh"
"""The trunk of the landmark network that the tracker runs (Apache-2.0): no ImageNet weights, but many real faces in it."""
_TRUNK_FILE: Final = "face_landmarks_detector.tflite"
_TRUNK_STRIDES: Final = (64, 128)
_TRUNK_PX: Final = 256

_FIXED_SIZE: Final = ("swin_t",)
_IMAGENET_MEAN: Final = (0.485, 0.456, 0.406)
_IMAGENET_STD: Final = (0.229, 0.224, 0.225)


class Backbone(nn.Module):
    """A timm network without its classifier, behind the normalisation that its published weights expect.

    Args:
        name: one of ``BACKBONES``.
        crop_size: side of the images in pixels, a multiple of 32.
        weights: a file of pretrained weights (timm's .safetensors or .pth for this network); random ones without it. Nothing
            is ever downloaded.

    Raises:
        ConfigError: the name is unknown, the size does not fit, the file is missing or belongs to another network.
    """

    def __init__(self, name: str, crop_size: int, weights: Path | None = None) -> None:
        super().__init__()
        if name not in BACKBONES:
            raise ConfigError(f"expected a backbone out of {', '.join(BACKBONES)}, {TRACKERS_OWN}, got '{name}'")
        if crop_size < 32 or crop_size % 32:
            raise ConfigError(f"backbones take crops whose side is a multiple of 32 pixels, got {crop_size}")
        self.name = name
        self.body = _timm_model(name, crop_size, weights)
        self.register_buffer("mean", torch.tensor(_IMAGENET_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(_IMAGENET_STD).view(1, 3, 1, 1), persistent=False)
        self.channels = _feature_count(self.body)

    def forward(self, image: Tensor) -> Tensor:
        """(B, 3, S, S) RGB in 0..1 to (B, C) features."""
        mean, std = cast(Tensor, self.mean), cast(Tensor, self.std)
        return cast(Tensor, self.body((image - mean) / std))


class FaceTrunk(nn.Module):
    """The trunk of the tracker's own landmark network, its last two maps as features, weights and all.

    Crops of any size are brought to the 256 pixels that it was trained on.

    Raises:
        NetworkAssetError: the tracker's networks are not there (``tracker models fetch``).
    """

    def __init__(self) -> None:
        super().__init__()
        from trainer.networks.tflite_graph import TfliteModule

        self.body = TfliteModule.from_file(locate(_TRUNK_FILE))
        shapes = self.body.feature_channels
        self.channels = sum(shapes[stride] * (_TRUNK_PX // stride) ** 2 for stride in _TRUNK_STRIDES)

    def forward(self, image: Tensor) -> Tensor:
        """(B, 3, S, S) RGB in 0..1 to (B, C) features."""
        if image.shape[-1] != _TRUNK_PX:
            image = functional.interpolate(image, (_TRUNK_PX, _TRUNK_PX), mode="bilinear", align_corners=False)
        maps = self.body.features(image)
        return torch.cat([maps[stride].flatten(1) for stride in _TRUNK_STRIDES], dim=1)


def make_backbone(name: str, crop_size: int, weights: Path | None = None) -> Backbone | FaceTrunk:
    """A backbone by name: one of ``BACKBONES``, or ``facemesh``. Raises as the two do."""
    if name != TRACKERS_OWN:
        return Backbone(name, crop_size, weights)
    if weights is not None:
        raise ConfigError(f"{TRACKERS_OWN} brings its own weights: leave weights out, got {weights}")
    return FaceTrunk()


def _timm_model(name: str, crop_size: int, weights: Path | None) -> nn.Module:
    try:
        import timm
    except ImportError:
        raise ConfigError("backbones need timm: pip install 'facestream-tracker[train]'") from None
    options: dict[str, Any] = {"img_size": crop_size} if name in _FIXED_SIZE else {}
    with torch.random.fork_rng(enabled=weights is not None, devices=[]):
        fresh = timm.create_model(BACKBONES[name], pretrained=False, num_classes=0, **options)
    if weights is None:
        return fresh
    if not weights.is_file():
        raise ConfigError(f"expected a file with the weights of {name}, found none at {weights}")
    # timm's own way from a file to the model: it drops the classifier and adapts what depends on the image's size.
    options["pretrained_cfg_overlay"] = {"file": str(weights)}
    try:
        loaded = timm.create_model(BACKBONES[name], pretrained=True, num_classes=0, **options)
    except (RuntimeError, KeyError, ValueError, OSError) as error:
        first = str(error).strip().splitlines()[0]
        raise ConfigError(f"{weights} does not hold timm's weights of {BACKBONES[name]}: {first}") from None
    # Entries that the file lacks are left at random by timm: the same random ones as those of the fresh network.
    before = dict(fresh.named_parameters())
    left = [key for key, value in loaded.named_parameters() if value.ndim > 1 and torch.equal(value, before[key])]
    if left:
        raise ConfigError(f"{weights} does not hold timm's weights of {BACKBONES[name]}: it lacks {left[0]}")
    return loaded


def _feature_count(body: nn.Module) -> int:
    # Networks with a convolution after pooling have more features than their last stage.
    count = getattr(body, "head_hidden_size", None) or body.num_features
    return int(cast(int, count))
