"""Video files decoded by an NVIDIA GPU (NVDEC) through the Python package PyNvVideoCodec.

FFmpeg still reads the container, so times, edit lists, rotation and colours are those of ``MediaReader``; only compressed
pictures go to the GPU, and come back in the format that FFmpeg would have decoded them to, so that the same bits become RGB.
The first picture is decoded by both and compared: a difference means that the two understand the file differently.
"""

from __future__ import annotations

import ctypes
import importlib
import importlib.util
import logging
import sys
from collections.abc import Iterator
from itertools import chain
from typing import Any, Final, NamedTuple

import av.error
import numpy as np
from av.bitstream import BitStreamFilterContext
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from tracker.errors import SourceError
from tracker.sources.media import MediaReader

PACKAGE: Final = "PyNvVideoCodec"
INSTALL: Final = "pip install 'facestream-tracker[nvdec]'"
# FFmpeg's name of a codec -> NVDEC's, and how its packets become what NVDEC reads.
CODECS: Final[dict[str, tuple[str, str | None]]] = {
    "h264": ("H264", "h264_mp4toannexb"),
    "hevc": ("HEVC", "hevc_mp4toannexb"),
    "vp8": ("VP8", None),
    "vp9": ("VP9", None),
    "av1": ("AV1", None),
    "mpeg2video": ("MPEG2", None),
}
# Format of a decoded picture -> numpy type of its values, and whether colours are interleaved at half the height and width.
FORMATS: Final[dict[str, tuple[Any, bool]]] = {
    "NV12": (np.uint8, True),
    "P016": (np.uint16, True),
    "YUV444": (np.uint8, False),
    "YUV444_16Bit": (np.uint16, False),
}
# In levels of 255, on average over the first picture. MPEG-2 lets decoders round as they like, and where colours lie between
# pixels, which PyAV does not let us say, moves those of 10 bits at hard edges; else there is no difference.
MOST_LEVELS_APART: Final = 2.0
# Packets whose times are kept: more than any decoder holds back.
_REMEMBERED: Final = 256


class NvdecError(SourceError):
    """NVDEC cannot be used, or not for this file; the message does not say what to do instead."""


class _Libraries(NamedTuple):
    driver: str
    decoder: str
    encoder: str


_LIBRARIES: Final = (
    _Libraries("nvcuda.dll", "nvcuvid.dll", "nvEncodeAPI64.dll")
    if sys.platform == "win32"
    else _Libraries("libcuda.so.1", "libnvcuvid.so.1", "libnvidia-encode.so.1")
)


def missing() -> str | None:
    """Why NVDEC cannot be used on this machine, on one line; None when everything is there.

    The package ends the whole process where it finds no GPU, so it is not imported before driver and GPU have been seen.
    """
    if importlib.util.find_spec(PACKAGE) is None:
        return f"NVDEC needs the Python package {PACKAGE}; run: {INSTALL}"
    try:
        driver = ctypes.CDLL(_LIBRARIES.driver)
    except OSError:
        return f"NVDEC needs an NVIDIA driver ({_LIBRARIES.driver}); install one (containers: start with --gpus all)"
    for library in (_LIBRARIES.decoder, _LIBRARIES.encoder):
        try:
            ctypes.CDLL(library)
        except OSError:
            return (
                f"NVDEC needs the video part of the NVIDIA driver ({library}); in a container set "
                "NVIDIA_DRIVER_CAPABILITIES=compute,utility,video"
            )
    count = ctypes.c_int(0)
    if driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count)) or not count.value:
        return "NVDEC needs an NVIDIA GPU, and the driver finds none"
    return None


def load() -> Any:
    """The package. Raises NvdecError with the reason when it cannot be used."""
    if (why := missing()) is not None:
        raise NvdecError(why)
    # It logs its failures before it raises them.
    log = logging.getLogger(PACKAGE)
    log.addHandler(logging.NullHandler())
    log.propagate = False
    try:
        return importlib.import_module(PACKAGE)
    except (ImportError, OSError, RuntimeError) as error:
        said = str(error).strip().splitlines() or [type(error).__name__]
        raise NvdecError(f"{PACKAGE} does not load ({said[0]})") from error


