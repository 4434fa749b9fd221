"""Readers of published data sets that the user has: 300W-LP, AFLW2000-3D, DAD-3DHeads, 300W, WFLW."""

from trainer.data.published.conversion import WFLW_TO_IBUG68, converted, correspondence
from trainer.data.published.stream import PublishedConfig, PublishedStream

__all__ = ["WFLW_TO_IBUG68", "PublishedConfig", "PublishedStream", "converted", "correspondence"]
