"""Which cameras Linux has and what they offer, asked of the kernel directly (Video4Linux2, linux/videodev2.h)."""

from __future__ import annotations

import errno
import os
import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

QUERYCAP = 0x80685600
ENUM_FMT = 0xC0405602
ENUM_FRAMESIZES = 0xC02C564A
ENUM_FRAMEINTERVALS = 0xC034564B

CAPABILITY = struct.Struct("=16s32s32s3I12x")
FORMAT = struct.Struct("=3I32sI16x")
FRAME_SIZE = struct.Struct("=3I6I8x")
FRAME_INTERVAL = struct.Struct("=5I6I8x")

CAP_VIDEO_CAPTURE = 0x1
CAP_VIDEO_CAPTURE_MPLANE = 0x1000
CAP_DEVICE_CAPS = 0x80000000
BUFFER_CAPTURE = 1
BUFFER_CAPTURE_MPLANE = 9
DISCRETE = 1

Ioctl = Callable[[int, int, bytearray], int]


@dataclass(frozen=True, slots=True)
class CameraFormat:
    """One picture size in one encoding."""

    fourcc: str
    """How pictures are encoded, e.g. ``MJPG`` or ``YUYV``."""
    width: int
    height: int
    rates: tuple[Fraction, ...] = ()
    """Frame rates in 1/s, fastest first; empty when the driver names none."""


@dataclass(frozen=True, slots=True)
class CameraInfo:
    """A camera that can be opened as ``webcam:<index>``."""

    index: int
    name: str
    path: str = ""
    """The device file; empty where the system has none."""
    driver: str = ""
    formats: tuple[CameraFormat, ...] = ()

    def to_message(self) -> dict[str, object]:
        """For programs: plain values, rates as numbers per second."""
        formats = [
            {
                "fourcc": offer.fourcc,
                "width": offer.width,
                "height": offer.height,
                "rates": [int(rate) if rate.denominator == 1 else float(rate) for rate in offer.rates],
            }
            for offer in self.formats
        ]
        source = f"webcam:{self.index}"
        return {"source": source, "name": self.name, "path": self.path, "driver": self.driver, "formats": formats}


@dataclass(slots=True)
class Cameras:
    """The outcome of a look around."""

    found: list[CameraInfo] = field(default_factory=list)
    refused: list[tuple[str, str]] = field(default_factory=list)
    """Device files that could not be asked, each with the reason."""
    others: list[str] = field(default_factory=list)
    """Video device files that deliver no pictures (metadata, output, codecs)."""


def find_cameras(devices: Path = Path("/dev"), ioctl: Ioctl | None = None) -> Cameras:
    """Ask every ``video*`` device file in ``devices`` what it is. ``ioctl`` stands in for the kernel's."""
    ask = ioctl or _kernel_ioctl()
    cameras = Cameras()
    for path in sorted(devices.glob("video*"), key=lambda path: int(re.sub(r"\D", "", path.name) or 0)):
        try:
            camera = query_camera(path, ask)
        except OSError as error:
            cameras.refused.append((str(path), error.strerror or str(error)))
            continue
        if camera is None:
            cameras.others.append(str(path))
        else:
            cameras.found.append(camera)
    return cameras


def query_camera(path: Path, ioctl: Ioctl | None = None) -> CameraInfo | None:
    """Ask one device file; None when it is not a camera.

    Raises:
        OSError: it cannot be opened or is no video device.
    """
    ask = ioctl or _kernel_ioctl()
    device = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    try:
        buffer = bytearray(CAPABILITY.size)
        ask(device, QUERYCAP, buffer)
        driver, card, _, _, capabilities, device_capabilities = CAPABILITY.unpack(buffer)
        able = device_capabilities if capabilities & CAP_DEVICE_CAPS else capabilities
        if not able & (CAP_VIDEO_CAPTURE | CAP_VIDEO_CAPTURE_MPLANE):
            return None
        planes = BUFFER_CAPTURE if able & CAP_VIDEO_CAPTURE else BUFFER_CAPTURE_MPLANE
        formats = tuple(_formats(device, planes, ask))
    finally:
        os.close(device)
    index = int(re.sub(r"\D", "", path.resolve().name) or 0)
    return CameraInfo(index, _text(card), str(path), _text(driver), formats)


def _formats(device: int, planes: int, ask: Ioctl) -> Iterator[CameraFormat]:
    for buffer in _enumerate(device, ENUM_FMT, FORMAT, lambda index: (index, planes, 0, b"", 0), ask):
        pixel_format = FORMAT.unpack(buffer)[4]
        yield from _sizes(device, pixel_format, ask)


def _sizes(device: int, pixel_format: int, ask: Ioctl) -> Iterator[CameraFormat]:
    fourcc = pixel_format.to_bytes(4, "little").decode("ascii", "replace").strip()
    empty = (0,) * 7
    for buffer in _enumerate(device, ENUM_FRAMESIZES, FRAME_SIZE, lambda index: (index, pixel_format, *empty), ask):
        _, _, kind, *numbers = FRAME_SIZE.unpack(buffer)
        # Any size between two: minimum, maximum and step of the width, then of the height.
        low_width, second, _, low_height, high_height, _ = numbers
        sizes = [(low_width, second)] if kind == DISCRETE else [(low_width, low_height), (second, high_height)]
        for width, height in sizes:
            yield CameraFormat(fourcc, width, height, _rates(device, pixel_format, width, height, ask))
        if kind != DISCRETE:
            return


def _rates(device: int, pixel_format: int, width: int, height: int, ask: Ioctl) -> tuple[Fraction, ...]:
    rates: set[Fraction] = set()
    asked = (pixel_format, width, height, *(0,) * 7)
    for buffer in _enumerate(device, ENUM_FRAMEINTERVALS, FRAME_INTERVAL, lambda index: (index, *asked), ask):
        *_, kind, first_num, first_den, second_num, second_den, _, _ = FRAME_INTERVAL.unpack(buffer)
        intervals = [(first_num, first_den)] if kind == DISCRETE else [(first_num, first_den), (second_num, second_den)]
        rates.update(Fraction(den, num) for num, den in intervals if num and den)
        if kind != DISCRETE:
            break
    return tuple(sorted(rates, reverse=True))


def _enumerate(
    device: int, request: int, layout: struct.Struct, question: Callable[[int], tuple[object, ...]], ask: Ioctl
) -> Iterator[bytearray]:
    """Ask with index 0, 1, 2 … until the driver says that there is no more."""
    for index in range(256):
        buffer = bytearray(layout.pack(*question(index)))
        try:
            ask(device, request, buffer)
        except OSError as error:
            if error.errno in (errno.EINVAL, errno.ENOTTY, errno.ENODATA):
                return
            raise
        yield buffer


def _text(field_bytes: bytes) -> str:
    return field_bytes.split(b"\0", 1)[0].decode("utf-8", "replace").strip()


def _kernel_ioctl() -> Ioctl:
    from fcntl import ioctl  # exists on Linux and macOS only

    return ioctl
