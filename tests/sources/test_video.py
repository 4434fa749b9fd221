from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from av.stream import Disposition

from tests.sources.clips import flat, gray_level, quadrants, write_audio, write_video
from tests.sources.conftest import Events
from tracker.errors import SourceError
from tracker.sources.video import VideoFile
from tracker.types import Frame


def read_all(path: Path, events: Events | None = None, **options: float) -> list[Frame]:
    with VideoFile(path, on_event=events, **options) as video:  # type: ignore[arg-type]
        return list(video)


def grays(count: int, width: int = 64, height: int = 48) -> list[np.ndarray]:
    return [flat(width, height, gray_level(index)) for index in range(count)]


def noise(count: int) -> list[np.ndarray]:
    return [np.random.default_rng(index).integers(0, 255, (48, 64, 3), dtype=np.uint8) for index in range(count)]


def one_line(error: pytest.ExceptionInfo[SourceError]) -> str:
    text = str(error.value)
    assert "\n" not in text
    return text


def test_every_frame_comes_once_in_order_with_exact_times(tmp_path: Path) -> None:
    path = write_video(tmp_path / "b.mp4", grays(20), codec="libx264", rate=Fraction(30000, 1001), options={"bf": "3"})
    with VideoFile(path) as video:
        assert (video.live, video.size, video.rate) == (False, (64, 48), Fraction(30000, 1001))
        assert (video.frame_count, video.frame_count_exact) == (20, True)
        frames = list(video)
        assert video.state == "ended"
        assert video.read() is None
    assert [frame.index for frame in frames] == list(range(20))
    assert [frame.pts_s for frame in frames] == [Fraction(1001, 30000) * index for index in range(20)]
    assert [frame.t_capture_ns for frame in frames] == [round(index * 1001 / 30000 * 1e9) for index in range(20)]
    assert {frame.clock for frame in frames} == {"media"}
    for index, frame in enumerate(frames):
        assert frame.image.dtype == np.uint8 and frame.image.shape == (48, 64, 3) and frame.image.flags.c_contiguous
        assert abs(frame.image.mean() - gray_level(index)) < 3


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
def test_variable_frame_rate_keeps_its_own_times(tmp_path: Path, suffix: str) -> None:
    pts = [0, 40, 100, 110, 400, 1000]
    path = write_video(tmp_path / f"vfr{suffix}", grays(6), pts=pts, time_base=Fraction(1, 1000))
    assert [frame.pts_s for frame in read_all(path)] == [Fraction(ms, 1000) for ms in pts]


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_rotation_is_applied_as_opencv_applies_it(tmp_path: Path, degrees: int) -> None:
    path = write_video(tmp_path / "turned.mp4", [quadrants(64, 48)] * 2, rotation=degrees)
    capture = cv2.VideoCapture(str(path))
    capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)
    ok, expected = capture.read()
    capture.release()
    assert ok
    with VideoFile(path) as video:
        frames = list(video)
        assert video.size == ((64, 48) if degrees == 180 else (48, 64))
    for frame in frames:
        difference = np.abs(frame.image.astype(int) - expected[..., ::-1])
        assert frame.image.shape == expected.shape and np.median(difference) <= 3


def test_mirroring_is_applied(tmp_path: Path) -> None:
    mirror = [-65536, 0, 0, 0, 65536, 0, 0, 0, 1 << 30]
    (frame,) = read_all(write_video(tmp_path / "mirrored.mp4", [quadrants(64, 48)], matrix=mirror))
    np.testing.assert_allclose(frame.image[10, 10], (0, 255, 0), atol=8)
    np.testing.assert_allclose(frame.image[10, -10], (255, 0, 0), atol=8)


def test_anamorphic_pixels_become_square(tmp_path: Path) -> None:
    with VideoFile(write_video(tmp_path / "pal.mp4", grays(2), pixel_aspect=Fraction(16, 11))) as video:
        assert video.size == (93, 48)