class NvdecReader(MediaReader):
    """A video stream whose pictures the GPU decodes, with the times that FFmpeg reads in the file."""

    def __init__(self, address: str, *, name: str) -> None:
        """Open ``address``.

        Raises:
            NvdecError: NVDEC is not there, or does not know the codec.
            SourceError: it cannot be opened or holds no video.
        """
        self._codec_module = load()
        super().__init__(address, name=name)
        context = self.stream.codec_context
        known = CODECS.get(context.codec.canonical_name)
        if known is None:
            self.close()
            raise NvdecError(f"{name}: NVDEC does not decode {context.codec.canonical_name}, only {', '.join(CODECS)}")
        self._codec, self._filter = known

    def _decode(self) -> Iterator[VideoFrame]:
        packets = self._packets()
        looked: list[Packet[VideoStream]] = []
        first = self._decoded_by_ffmpeg(packets, looked)
        if first is None:
            return
        decoder = _Decoder(self, self._codec_module, self._codec, self._filter, first)
        pictures = decoder.pictures(chain(looked, packets))
        _check_same(self.name, first, next(pictures, None))
        # FFmpeg's own tells how the video is turned.
        yield first
        yield from pictures

    def _decoded_by_ffmpeg(
        self, packets: Iterator[Packet[VideoStream]], looked: list[Packet[VideoStream]]
    ) -> VideoFrame | None:
        """The first picture; the packets that it took are put into ``looked``."""
        for packet in packets:
            looked.append(packet)
            try:
                frames = self.stream.decode(packet)
            except av.error.FFmpegError:
                continue
            if frames:
                self.stream.codec_context.flush_buffers()
                return frames[0]
        return None


