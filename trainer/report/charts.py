"""Curves as SVG, drawn by hand: a page needs neither a plotting library nor scripts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import Final, NamedTuple

_WIDTH: Final = 380
_HEIGHT: Final = 210
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 12, 30, 26
_LOG_FROM: Final = 30.0
"""Ratio of the largest to the smallest value from which on the scale is logarithmic."""
_COLOURS: Final = ("#2f6fb7", "#d1662b", "#3a9150", "#9159a8", "#8a7a2d", "#b7355b", "#4aa3a3", "#777777")


class Curve(NamedTuple):
    """One line of a chart."""

    name: str
    points: Sequence[tuple[float, float]]
    """(step, value); values that are no numbers leave a gap."""


def chart(title: str, curves: Sequence[Curve]) -> str:
    """A chart of curves over the steps, as an ``<svg>`` element; empty when there is nothing to draw."""
    drawn = [Curve(c.name, [p for p in c.points if math.isfinite(p[1])]) for c in curves]
    drawn = [curve for curve in drawn if curve.points]
    if not drawn:
        return ""
    values = [value for curve in drawn for _, value in curve.points]
    steps = [step for curve in drawn for step, _ in curve.points]
    logarithmic = min(values) > 0.0 and max(values) / min(values) > _LOG_FROM
    across = _Scale(min(steps), max(steps), _LEFT, _WIDTH - _RIGHT, False)
    up = _Scale(min(values), max(values), _HEIGHT - _BOTTOM, _TOP, logarithmic)
    parts = [
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" height="{_HEIGHT}" role="img" aria-label="{escape(title)}">',
        f'<text x="{_LEFT}" y="14" class="title">{escape(title)}{" (log)" if logarithmic else ""}</text>',
    ]
    for tick in up.ticks():
        y = up(tick)
        parts.append(f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" class="grid"/>')
        parts.append(f'<text x="{_LEFT - 5}" y="{y + 3.5:.1f}" text-anchor="end">{tick:.3g}</text>')
    for tick in across.ticks():
        x = across(tick)
        parts.append(f'<text x="{x:.1f}" y="{_HEIGHT - 9}" text-anchor="middle">{escape(_short(tick))}</text>')
    for index, curve in enumerate(drawn):
        colour = _COLOURS[index % len(_COLOURS)]
        path = " ".join(f"{across(step):.1f},{up(value):.1f}" for step, value in curve.points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.6"/>')
        if len(curve.points) <= 40:
            for step, value in curve.points:
                label = f"<title>step {step:g}: {value:.4g}</title>"
                parts.append(
                    f'<circle cx="{across(step):.1f}" cy="{up(value):.1f}" r="2.2" fill="{colour}">{label}</circle>'
                )
    parts.append("</svg>")
    if len(drawn) > 1:
        keys = (
            f'<span style="color:{_COLOURS[index % len(_COLOURS)]}">&#9644; {escape(curve.name)}</span>'
            for index, curve in enumerate(drawn)
        )
        parts.append(f'<div class="key">{" ".join(keys)}</div>')
    return f"<figure>{''.join(parts)}</figure>"


class _Scale:
    """From values to pixels."""

    def __init__(self, low: float, high: float, start: float, end: float, logarithmic: bool) -> None:
        self._log = logarithmic
        self._low, self._high = (math.log10(low), math.log10(high)) if logarithmic else (float(low), float(high))
        if self._high - self._low <= 1e-12 * max(abs(self._high), 1e-300):
            room = 0.5 * abs(self._high) or 0.5
            self._low, self._high = self._low - room, self._high + room
        self._start, self._end = start, end

    def __call__(self, value: float) -> float:
        here = math.log10(value) if self._log else value
        return self._start + (self._end - self._start) * (here - self._low) / (self._high - self._low)

    def ticks(self) -> list[float]:
        """Three to six round values within the scale."""
        if self._log and self._high - self._low >= 1.5:
            marks = [10.0**power for power in range(math.ceil(self._low), math.floor(self._high) + 1)]
            return marks[:: max(1, len(marks) // 5)]
        low, high = (10.0**self._low, 10.0**self._high) if self._log else (self._low, self._high)
        size = 10.0 ** math.floor(math.log10(high - low))
        step = next(s * size for s in (0.2, 0.5, 1.0, 2.0, 5.0) if (high - low) / (s * size) <= 5.0)
        first = math.ceil(low / step - 1e-9)
        return [k * step for k in range(first, math.floor(high / step + 1e-9) + 1) if not (self._log and k <= 0)]


def _short(number: float) -> str:
    return f"{number / 1000:g}k" if abs(number) >= 10_000 else f"{number:g}"
