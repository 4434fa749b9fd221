"""Video files through NVDEC, with FFmpeg in the place of its session: what goes in, and what becomes of what comes out."""

from __future__ import annotations

import ctypes
import importlib
import sys
from enum import Enum
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest

from tests.sources.clips import flat, gray_level, quadrants, write_video
from tests.sources.conftest import Events
from tracker.errors import SourceError
from tracker.sources import nvdec
from tracker.sources.decoding import decoder_for
from tracker.sources.open import open_source
from tracker.types import Frame

Format = Enum("Format", ["NV12", "P016", "YUV444", "NV16"])
CODECS = {"H264": "h264", "HEVC": "hevc", "MPEG2": "mpeg2video", "VP9": "vp9"}


class PacketData:
    """The fields of the package's structure that are filled in, with the types it takes."""

    def __init__(self) -> None:
        self.pts, self.bsl, self.bsl_data = 0, 0, 0


class Picture:
    """A decoded picture in memory of the host, as wide as NVDEC makes it."""

    def __init__(self, frame: Any, kind: str = "NV12") -> None:
        width, height = frame.width + frame.width % 2, frame.height + frame.height % 2
        even = frame.reformat(format="yuv420p" if kind == "NV12" else "yuv420p10le")
        luma, *chroma = (self._plane(plane, even.format.name) for plane in even.planes)
        padded = np.pad(luma, ((0, height - frame.height), (0, width - frame.width)), mode="edge")
        both = np.stack([np.pad(c, ((0, height // 2 - c.shape[0]), (0, width // 2 - c.shape[1]))) for c in chroma], -1)
        values = np.concatenate([padded, both.reshape(height // 2, width)])
        self.values = np.ascontiguousarray(values if kind == "NV12" else values.astype(np.uint16) << 6)
        self.format, self.shape, self._pts = Format[kind], list(self.values.shape), frame.pts

    @staticmethod
    def _plane(plane: Any, name: str) -> np.ndarray:
        kind = np.uint16 if name.endswith("10le") else np.uint8
        rows = np.frombuffer(plane, kind).reshape(plane.height, -1)
        return rows[:, : plane.width]

    def getPTS(self) -> int:
        return int(self._pts)

    def GetPtrToPlane(self, plane: int) -> int:
        return int(self.values.ctypes.data)

    def framesize(self) -> int:
        return int(self.values.nbytes)


class Session:
    """Decodes elementary streams, and reuses the memory of a picture when the next packet comes."""

    kind = "NV12"
    spoil = 0
    fail_at: int | None = None

    def __init__(self, codec: str) -> None:
        self._context = av.CodecContext.create(codec, "r")
        self._alive: list[Picture] = []
        self.packets = 0

    def Decode(self, packet: PacketData) -> list[Picture]:
        for picture in self._alive:
            picture.values[...] = 77
        self.packets += 1
        if self.packets == self.fail_at:
            raise RuntimeError("cuvidDecodePicture returned error 700\nin NvDecoder.cpp")
        given = None
        if packet.bsl:
            given = av.Packet(ctypes.string_at(packet.bsl_data, packet.bsl))
            given.pts = packet.pts
        self._alive = [Picture(frame, self.kind) for frame in self._context.decode(given)]
        for picture in self._alive:
            picture.values += type(self).spoil
        return self._alive


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> type[Session]:
    """The package, its session decoding with FFmpeg; gives the session's class to change."""

    class Here(Session):
        pass

    module = SimpleNamespace(
        PacketData=PacketData,
        cudaVideoCodec=SimpleNamespace(**{name: name for name in ("H264", "HEVC", "MPEG2", "VP8", "VP9", "AV1")}),
        CreateDecoder=lambda gpuid, codec, usedevicememory: Here(CODECS[codec]),
    )
    monkeypatch.setattr(nvdec, "missing", lambda: None)
    monkeypatch.setattr(nvdec, "load", lambda: module)
    return Here


def moving(count: int, width: int = 64, height: int = 48) -> list[np.ndarray]:
    """A bright bar that wanders, so that pictures are predicted from each other."""
    images = []
    for index in range(count):
        image = quadrants(width, height)
        image[:, (5 * index) % width : (5 * index) % width + 8] = gray_level(index)
        images.append(image)
    return images


def frames(path: Path, decoder: Any, **options: Any) -> list[Frame]:
    with open_source(str(path), decoder=decoder, **options) as source:
        return list(source)


def assert_same(path: Path, levels: float = 0.0, **options: Any) -> list[Frame]:
    """NVDEC gives the frames of the CPU, to the bit, or up to ``levels`` on average."""
    ours, theirs = frames(path, "nvdec", **options), frames(path, "cpu", **options)
    assert [frame.pts_s for frame in ours] == [frame.pts_s for frame in theirs]
    assert [frame.index for frame in ours] == [frame.index for frame in theirs]
    for one, other in zip(ours, theirs, strict=True):
        assert one.image.shape == other.image.shape
        assert np.abs(one.image.astype(int) - other.image).mean() <= levels
    return ours


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
def test_frames_that_are_sent_in_another_order(session: type[Session], tmp_path: Path, suffix: str) -> None:
    options = {"bf": "3", "g": "12"}
    path = write_video(
        tmp_path / f"clip{suffix}", moving(30), codec="libx264", rate=Fraction(30000, 1001), options=options
    )
    assert len(assert_same(path)) == 30


def test_uneven_times(session: type[Session], tmp_path: Path) -> None:
    pts = [0, 3, 4, 11, 12, 20, 33, 34, 35, 50]
    path = write_video(
        tmp_path / "vfr.mkv", moving(10), codec="libx264", pts=pts, time_base=Fraction(1, 100), options={"bf": "2"}
    )
    assert [frame.pts_s for frame in assert_same(path)] == [Fraction(at, 100) for at in pts]


def test_a_part_of_a_video(session: type[Session], tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.mp4", moving(40), codec="libx264", options={"g": "10", "bf": "2"})
    assert next(frame.pts_s for frame in assert_same(path, start_s=0.6, end_s=1.0)) == Fraction(3, 5)


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_turned_videos(session: type[Session], tmp_path: Path, degrees: int) -> None:
    path = write_video(tmp_path / "turned.mp4", moving(12), codec="libx264", rotation=degrees)
    assert_same(path)


def test_odd_sizes(session: type[Session], tmp_path: Path) -> None:
    path = write_video(tmp_path / "odd.webm", moving(8, 63, 47), codec="libvpx-vp9")
    assert assert_same(path)[0].image.shape == (47, 63, 3)


def test_ten_bits(session: type[Session], tmp_path: Path) -> None:
    session.kind = "P016"
    options = {"x265-params": "log-level=none"}
    images = moving(8, 128, 96)
    path = write_video(tmp_path / "ten.mp4", images, codec="libx265", pixel_format="yuv420p10le", options=options)
    # Where colours lie between pixels is lost on the way, which shows at hard edges.
    assert_same(path, levels=2.0)


def test_other_codecs(session: type[Session], tmp_path: Path) -> None:
    assert_same(write_video(tmp_path / "old.mpg", moving(12), codec="mpeg2video", options={"bf": "2"}))
    assert_same(write_video(tmp_path / "web.webm", moving(8), codec="libvpx-vp9"))


def test_frames_before_an_edit_list_are_not_shown(session: type[Session], shared_data: Path) -> None:
    path = shared_data / "clips" / "face_noface.mov"
    if not path.is_file():
        pytest.skip("the clip is not here")
    assert_same(path, end_s=1.0)


def test_colours_are_the_files(session: type[Session], tmp_path: Path) -> None:
    options = {"colorspace": "bt709", "color_range": "pc"}
    path = write_video(tmp_path / "709.mp4", moving(6), codec="libx264", options=options)
    assert_same(path)


def test_a_damaged_file_ends_as_on_the_cpu(session: type[Session], tmp_path: Path, events: Events) -> None:
    path = write_video(tmp_path / "cut.mkv", moving(40), codec="libx264")
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    assert_same(path)
    frames(path, "nvdec", on_event=events)
    assert "damaged" in events.kinds


def test_a_codec_that_nvdec_lacks(session: type[Session], tmp_path: Path, events: Events) -> None:
    path = write_video(tmp_path / "still.avi", moving(3), codec="mjpeg", pixel_format="yuvj420p")
    with pytest.raises(
        SourceError, match=r"still\.avi: NVDEC does not decode mjpeg, only h264, .*; or leave out --decoder nvdec$"
    ):
        frames(path, "nvdec")
    assert len(frames(path, "auto", on_event=events)) == 3
    assert events == [
        ("settings", f"{path}: NVDEC does not decode mjpeg, only {', '.join(nvdec.CODECS)}; decoding on the CPU")
    ]


def test_another_picture_than_ffmpegs_is_refused(session: type[Session], tmp_path: Path, events: Events) -> None:
    path = write_video(tmp_path / "clip.mp4", moving(6), codec="libx264")
    session.spoil = 9
    with pytest.raises(SourceError, match=r"NVDEC's first frame differs from FFmpeg's by \d+\.\d levels; or leave out"):
        frames(path, "nvdec")
    assert len(frames(path, "auto", on_event=events)) == 6
    assert events.kinds == ["settings"]


def test_a_session_that_gives_up(session: type[Session], tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.mp4", moving(20), codec="libx264", options={"bf": "0", "tune": "zerolatency"})
    session.fail_at = 8
    with open_source(str(path), decoder="nvdec") as source, pytest.raises(SourceError) as error:
        list(source)
    assert str(error.value).endswith("NVDEC gave up after 7 frames (cuvidDecodePicture returned error 700)")


def test_a_picture_of_an_unknown_kind(session: type[Session], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_video(tmp_path / "clip.mp4", moving(6), codec="libx264")
    monkeypatch.setattr(Picture, "format", property(lambda self: Format.NV16, lambda self, value: None), raising=False)
    with pytest.raises(SourceError, match="NVDEC decodes yuv420p to NV16, which is not read here"):
        frames(path, "nvdec")


@pytest.mark.parametrize("spec", ["webcam", "test:5", "rtsp://camera/1"])
def test_only_files_are_decoded_there(spec: str) -> None:
    with pytest.raises(SourceError, match=f"^NVDEC decodes video files, not {spec}; leave out --decoder nvdec$"):
        open_source(spec, decoder="nvdec")


def test_the_cpu_unless_the_networks_are_on_the_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert [decoder_for("auto", engine) for engine in ("auto", "openvino", "tensorrt", "torch")] == [
        "cpu", "cpu", "auto", "auto",
    ]  # fmt: skip
    assert decoder_for("nvdec", "openvino") == "nvdec"
    assert decoder_for("cpu", "tensorrt") == "cpu"
    path = write_video(tmp_path / "clip.mp4", [flat(64, 48, 90)] * 3, codec="libx264")
    monkeypatch.setattr(nvdec, "NvdecReader", None)
    monkeypatch.setattr(nvdec, "missing", lambda: "there is none")
    assert len(frames(path, "auto")) == 3
    monkeypatch.setattr(nvdec, "missing", lambda: pytest.fail("asked for"))
    assert len(frames(path, "cpu")) == 3


def test_the_package_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nvdec.importlib.util, "find_spec", lambda name: None)
    path = write_video(tmp_path / "clip.mp4", [flat(64, 48, 90)] * 3, codec="libx264")
    with pytest.raises(SourceError) as error:
        open_source(str(path), decoder="nvdec")
    assert str(error.value) == (
        "NVDEC needs the Python package PyNvVideoCodec; run: pip install 'facestream-tracker[nvdec]'; "
        "or leave out --decoder nvdec"
    )


def test_a_machine_without_driver_or_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nvdec.importlib.util, "find_spec", lambda name: object())
    there: dict[str, Any] = {}

    def load(name: str) -> Any:
        if name not in there:
            raise OSError(name)
        return there[name]

    monkeypatch.setattr(nvdec.ctypes, "CDLL", load)
    driver, decoder, encoder = nvdec._LIBRARIES
    assert (
        nvdec.missing() == f"NVDEC needs an NVIDIA driver ({driver}); install one (containers: start with --gpus all)"
    )
    gpus = [0]

    def count(found: Any) -> int:
        found._obj.value = gpus[0]
        return 0

    there[driver] = SimpleNamespace(cuInit=lambda flags: 0, cuDeviceGetCount=count)
    for library in (decoder, encoder):
        assert f"the video part of the NVIDIA driver ({library})" in (nvdec.missing() or "")
        there[library] = object()
    assert nvdec.missing() == "NVDEC needs an NVIDIA GPU, and the driver finds none"
    gpus[0] = 1
    assert nvdec.missing() is None


def test_a_package_that_does_not_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any) -> None:
    (tmp_path / "PyNvVideoCodec.py").write_text(
        "import logging\nlogging.getLogger(__name__).error('noise')\n"
        "raise RuntimeError('Driver version is too old\\n\\n=== HELP ===')"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "PyNvVideoCodec", raising=False)
    monkeypatch.setattr(nvdec, "missing", lambda: None)
    importlib.invalidate_caches()
    with pytest.raises(nvdec.NvdecError, match=r"^PyNvVideoCodec does not load \(Driver version is too old\)$"):
        nvdec.load()
    assert capfd.readouterr().err == ""
