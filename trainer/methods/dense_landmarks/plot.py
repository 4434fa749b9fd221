"""A calibration as a picture: predicted against actual error by decile."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np

from trainer.metrics.calibration import Calibration
from trainer.pictures import Picture

_SIDE: Final = 360
_MARGIN: Final = 52
_INK: Final = (40, 40, 40)
_COLOURS: Final = ((31, 119, 180), (214, 39, 40), (44, 160, 44), (148, 103, 189), (255, 127, 14), (23, 190, 207))


def calibration_plot(calibrations: dict[str, Calibration], px: float = 256.0) -> Picture:
    """Lines of predicted (across) against actual (up) error per coordinate in pixels of crops of ``px``, both logarithmic; the
    diagonal is where they are alike.

    Raises:
        ValueError: there is no calibration.
    """
    if not calibrations:
        raise ValueError("expected at least one calibration to draw")
    values = [v * px for c in calibrations.values() for v in (*c.predicted, *c.actual) if v > 0]
    low, high = np.log10(min(values)) - 0.05, np.log10(max(values)) + 0.05
    page = np.full((_SIDE, _SIDE + 200, 3), 255, np.uint8)
    span = _SIDE - 2 * _MARGIN

    def at(across: float, up: float) -> tuple[int, int]:
        x = (np.log10(max(across * px, 10**low)) - low) / (high - low)
        y = (np.log10(max(up * px, 10**low)) - low) / (high - low)
        return round(_MARGIN + x * span), round(_SIDE - _MARGIN - y * span)

    cv2.rectangle(page, (_MARGIN, _MARGIN), (_SIDE - _MARGIN, _SIDE - _MARGIN), (200, 200, 200), 1)
    cv2.line(page, (_MARGIN, _SIDE - _MARGIN), (_SIDE - _MARGIN, _MARGIN), (190, 190, 190), 1, cv2.LINE_AA)
    for tick in (0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000):
        if low <= np.log10(tick) <= high:
            x, _ = at(tick / px, 1)
            _, y = at(1, tick / px)
            _text(page, f"{tick:g}", (x - 6, _SIDE - _MARGIN + 16))
            _text(page, f"{tick:g}", (_MARGIN - 30, y + 4))
    _text(page, "predicted sigma, px", (_MARGIN + 60, _SIDE - 12))
    _text(page, "actual RMS error, px", (8, _MARGIN - 16))
    for row, (name, calibration) in enumerate(calibrations.items()):
        colour = _COLOURS[row % len(_COLOURS)]
        line = [at(p, a) for p, a in zip(calibration.predicted, calibration.actual, strict=True)]
        cv2.polylines(page, [np.array(line, np.int32)], False, colour, 1, cv2.LINE_AA)
        for place in line:
            cv2.circle(page, place, 3, colour, -1, cv2.LINE_AA)
        top = _MARGIN + 16 + 22 * row
        cv2.circle(page, (_SIDE - 24, top - 4), 4, colour, -1, cv2.LINE_AA)
        _text(page, f"{name} ({calibration.ratio:.2f})", (_SIDE - 12, top))
    return page


def _text(page: Picture, text: str, place: tuple[int, int]) -> None:
    cv2.putText(page, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.42, _INK, 1, cv2.LINE_AA)
