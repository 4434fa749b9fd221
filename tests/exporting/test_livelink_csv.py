"""Live Link Face's CSV, read by the csv module and by the columns of a real export."""

from __future__ import annotations

import csv
import dataclasses
import json
import re
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from tests.exporting.takes import RATE, clip, record
from tests.toy_model import toy_model
from tracker.arkit import ARKIT_NAMES
from tracker.bridges.bridge import BridgeFace
from tracker.bridges.livelink import values
from tracker.exporting import read_performance
from tracker.exporting.livelink_csv import side_file, write_livelink_csv
from tracker.exporting.timecode import seconds_of, timecode

# The first line of a take that the app itself exported.
HEADER = (
    "Timecode,BlendShapeCount,EyeBlinkLeft,EyeLookDownLeft,EyeLookInLeft,EyeLookOutLeft,EyeLookUpLeft,EyeSquintLeft,EyeWideLeft,"
    "EyeBlinkRight,EyeLookDownRight,EyeLookInRight,EyeLookOutRight,EyeLookUpRight,EyeSquintRight,EyeWideRight,JawForward,JawRight,"
    "JawLeft,JawOpen,MouthClose,MouthFunnel,MouthPucker,MouthRight,MouthLeft,MouthSmileLeft,MouthSmileRight,MouthFrownLeft,"
    "MouthFrownRight,MouthDimpleLeft,MouthDimpleRight,MouthStretchLeft,MouthStretchRight,MouthRollLower,MouthRollUpper,"
    "MouthShrugLower,MouthShrugUpper,MouthPressLeft,MouthPressRight,MouthLowerDownLeft,MouthLowerDownRight,MouthUpperUpLeft,"
    "MouthUpperUpRight,BrowDownLeft,BrowDownRight,BrowInnerUp,BrowOuterUpLeft,BrowOuterUpRight,CheekPuff,CheekSquintLeft,"
    "CheekSquintRight,NoseSneerLeft,NoseSneerRight,TongueOut,HeadYaw,HeadPitch,HeadRoll,LeftEyeYaw,LeftEyePitch,LeftEyeRoll,"
    "RightEyeYaw,RightEyePitch,RightEyeRoll"
)


def export(tmp_path: Path, frames: list, **options: object) -> tuple[list[dict[str, str]], dict]:
    take = record(tmp_path / "take.npz", toy_model(), frames)
    performance = read_performance(take, **options)
    path = tmp_path / "out.livelink.csv"
    assert write_livelink_csv(performance, path) == []
    with path.open(newline="") as file:
        return list(csv.DictReader(file)), json.loads(side_file(performance))


def test_header_and_numbers_are_the_apps_own(tmp_path: Path) -> None:
    frames = clip(toy_model(), 35)
    rows, _ = export(tmp_path, frames)
    assert (tmp_path / "out.livelink.csv").read_text().splitlines()[0] == HEADER
    assert len(rows) == 35
    for row, frame in zip(rows, frames, strict=True):
        assert row["BlendShapeCount"] == "61" and re.fullmatch(r"-?\d\.\d{10}", row["JawOpen"])
        found = [float(row[name[0].upper() + name[1:]]) for name in ARKIT_NAMES]
        np.testing.assert_allclose(found, frame.faces[0].arkit, atol=1e-10)
        sent = values(BridgeFace.of(frame.faces[0]))
        angles = [
            float(row[f"{joint}{axis}"])
            for joint in ("Head", "LeftEye", "RightEye")
            for axis in ("Yaw", "Pitch", "Roll")
        ]
        np.testing.assert_allclose(angles, sent[52:], atol=2e-6)


@pytest.mark.parametrize("rate", [RATE, Fraction(24000, 1001), Fraction(60), Fraction(25), Fraction(120000, 1001)])
def test_timecodes_count_every_frame_and_give_the_time_back(rate: Fraction) -> None:
    nominal = -(-rate.numerator // rate.denominator)
    for number in (0, 1, nominal - 1, nominal, 10_000, 100_000):
        code = timecode(number / rate, rate)
        seconds, frame = divmod(number, nominal)
        assert code.endswith(f":{seconds % 60:02d}:{frame:02d}.000") and seconds_of(code, rate) == number / rate
    between = timecode((Fraction(1001) + Fraction(1, 4)) / rate, rate)
    assert between.endswith(".250")
    # Times in nanoseconds are not whole frames; they still mean them.
    assert timecode(Fraction(round(29 / rate * 10**9), 10**9), rate).endswith(f":{29 % nominal:02d}.000")


def test_timecodes_that_are_none_are_refused() -> None:
    for code in ("", "1:2:3", "00:00:00:30.000", "00:61:00:00.000", "00:00:00:00,5"):
        with pytest.raises(ValueError, match=r"expected HH|no time code"):
            seconds_of(code, Fraction(30))


def test_the_side_file_says_the_exact_rate_and_where_nobody_was(tmp_path: Path) -> None:
    rows, facts = export(tmp_path, clip(toy_model(), 12, away=range(4, 7)))
    assert facts["rate"] == [30000, 1001] and facts["frames"] == 12 and facts["face_ids"] == [1]
    # The factory marks no frame as held.
    assert facts["not_seen"] == [[4, 6]] and facts["start"] == rows[0]["Timecode"] == "00:00:00:00.000"
    held = [float(rows[row]["JawOpen"]) for row in range(3, 7)]
    assert held == [held[0]] * 4 != [float(rows[7]["JawOpen"])]
    times = [seconds_of(row["Timecode"], RATE) for row in rows]
    assert times == [i / RATE for i in range(12)]


def test_a_live_take_has_the_time_of_day(tmp_path: Path) -> None:
    frames = [
        dataclasses.replace(
            frame, clock="CLOCK_MONOTONIC", pts_s=None, rate=None, t_capture_ns=987_654_321 + i * 16_666_667,
            t_unix_ns=1_700_000_000_250_000_000 + i * 16_666_667,
        )
        for i, frame in enumerate(clip(toy_model(), 9))
    ]  # fmt: skip
    rows, facts = export(tmp_path, frames)
    local = time.localtime(1_700_000_000)
    assert rows[0]["Timecode"] == f"{local.tm_hour:02d}:{local.tm_min:02d}:{local.tm_sec:02d}:15.000"
    assert facts["rate"] == [60, 1] and facts["timecode_origin"] == "local time of capture"
    assert rows[8]["Timecode"].endswith(":23.000")


def test_part_of_a_take_keeps_its_own_time(tmp_path: Path) -> None:
    from tracker.exporting import Range

    rows, facts = export(tmp_path, clip(toy_model(), 60), wanted=Range(start_s=1.0, end_s=1.5))
    assert len(rows) == 15 and rows[0]["Timecode"] == "00:00:01:00.000" and facts["start_s"] == str(30 / RATE)
