"""The glance: what the default landmark network's maps tell beside its landmarks, above all whether something covers the face."""

from __future__ import annotations

from trainer.methods.glance.method import GlanceMethod

METHOD = GlanceMethod