class _Decoder:
    """One session of NVDEC, fed with FFmpeg's packets."""

    def __init__(self, reader: NvdecReader, module: Any, codec: str, wanted: str | None, like: VideoFrame) -> None:
        """``like``: a picture of the same stream, whose colours and size are taken over."""
        self._reader, self._module, self._like = reader, module, like
        self._filter = None if wanted is None else BitStreamFilterContext(wanted, reader.stream)
        try:
            self._session = module.CreateDecoder(
                gpuid=0, codec=getattr(module.cudaVideoCodec, codec), usedevicememory=False
            )
        except Exception as error:  # the package's own exceptions derive from Exception only
            raise NvdecError(f"{reader.name}: NVDEC does not take it ({_said(error)})") from error
        self._times: dict[int, bool] = {}
        """Time stamp of a packet -> whether its picture is shown; the newest ones."""
        self._untimed = 0
        self._made = 0

    def pictures(self, packets: Iterator[Packet[VideoStream]]) -> Iterator[VideoFrame]:
        """The pictures of these packets, in the order of presentation."""
        for packet in packets:
            if packet.is_corrupt:
                self._reader.damaged_packets += 1
            if packet.size == 0:
                continue
            stamp = self._remember(packet)
            for part in [packet] if self._filter is None else self._filter.filter(packet):
                yield from self._decoded(part, stamp)
        yield from self._decoded(None, 0)

    def _remember(self, packet: Packet[VideoStream]) -> int:
        stamp = packet.pts
        if stamp is None:
            # A number that no video has: its picture comes back without a time, as FFmpeg would give it.
            self._untimed += 1
            return -(1 << 60) - self._untimed
        self._times[stamp] = not packet.is_discard
        if len(self._times) > _REMEMBERED:
            del self._times[next(iter(self._times))]
        return stamp

    def _decoded(self, packet: Packet[VideoStream] | None, stamp: int) -> Iterator[VideoFrame]:
        """Pictures that come out when ``packet`` goes in; None: the last ones."""
        given = self._module.PacketData()
        given.pts = stamp
        if packet is not None:
            given.bsl_data, given.bsl = packet.buffer_ptr, packet.buffer_size
        try:
            made = self._session.Decode(given)
        except Exception as error:  # the package's own exceptions derive from Exception only
            raise NvdecError(
                f"{self._reader.name}: NVDEC gave up after {self._made} frames ({_said(error)})"
            ) from error
        for frame in made:
            self._made += 1
            time = frame.getPTS()
            if self._times.pop(time, True):
                yield self._picture(frame, time if time > -(1 << 60) else None)

    def _picture(self, frame: Any, pts: int | None) -> VideoFrame:
        """A copy of a decoded picture, whose memory the decoder uses again, in FFmpeg's format."""
        kind, form = str(frame.format).rpartition(".")[2], self._like.format
        bits = form.components[0].bits
        dtype, interleaved = FORMATS.get(kind, (None, False))
        if dtype is None or (dtype == np.uint8) != (bits == 8) or interleaved != ("420" in form.name):
            raise NvdecError(f"{self._reader.name}: NVDEC decodes {form.name} to {kind}, which is not read here")
        stride = int(frame.shape[1])
        rows = int(frame.shape[0]) * 2 // 3 if interleaved else int(frame.shape[0]) // 3
        # Decoded sizes are even; an odd picture has a column or row more than it shows.
        width = self._like.width if stride - self._like.width == 1 else stride
        height = self._like.height if rows - self._like.height == 1 else rows
        memory = _values_at(frame.GetPtrToPlane(0), int(frame.framesize()), dtype)
        if dtype == np.uint16:
            memory = memory >> (16 - bits)
        luma, rest = memory[: rows * stride].reshape(rows, stride), memory[rows * stride :]
        if interleaved:
            both = rest[: rows // 2 * stride].reshape(rows // 2, stride // 2, 2)
            colours = [both[..., 0], both[..., 1]]
        else:
            colours = list(rest[: 2 * rows * stride].reshape(2, rows, stride))
        picture = VideoFrame(width, height, form.name)
        for plane, values in zip(picture.planes, (luma, *colours), strict=True):
            _fill(plane, values)
        picture.colorspace, picture.color_range = self._like.colorspace, self._like.color_range
        picture.pts, picture.time_base = pts, self._reader.stream.time_base
        return picture


def _values_at(address: int, size_bytes: int, dtype: Any) -> NDArray[Any]:
    memory = np.ctypeslib.as_array(ctypes.cast(address, ctypes.POINTER(ctypes.c_uint8)), shape=(size_bytes,))
    return memory.view(dtype)


def _fill(plane: Any, values: NDArray[Any]) -> None:
    """Write a plane, whose rows in memory may be longer, from rows that may be too many and too long."""
    rows = np.frombuffer(plane, values.dtype).reshape(-1, plane.line_size // values.dtype.itemsize)
    rows[: plane.height, : plane.width] = values[: plane.height, : plane.width]


def _check_same(name: str, ours: VideoFrame, theirs: VideoFrame | None) -> None:
    """Raises NvdecError unless FFmpeg's first picture and NVDEC's are the same picture at the same time."""
    if theirs is None:
        raise NvdecError(f"{name}: NVDEC decodes not one frame of it")
    if (ours.width, ours.height) != (theirs.width, theirs.height):
        raise NvdecError(
            f"{name}: NVDEC's frames are {theirs.width}x{theirs.height}, FFmpeg's {ours.width}x{ours.height}"
        )
    if ours.pts != theirs.pts:
        raise NvdecError(f"{name}: NVDEC's first frame is at {theirs.pts}, FFmpeg's at {ours.pts}")
    pictures = [frame.to_ndarray(format="rgb24").astype(np.int16) for frame in (ours, theirs)]
    apart = float(np.abs(pictures[0] - pictures[1]).mean())
    if apart > MOST_LEVELS_APART:
        raise NvdecError(f"{name}: NVDEC's first frame differs from FFmpeg's by {apart:.1f} levels")


def _said(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