@pytest.mark.parametrize(
    ("codec", "pixel_format", "suffix"),
    [
        ("ffv1", "bgr0", ".mkv"),
        ("ffv1", "gray16le", ".mkv"),
        ("ffv1", "yuv444p10le", ".mkv"),
        ("png", "rgba", ".mov"),
        ("gif", "rgb8", ".gif"),
        ("libx265", "yuv420p10le", ".mkv"),
        ("libvpx-vp9", "yuva420p", ".webm"),
    ],
)
def test_pixel_formats(tmp_path: Path, codec: str, pixel_format: str, suffix: str) -> None:
    options = {"x265-params": "log-level=none"} if codec == "libx265" else {}
    path = write_video(tmp_path / f"clip{suffix}", grays(4), codec=codec, pixel_format=pixel_format, options=options)
    frames = read_all(path)
    assert len(frames) == 4
    for index, frame in enumerate(frames):
        assert abs(frame.image.mean() - gray_level(index)) < 4


@pytest.mark.parametrize(("width", "height"), [(1, 1), (63, 47), (5, 301)])
def test_odd_sizes(tmp_path: Path, width: int, height: int) -> None:
    path = write_video(tmp_path / "clip.mkv", [flat(width, height, 99)], codec="ffv1", pixel_format="bgr0")
    (frame,) = read_all(path)
    assert frame.image.shape == (height, width, 3)
    assert frame.image.min() == frame.image.max() == 99


def test_8k(tmp_path: Path) -> None:
    image = quadrants(7680, 4320)
    (frame,) = read_all(write_video(tmp_path / "clip.mkv", [image], codec="mjpeg", pixel_format="yuvj420p"))
    np.testing.assert_allclose(frame.image[::501, ::501].astype(int), image[::501, ::501], atol=8)


def test_size_change_in_mid_stream_is_followed_and_told_once(tmp_path: Path, events: Events) -> None:
    parts = []
    for name, (width, height) in {"a": (64, 48), "b": (96, 80)}.items():
        path = tmp_path / f"{name}.mjpeg"
        images = grays(5, width, height)
        write_video(path, images, codec="mjpeg", pixel_format="yuvj420p", container_format="mjpeg")
        parts.append(path.read_bytes())
    joined = tmp_path / "joined.mjpeg"
    joined.write_bytes(b"".join(parts))
    frames = read_all(joined, events)
    assert [frame.image.shape[:2] for frame in frames] == [(48, 64)] * 5 + [(80, 96)] * 5
    assert events.kinds.count("size-changed") == 1
    assert "96x80 from frame 5" in events[0][1]


def test_joined_recordings_keep_running_time(tmp_path: Path, events: Events) -> None:
    part = write_video(tmp_path / "a.ts", grays(30), codec="mpeg2video").read_bytes()
    joined = tmp_path / "joined.ts"
    joined.write_bytes(part + part)
    frames = read_all(joined, events)
    times = [frame.t_capture_ns for frame in frames]
    assert len(frames) == 60
    assert all(0 < after - before < 100_000_000 for before, after in itertools.pairwise(times))
    assert "timing" in events.kinds


def test_a_stream_without_time_stamps_runs_at_its_rate_and_says_so(tmp_path: Path, events: Events) -> None:
    path = write_video(tmp_path / "raw.h264", noise(10), codec="libx264", container_format="h264")
    frames = read_all(path, events)
    assert [frame.pts_s for frame in frames] == [Fraction(index, 25) for index in range(10)]
    assert events.kinds == ["timing"]


def test_frames_before_an_edit_list_are_not_shown(shared_data: Path) -> None:
    with VideoFile(shared_data / "clips" / "no_face.mp4") as video:
        assert (video.frame_count, video.frame_count_exact) == (95, True)
        frames = list(video)
    assert (len(frames), frames[0].pts_s) == (95, 0)


