"""The names of number formats that networks run in."""

from __future__ import annotations

from typing import Final, Literal, get_args

from engines.errors import EngineError

Precision = Literal["fp32", "fp16", "bf16", "int8"]
PRECISIONS: Final[tuple[Precision, ...]] = get_args(Precision)

_SHORT: Final[dict[str, Precision]] = {"f32": "fp32", "f16": "fp16"}


def canonical(name: str) -> Precision:
    """One of ``PRECISIONS``; ``f32`` and ``f16`` are taken too. Raises EngineError for anything else."""
    found = _SHORT.get(name, name)
    for precision in PRECISIONS:
        if precision == found:
            return precision
    raise EngineError(f"precision must be one of {', '.join(PRECISIONS)}, got {name!r}")
