"""Skin reflectance, light and occlusion of tracked faces (docs/appearance.md)."""

from tracker.appearance.learned import LearnedSkin
from tracker.appearance.points import SkinPoints, place_points
from tracker.appearance.stage import AppearanceStage, Explained
from tracker.appearance.texture import albedo_uv

__all__ = ["AppearanceStage", "Explained", "LearnedSkin", "SkinPoints", "albedo_uv", "place_points"]
