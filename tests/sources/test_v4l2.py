from __future__ import annotations

import errno
import json
import struct
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest

from tracker.cli import cameras as verb
from tracker.sources import v4l2, webcam
from tracker.sources.v4l2 import CameraFormat, Cameras, find_cameras

MJPG, YUYV = (int.from_bytes(name, "little") for name in (b"MJPG", b"YUYV"))
INTERVALS = {(MJPG, 1280, 720): [(1, 60), (1, 30)], (MJPG, 640, 480): [(1001, 30000)], (YUYV, 640, 480): [(1, 30)]}
SIZES = {MJPG: [(1280, 720), (640, 480)], YUYV: [(640, 480)]}


def pick(values: list[tuple[int, int]], index: int) -> tuple[int, int]:
    if index >= len(values):
        raise OSError(errno.EINVAL, "Invalid argument")
    return values[index]


def driver(capabilities: int = v4l2.CAP_VIDEO_CAPTURE, *, stepwise: bool = False) -> v4l2.Ioctl:
    """A kernel driver's side of the four requests, from the layouts in linux/videodev2.h."""

    def ioctl(device: int, request: int, buffer: bytearray) -> int:
        if request == 0x80685600:
            whole = v4l2.CAP_DEVICE_CAPS | v4l2.CAP_VIDEO_CAPTURE
            struct.pack_into("=16s32s32sIII", buffer, 0, b"uvcvideo", b"HD Cam", b"usb-1", 1, whole, capabilities)
        elif request == 0xC0405602:
            (index,) = struct.unpack_from("=I", buffer)
            struct.pack_into("=I", buffer, 44, pick([(MJPG, 0), (YUYV, 0)], index)[0])
        elif request == 0xC02C564A:
            index, pixel_format = struct.unpack_from("=II", buffer)
            if stepwise:
                pick([(0, 0)], index)
                struct.pack_into("=I6I", buffer, 8, 3, 32, 1920, 2, 24, 1080, 2)
            else:
                struct.pack_into("=III", buffer, 8, 1, *pick(SIZES[pixel_format], index))
        elif request == 0xC034564B:
            index, *mode = struct.unpack_from("=IIII", buffer)
            struct.pack_into("=III", buffer, 16, 1, *pick(INTERVALS.get(tuple(mode), []), index))
        else:
            raise OSError(errno.ENOTTY, "Inappropriate ioctl")
        return 0

    return ioctl


@pytest.fixture
def devices(tmp_path: Path) -> Path:
    for name in ("video10", "video2"):
        (tmp_path / name).touch()
    return tmp_path


def test_cameras_are_listed_in_order_with_formats(devices: Path) -> None:
    cameras = find_cameras(devices, driver())
    assert [camera.index for camera in cameras.found] == [2, 10]
    camera = cameras.found[0]
    assert (camera.name, camera.driver, camera.path) == ("HD Cam", "uvcvideo", str(devices / "video2"))
    assert camera.formats == (
        CameraFormat("MJPG", 1280, 720, (Fraction(60), Fraction(30))),
        CameraFormat("MJPG", 640, 480, (Fraction(30000, 1001),)),
        CameraFormat("YUYV", 640, 480, (Fraction(30),)),
    )


def test_size_ranges_are_given_by_their_ends(devices: Path) -> None:
    formats = find_cameras(devices, driver(stepwise=True)).found[0].formats
    assert [(offer.fourcc, offer.width, offer.height) for offer in formats] == [
        ("MJPG", 32, 24),
        ("MJPG", 1920, 1080),
        ("YUYV", 32, 24),
        ("YUYV", 1920, 1080),
    ]


def test_metadata_devices_are_no_cameras(devices: Path) -> None:
    metadata = 0x00800000
    cameras = find_cameras(devices, driver(metadata))
    assert cameras.found == []
    assert len(cameras.others) == 2


def test_files_that_are_no_devices_are_reported_with_the_reason(devices: Path) -> None:
    refused = find_cameras(devices).refused
    assert [Path(path).name for path, _ in refused] == ["video2", "video10"]
    assert all(reason for _, reason in refused)


def test_an_empty_folder(tmp_path: Path) -> None:
    assert find_cameras(tmp_path) == Cameras()


Run = Callable[..., int]


@pytest.fixture
def run_verb(monkeypatch: pytest.MonkeyPatch) -> Run:
    def run(found: Cameras, *arguments: str) -> int:
        import argparse

        monkeypatch.setattr(webcam, "list_cameras", lambda: found)
        parser = argparse.ArgumentParser()
        verb.add_arguments(parser)
        return verb.run(parser.parse_args(arguments))

    return run


def test_the_verb_lists_for_people(devices: Path, run_verb: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_verb(find_cameras(devices, driver())) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("webcam:2  HD Cam")
    assert lines[1] == "    MJPG  1280x720  at 60, 30 fps"
    assert lines[2] == "    MJPG  640x480  at 29.97 fps"


def test_the_verb_lists_for_programs(devices: Path, run_verb: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_verb(find_cameras(devices, driver()), "--json") == 0
    listed = json.loads(capsys.readouterr().out)
    assert [camera["source"] for camera in listed] == ["webcam:2", "webcam:10"]
    assert listed[0]["formats"][0] == {"fourcc": "MJPG", "width": 1280, "height": 720, "rates": [60, 30]}


def test_the_verb_without_a_camera(run_verb: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_verb(Cameras()) == 1
    assert run_verb(Cameras(), "--json") == 1
    captured = capsys.readouterr()
    assert captured.out == "[]\n"
    assert captured.err.count("no camera found") == 2


def test_the_verb_without_permission(run_verb: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_verb(Cameras(refused=[("/dev/video0", "Permission denied")])) == 1
    assert "usermod -aG video" in capsys.readouterr().err
