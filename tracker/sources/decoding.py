"""Which part of the machine decodes video files."""

from __future__ import annotations

from typing import Any, Final, Literal, get_args

from tracker.config import EngineName

DecoderName = Literal["auto", "cpu", "nvdec"]
DECODERS: Final[tuple[DecoderName, ...]] = get_args(DecoderName)


def add_decoder_argument(group: Any) -> None:
    """Add ``--decoder`` to a command or a group of its options."""
    group.add_argument(
        "--decoder", choices=DECODERS, default="auto",
        help="what decodes video files: 'nvdec' an NVIDIA GPU, 'cpu'; 'auto' (default) is the GPU where it runs the networks "
        "too and PyNvVideoCodec is installed (docs/gpu.md)",
    )  # fmt: skip


def decoder_for(wanted: DecoderName, engine: EngineName) -> DecoderName:
    """What to open sources with: ``auto`` leaves the CPU only where the networks do."""
    return "cpu" if wanted == "auto" and engine not in ("tensorrt", "torch") else wanted
