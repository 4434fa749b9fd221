"""The networks' files: fetched once by ``tracker models fetch``, pinned by sha256, usable offline ever after."""

from __future__ import annotations

from tracker.networks.assets import ASSETS, Asset
from tracker.networks.store import is_present, locate, open_network, store_dir

__all__ = ["ASSETS", "Asset", "is_present", "locate", "open_network", "store_dir"]
