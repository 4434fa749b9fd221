"""Skin reflectance, light and occlusion of tracked faces (docs/appearance.md)."""

from tracker.appearance.points import SkinPoints, place_points
from tracker.appearance.stage import AppearanceStage, Explained

__all__ = ["AppearanceStage", "Explained", "SkinPoints", "place_points"]
