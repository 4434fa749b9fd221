"""Videos keep the time stamps and the sound of their source and play whatever happens."""

from __future__ import annotations

import os
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from tracker.errors import RecordingError
from tracker.rendering.video_writer import VideoWriter


def gradient(width: int, height: int, level: int) -> np.ndarray:
    image = np.zeros((height, width, 3), np.uint8)
    image[..., 0] = np.linspace(0, 200, width).astype(np.uint8)
    image[..., 1] = level
    return image


def read_back(path: Path) -> tuple[list[float], list[np.ndarray]]:
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
    return [float(frame.pts * frame.time_base) for frame in frames], [f.to_ndarray(format="rgb24") for f in frames]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
def test_time_stamps_and_pictures_survive(tmp_path: Path, suffix: str) -> None:
    times = [Fraction(7, 2), Fraction(7, 2) + Fraction(1, 30), Fraction(18, 5), Fraction(4)]
    path = tmp_path / f"out{suffix}"
    with VideoWriter(path, 64, 48, Fraction(30)) as writer:
        for level, t_s in enumerate(times):
            writer.write(gradient(64, 48, 60 * level), t_s)
    found, images = read_back(path)
    np.testing.assert_allclose(found, [float(t_s - times[0]) for t_s in times], atol=0.0006)
    for level, image in enumerate(images):
        assert np.abs(image.astype(int) - gradient(64, 48, 60 * level)).mean() < 4.0


def test_odd_sizes_lose_one_column_and_row(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "odd.mp4", 65, 49) as writer:
        writer.write(gradient(65, 49, 10), Fraction(0))
    _, images = read_back(tmp_path / "odd.mp4")
    assert images[0].shape == (48, 64, 3)


def test_what_was_written_before_an_error_plays(tmp_path: Path) -> None:
    path = tmp_path / "cut.mp4"
    with pytest.raises(KeyboardInterrupt), VideoWriter(path, 64, 48) as writer:
        for index in range(5):
            writer.write(gradient(64, 48, 40 * index), Fraction(index, 30))
        raise KeyboardInterrupt
    assert len(read_back(path)[0]) == 5


def test_equal_or_backward_times_still_make_a_file(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "t.mp4", 64, 48) as writer:
        for t_s in (Fraction(1), Fraction(1), Fraction(9, 10), Fraction(11, 10)):
            writer.write(gradient(64, 48, 9), t_s)
    times, _ = read_back(tmp_path / "t.mp4")
    assert len(times) == 4
    assert all(b > a for a, b in pairwise(times))


def make_sounding_clip(path: Path, codec: str) -> None:
    """One second of pictures and a tone that starts at once."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=25)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        audio = container.add_stream(codec, rate=48000)
        audio.layout = "mono"
        for index in range(25):
            frame = av.VideoFrame.from_ndarray(gradient(64, 48, 5 * index), format="rgb24")
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        tone = (np.sin(np.arange(48000) * 0.06) * 12000).astype(np.int16)
        for start in range(0, 48000, 1024):
            piece = av.AudioFrame.from_ndarray(tone[None, start : start + 1024], format="s16", layout="mono")
            piece.sample_rate, piece.pts, piece.time_base = 48000, start, Fraction(1, 48000)
            resampler = av.AudioResampler(format=audio.format.name, layout="mono", rate=48000)
            for converted in resampler.resample(piece):
                container.mux(audio.encode(converted))
        container.mux(audio.encode(None))


def test_sound_is_copied_in_step(tmp_path: Path) -> None:
    source = tmp_path / "source.mp4"
    make_sounding_clip(source, "aac")
    path = tmp_path / "part.mp4"
    # The second half of the source: its sound must begin with the pictures.
    with VideoWriter(path, 64, 48, Fraction(25), sound_from=source) as writer:
        for index in range(12, 25):
            writer.write(gradient(64, 48, 9), Fraction(index, 25))
    assert writer.sound == "copied"
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(audio=0) if packet.pts is not None]
        starts = [float(packet.pts * packet.time_base) for packet in packets]
    assert 0.0 <= starts[0] < 0.03
    assert starts[-1] == pytest.approx(12 / 25, abs=0.03)


def test_sound_that_cannot_be_copied_is_left_out_and_said(tmp_path: Path) -> None:
    source = tmp_path / "source.mkv"
    make_sounding_clip(source, "pcm_s16le")
    with VideoWriter(tmp_path / "out.mp4", 64, 48, sound_from=source) as writer:
        writer.write(gradient(64, 48, 9), Fraction(0))
    assert writer.sound == "left out: pcm_s16le cannot be copied"
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert not container.streams.audio


def test_names_and_places_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=r"expected a name ending in \.mp4"):
        VideoWriter(tmp_path / "out.avi", 64, 48)
    with pytest.raises(RecordingError, match="at least 2x2"):
        VideoWriter(tmp_path / "out.mp4", 1, 48)
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(RecordingError, match="cannot write"):
        VideoWriter(tmp_path / "file" / "out.mp4", 64, 48)
    (tmp_path / "folder.mp4").mkdir()
    with pytest.raises(RecordingError, match="cannot write"):
        VideoWriter(tmp_path / "folder.mp4", 64, 48)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full on this system")
def test_a_full_disk_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "full.mkv"
    path.symlink_to("/dev/full")
    rng = np.random.default_rng(0)
    with pytest.raises(RecordingError, match=r"full\.mkv"), VideoWriter(path, 320, 240) as writer:
        for index in range(200):
            writer.write(rng.integers(0, 255, (240, 320, 3)).astype(np.uint8), Fraction(index, 30))
