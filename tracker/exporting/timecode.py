"""SMPTE-like time codes at exact rates: ``HH:MM:SS:FF.mmm``, as Live Link Face writes them.

Frames are counted since midnight at the true rate and shown at the next whole one without dropping numbers: at 30000/1001,
frame 30 is ``00:00:01:00`` although it comes at 1.001 s. With the rate beside it, the code gives the time back.
"""

from __future__ import annotations

import math
import re
from fractions import Fraction
from typing import Final

_PATTERN: Final = re.compile(r"(\d{2}):(\d{2}):(\d{2}):(\d{2,3})(?:\.(\d{3}))?")


def timecode(since_midnight_s: Fraction, rate: Fraction) -> str:
    """The time code of an instant; ``.mmm`` are thousandths of a frame. Days wrap around."""
    nominal = math.ceil(rate)
    thousandths = round(since_midnight_s * rate * 1000) % (24 * 3600 * nominal * 1000)
    frames, fraction = divmod(thousandths, 1000)
    seconds, frame = divmod(frames, nominal)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}:{frame:02d}.{fraction:03d}"


def seconds_of(code: str, rate: Fraction) -> Fraction:
    """Seconds since midnight of a time code at its rate: the way back, to a thousandth of a frame.

    Raises:
        ValueError: it is no time code, or its frame number does not fit the rate.
    """
    match = _PATTERN.fullmatch(code)
    if match is None:
        raise ValueError(f"expected HH:MM:SS:FF.mmm, got '{code}'")
    hours, minutes, seconds, frame, fraction = (int(group or 0) for group in match.groups())
    nominal = math.ceil(rate)
    if frame >= nominal or minutes > 59 or seconds > 59:
        raise ValueError(f"'{code}' is no time code at {nominal} frames a second")
    return (((hours * 60 + minutes) * 60 + seconds) * nominal + frame + Fraction(fraction, 1000)) / rate
