"""The tracker's own encoder: landmarks over the whole head with sigma and visibility, presence, expression and pose."""

from __future__ import annotations

from trainer.methods.encoder.method import EncoderMethod

METHOD = EncoderMethod
