"""Media time for frames whose own time stamps may be missing, repeated or reset."""

from __future__ import annotations

from fractions import Fraction

# A step back of this much is a reset (two recordings joined end to end); less is a misordered or repeated stamp.
RESET_S = Fraction(1, 2)
FALLBACK_INTERVAL_S = Fraction(1, 30)


def exact_seconds(seconds: float | Fraction) -> Fraction:
    """The number somebody meant: 0.2 is 1/5, not the binary fraction next to it."""
    return Fraction(seconds).limit_denominator(1_000_000)


class Timeline:
    """Turns presentation time stamps into strictly increasing exact seconds.

    Good stamps pass through unchanged, whatever their spacing, so variable frame rate survives. A missing or repeated
    stamp becomes the previous time plus one nominal interval. When stamps restart from a much earlier time, later ones
    are shifted so that they go on where the previous part ended.
    """

    def __init__(self, rate: Fraction | None) -> None:
        self.interval_s = 1 / rate if rate else FALLBACK_INTERVAL_S
        self.last_s: Fraction | None = None
        self.shift_s = Fraction(0)
        self.reconstructed = 0
        """How many times differ from the source's own stamps."""

    def stamp(self, pts_s: Fraction | None) -> Fraction:
        """Return the time of the next frame in seconds; ``pts_s`` is its own stamp, None when it has none."""
        if self.last_s is None:
            self.last_s = Fraction(0) if pts_s is None else pts_s
            self.reconstructed += pts_s is None
            return self.last_s
        following_s = self.last_s + self.interval_s
        if pts_s is not None and pts_s + self.shift_s < self.last_s - RESET_S:
            self.shift_s = following_s - pts_s
        if pts_s is None or pts_s + self.shift_s <= self.last_s:
            self.last_s = following_s
            self.reconstructed += 1
        else:
            self.last_s = pts_s + self.shift_s
            self.reconstructed += self.shift_s != 0
        return self.last_s