def test_part_of_a_video(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.mp4", grays(20), codec="libx264")
    frames = read_all(path, start_s=0.2, end_s=0.4)
    assert [frame.pts_s for frame in frames] == [Fraction(index, 25) for index in range(5, 10)]
    assert [frame.index for frame in frames] == list(range(5))
    assert abs(frames[0].image.mean() - gray_level(5)) < 3
    with VideoFile(path, start_s=0.2, end_s=0.4) as video:
        assert (video.frame_count, video.frame_count_exact) == (5, False)


def test_a_part_beyond_the_end_is_refused(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.mp4", grays(5))
    with pytest.raises(SourceError, match=r"no frame between.*lasts 0\.200 s") as error:
        VideoFile(path, start_s=7)
    one_line(error)


def test_a_truncated_mp4_gives_what_is_there_and_says_so(tmp_path: Path, events: Events) -> None:
    whole = write_video(tmp_path / "whole.mp4", noise(30), container_options={"movflags": "faststart"})
    content = whole.read_bytes()
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(content[: len(content) * 2 // 3])
    frames = read_all(broken, events)
    assert 10 <= len(frames) < 30
    assert events.kinds == ["damaged"]
    assert "of 30 frames decoded" in events[0][1]


def test_a_recording_that_was_never_finished_is_named_as_such(tmp_path: Path) -> None:
    content = write_video(tmp_path / "whole.mp4", noise(30)).read_bytes()
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(content[: len(content) // 2])
    with pytest.raises(SourceError, match="unfinished recording") as error:
        VideoFile(broken)
    one_line(error)


def test_a_truncated_mkv_says_how_much_is_missing(tmp_path: Path, events: Events) -> None:
    content = write_video(tmp_path / "whole.mkv", noise(50)).read_bytes()
    broken = tmp_path / "broken.mkv"
    broken.write_bytes(content[: len(content) // 2])
    assert 10 <= len(read_all(broken, events)) < 50
    assert events.kinds == ["damaged"]


def test_corrupt_packets_are_left_out(tmp_path: Path, events: Events) -> None:
    content = bytearray(write_video(tmp_path / "whole.mov", noise(12), codec="png", pixel_format="rgb24").read_bytes())
    middle = content.index(b"\x89PNG", content.index(b"\x89PNG", len(content) // 2) + 4)
    content[middle : middle + 400] = bytes(400)
    broken = tmp_path / "broken.mov"
    broken.write_bytes(content)
    assert len(read_all(broken, events)) == 11
    assert events.kinds == ["damaged"]
    assert "11 of 12 frames decoded" in events[0][1]


def test_nothing_decodable(tmp_path: Path) -> None:
    path = write_video(tmp_path / "zeros.mp4", noise(5), codec="libx264", container_options={"movflags": "faststart"})
    content = bytearray(path.read_bytes())
    start = content.index(b"mdat") + 4
    content[start:] = bytes(len(content) - start)
    path.write_bytes(content)
    with pytest.raises(SourceError, match="not one frame") as error:
        VideoFile(path)
    one_line(error)


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("empty.mp4", b"", "is empty"),
        ("notes.txt", b"hello world\n" * 500, "text file"),
        ("renamed.mp4", b"hello world\n" * 500, "not a video that FFmpeg can read"),
        ("random.mp4", np.random.default_rng(0).bytes(100_000), "not a video that FFmpeg can read"),
    ],
)
def test_files_that_are_no_videos(tmp_path: Path, name: str, content: bytes, expected: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(SourceError, match=expected) as error:
        VideoFile(path)
    assert str(path) in one_line(error)


def test_sound_only(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no video, only audio") as error:
        VideoFile(write_audio(tmp_path / "tone.wav"))
    one_line(error)


def test_sound_with_a_cover_picture_is_no_video(tmp_path: Path) -> None:
    path = tmp_path / "song.mp4"
    with av.open(str(path), "w") as container:
        sound = container.add_stream("aac", rate=8000, layout="mono")
        cover = container.add_stream("png", rate=1)
        cover.width, cover.height, cover.pix_fmt = 8, 6, "rgb24"
        cover.disposition = Disposition.attached_pic
        tone = av.AudioFrame.from_ndarray(np.zeros((1, 1024), dtype=np.float32), format="fltp", layout="mono")
        tone.sample_rate = 8000
        picture = av.VideoFrame.from_ndarray(flat(8, 6, 9), format="rgb24")
        container.mux([*cover.encode(picture), *cover.encode(None), *sound.encode(tone), *sound.encode(None)])
    with pytest.raises(SourceError, match="no video, only a cover picture and audio"):
        VideoFile(path)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="does not exist"):
        VideoFile(tmp_path / "none.mp4")
    with pytest.raises(SourceError, match="is a folder"):
        VideoFile(tmp_path)


def test_a_colon_in_the_name_is_no_protocol(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_video(tmp_path / "clip.mkv", grays(2)).rename(tmp_path / "take:2 100%.mkv")
    assert len(read_all(Path("take:2 100%.mkv"))) == 2


def test_reading_twice_gives_the_same_pixels_with_any_number_of_threads(samples: Callable[[str], Path]) -> None:
    path = samples("single_face.mp4")
    runs = []
    for threads in (1, 1, 4):
        with VideoFile(path, threads=threads) as video:
            runs.append([(frame.pts_s, frame.image.tobytes()) for frame in video])
    assert len(runs[0]) == 72
    assert runs[0] == runs[1] == runs[2]


@pytest.mark.parametrize(
    ("name", "count", "size", "last_s"),
    [
        ("single_face.mp4", 72, (640, 360), Fraction(71, 30)),
        ("no_face.mp4", 95, (960, 540), Fraction(94, 24)),
        ("face_noface.mov", 169, (960, 540), Fraction(97695, 15360)),
        ("WolfgangLanger_Pexels.mp4", 472, (640, 360), Fraction(471 * 1001, 24000)),
    ],
)
def test_sample_clips(
    samples: Callable[[str], Path], name: str, count: int, size: tuple[int, int], last_s: Fraction
) -> None:
    with VideoFile(samples(name)) as video:
        assert (video.size, video.frame_count, video.frame_count_exact) == (size, count, True)
        frames = [(frame.index, frame.pts_s) for frame in video]
    assert len(frames) == count
    assert frames[-1] == (count - 1, last_s)


def test_close_ends_reading(tmp_path: Path) -> None:
    video = VideoFile(write_video(tmp_path / "clip.mkv", grays(5)))
    assert video.read() is not None
    video.close()
    video.close()
    assert video.read() is None
    assert video.state == "closed"


def test_metadata_in_another_encoding_is_no_obstacle(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.avi", grays(3), metadata={"title": "caf\u00e9"})
    content = path.read_bytes()
    assert content.count("caf\u00e9".encode()) == 1
    path.write_bytes(content.replace("caf\u00e9".encode(), b"caf\xe9\xe9"))
    assert len(read_all(path)) == 3


@pytest.mark.parametrize("name", ["whole.mkv", "whole.ts", "whole.mp4"])
def test_damage_anywhere_ends_in_frames_or_one_line(tmp_path: Path, name: str) -> None:
    movflags = {"movflags": "faststart"} if name.endswith("mp4") else {}
    content = write_video(tmp_path / name, noise(12), container_options=movflags).read_bytes()
    random = np.random.default_rng(7)
    outcomes = set()
    for attempt in range(20):
        damaged = bytearray(content[: int(random.integers(1, len(content)))] if attempt % 2 else content)
        for position in random.integers(0, len(damaged), size=int(random.choice([1, 20, 300]))):
            damaged[position] = int(random.integers(256))
        path = tmp_path / f"{attempt}-{name}"
        path.write_bytes(damaged)
        try:
            times = [frame.t_capture_ns for frame in read_all(path)]
            assert times == sorted(set(times))
            outcomes.add("frames")
        except SourceError as error:
            assert "\n" not in str(error)
            outcomes.add("refused")
    assert "frames" in outcomes


def test_close_from_another_thread_ends_reading(samples: Callable[[str], Path]) -> None:
    for delay_s in (0.0, 0.003, 0.01, 0.02):
        video = VideoFile(samples("WolfgangLanger_Pexels.mp4"))
        closer = threading.Timer(delay_s, video.close)
        closer.start()
        count = sum(1 for _ in video)
        closer.join()
        assert count < 472
        assert video.state == "closed"
