"""Crops of a picture as a network's input, made on the GPU in one pass (``crops.cu``) and, by the same formulas, in numpy."""

from __future__ import annotations

from pathlib import Path
from typing import Final

KERNELS: Final = Path(__file__).with_name("crops.cu")
"""The kernels' source."""
