"""Synthetic faces: rendered heads whose every parameter and landmark is known."""

from trainer.data.synthetic.config import SyntheticConfig
from trainer.data.synthetic.stream import SyntheticStream

__all__ = ["SyntheticConfig", "SyntheticStream"]
