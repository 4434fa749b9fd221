"""Live Link Face's CSV: what its app exports beside a take, and what importers of Unreal, Maya and Blender expect.

63 columns, ten decimals, one row a frame. The order of columns is the app's own, which has JawRight before JawLeft and MouthRight
before MouthLeft, unlike its UDP packets. A file beside it says the exact rate, which the table cannot.
"""

from __future__ import annotations

import json
import time
from fractions import Fraction
from pathlib import Path
from typing import Final

from tracker.arkit import ARKIT_NAMES
from tracker.bridges.bridge import BridgeFace
from tracker.bridges.livelink import values
from tracker.exporting.performance import Performance, Track
from tracker.exporting.timecode import timecode

_ANGLES: Final = (
    "HeadYaw", "HeadPitch", "HeadRoll",
    "LeftEyeYaw", "LeftEyePitch", "LeftEyeRoll", "RightEyeYaw", "RightEyePitch", "RightEyeRoll",
)  # fmt: skip
_UDP_ORDER: Final = (*(name[0].upper() + name[1:] for name in ARKIT_NAMES), *_ANGLES)


def _csv_order() -> tuple[str, ...]:
    order = list(_UDP_ORDER)
    for left, right in (("JawLeft", "JawRight"), ("MouthLeft", "MouthRight")):
        i, j = order.index(left), order.index(right)
        order[i], order[j] = order[j], order[i]
    return tuple(order)


VALUE_COLUMNS: Final = _csv_order()
COLUMNS: Final = ("Timecode", "BlendShapeCount", *VALUE_COLUMNS)
_PLACES: Final = tuple(_UDP_ORDER.index(name) for name in VALUE_COLUMNS)


def write_livelink_csv(performance: Performance, path: Path) -> list[str]:
    """Write the table of the main track to ``path`` and what it cannot say to ``path`` + ``.json``.

    Returns:
        What else people should know, for the command line.

    Raises:
        OSError: there is no room.
    """
    track = performance.main
    offset_s = _offset_s(performance)
    lines = [",".join(COLUMNS)]
    for row, t in enumerate(performance.times_s):
        numbers = values(BridgeFace.of(track.face(row)))
        code = timecode(t + offset_s, performance.rate)
        lines.append(f"{code},{len(numbers)}," + ",".join(f"{numbers[place]:.10f}" for place in _PLACES))
    path.write_text("\n".join(lines) + "\n", encoding="ascii")
    return []


def side_file(performance: Performance) -> bytes:
    """The JSON beside the table: exact rate, kind of time code, who it is and where nobody was seen."""
    track, rate = performance.main, performance.rate
    take = performance.take
    facts = {
        "format": "livelink-face-csv",
        "rate": [rate.numerator, rate.denominator],
        "frames": len(performance),
        "timecode": "frames since midnight at the rate, counted without dropping numbers",
        "timecode_origin": "local time of capture" if _is_live(performance) else "media time of the source",
        "start": timecode(performance.times_s[0] + _offset_s(performance), rate),
        "start_s": str(performance.times_s[0]),
        "angles": "radians",
        "face_ids": list(track.ids),
        "not_seen": _gaps(track),
        "source": take.meta.get("source"),
        "tool": take.meta.get("tool"),
    }
    return (json.dumps(facts, indent=1) + "\n").encode()


def _gaps(track: Track) -> list[list[int]]:
    """First and last row of every stretch in which the face was not seen; the table holds the last values there."""
    gaps: list[list[int]] = []
    for row, seen in enumerate(track.tracked.tolist()):
        if seen:
            continue
        if gaps and gaps[-1][1] == row - 1:
            gaps[-1][1] = row
        else:
            gaps.append([row, row])
    return gaps


def _is_live(performance: Performance) -> bool:
    return performance.take.clock == "CLOCK_MONOTONIC"


def _offset_s(performance: Performance) -> Fraction:
    """What brings the take's clock to midnight: nothing for files, local midnight for live takes."""
    if not _is_live(performance):
        return Fraction(0)
    row = performance.first_row
    unix_ns = int(performance.take["t_unix_ns"][row])
    local = time.localtime(unix_ns // 1_000_000_000)
    since_midnight_s = local.tm_hour * 3600 + local.tm_min * 60 + local.tm_sec + Fraction(unix_ns % 10**9, 10**9)
    return since_midnight_s - performance.times_s[0]
