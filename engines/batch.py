"""How many crops an engine takes at once."""

from __future__ import annotations

from typing import NamedTuple

from engines.errors import EngineError


class BatchProfile(NamedTuple):
    """The least, the usual and the greatest number of rows (first axis of every input and output) of one run."""

    minimum: int = 1
    optimum: int = 1
    maximum: int = 1

    @property
    def fixed(self) -> bool:
        """Whether there is one size only."""
        return self.minimum == self.maximum

    def __str__(self) -> str:
        return str(self.maximum) if self.fixed else f"{self.minimum}:{self.optimum}:{self.maximum}"


def parse_batch(text: str) -> BatchProfile:
    """``8`` (that size only), ``1:16`` (best at 16) or ``1:4:16`` (from 1 to 16, best at 4).

    Raises:
        EngineError: it is none of these, or the sizes do not ascend from 1.
    """
    try:
        sizes = [int(part) for part in text.split(":")]
    except ValueError:
        sizes = []
    if len(sizes) == 1:
        sizes = sizes * 3
    elif len(sizes) == 2:
        sizes = [sizes[0], sizes[1], sizes[1]]
    if len(sizes) != 3 or not 1 <= sizes[0] <= sizes[1] <= sizes[2]:
        raise EngineError(f"batch must be N, MIN:MAX or MIN:OPT:MAX with 1 <= MIN <= OPT <= MAX, got {text!r}")
    return BatchProfile(*sizes)
