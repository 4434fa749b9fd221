"""Sound stays with the picture: a flash and the beginning of a tone that belong together, followed through every way out."""

from __future__ import annotations

import dataclasses
import wave
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from tests.exporting.takes import builtin, clip, record, smooth_face
from tracker.camera import Camera
from tracker.cli import main
from tracker.errors import RecordingError
from tracker.exporting import Range, read_performance
from tracker.exporting.sound import write_sound
from tracker.recording import read_take
from tracker.sources.open import open_source
from tracker.types import FrameResult

SAMPLES_PER_S = 48_000
AUDIO_FRAME_S = 1024 / SAMPLES_PER_S
FLASH = 40
_TICK = Fraction(1, 120_000)  # holds frames at 24000/1001, 30000/1001 and 25 exactly


def make_clip(
    path: Path, rate: Fraction, *, late_s: Fraction = Fraction(0), codec: str = "aac", frames: int = 75
) -> float:
    """Pictures that turn white at frame ``FLASH``, when a tone begins; pictures begin ``late_s`` after the sound.

    Returns:
        Seconds of the flash on the file's clock.
    """
    flash_s = late_s + FLASH / rate
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=rate, options={"bf": "0", "crf": "10"})
        video.width, video.height, video.pix_fmt = 160, 120, "yuv420p"
        video.codec_context.time_base = _TICK
        audio = container.add_stream(codec, rate=SAMPLES_PER_S)
        audio.layout = "mono"
        for index in range(frames):
            picture = np.full((120, 160, 3), 255 if index >= FLASH else 16, np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = round((late_s + index / rate) / _TICK), _TICK
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        times = np.arange(int((late_s + frames / rate) * SAMPLES_PER_S)) / SAMPLES_PER_S
        tone = np.where(times >= float(flash_s), 12_000 * np.sin(2 * np.pi * 997.0 * times), 0.0).astype(np.int16)
        resampler = av.AudioResampler(format=audio.format.name, layout="mono", rate=SAMPLES_PER_S)
        for start in range(0, len(tone), 1024):
            piece = av.AudioFrame.from_ndarray(tone[None, start : start + 1024], format="s16", layout="mono")
            piece.sample_rate, piece.pts, piece.time_base = SAMPLES_PER_S, start, Fraction(1, SAMPLES_PER_S)
            for converted in resampler.resample(piece):
                container.mux(audio.encode(converted))
        container.mux(audio.encode(None))
    return float(flash_s)


def track(source: Path, take: Path) -> None:
    """A take of the clip with a face in every frame: small and in the middle, so that the corners stay as they are."""
    model = builtin()
    position = np.array([0.0, 0.0, 3.0], np.float32)
    results = []
    with open_source(str(source)) as frames:
        for frame in frames:
            face = smooth_face(model, frame.index)
            params = dataclasses.replace(face.params, translation=position)
            box = np.array([60, 40, 40, 40], np.float32)
            results.append(
                FrameResult(
                    index=frame.index,
                    t_capture_ns=frame.t_capture_ns,
                    clock=frame.clock,
                    t_unix_ns=frame.t_unix_ns,
                    camera=Camera.for_image(frame.width, frame.height),
                    faces=(dataclasses.replace(face, params=params, position=position, box=box),),
                    pts_s=frame.pts_s,
                    rate=frame.rate,
                )
            )
    record(take, model, results)


def flash_and_tone(path: Path) -> tuple[float, float]:
    """Seconds on the file's own clock when the picture turns white and the tone begins."""
    with av.open(str(path)) as container:
        flash = next(
            frame.time for frame in container.decode(video=0) if frame.to_ndarray(format="gray")[:8, :8].mean() > 128
        )
    with av.open(str(path)) as container:
        for frame in container.decode(audio=0):
            samples = frame.to_ndarray().reshape(-1).astype(float)
            loud = np.flatnonzero(np.abs(samples) > 0.1 * (32768 if frame.format.name.startswith("s16") else 1.0))
            if loud.size:
                return flash, frame.time + loud[0] / frame.sample_rate
    pytest.fail("no tone")


@pytest.mark.parametrize("start_s", [0.0, 0.5])
@pytest.mark.parametrize(("rate", "late_s"), [
    (Fraction(30000, 1001), Fraction(0)), (Fraction(24000, 1001), Fraction(0)), (Fraction(25), Fraction(1, 4)),
])  # fmt: skip
def test_rendered_video_and_exported_sound_stay_in_step(
    tmp_path: Path, rate: Fraction, late_s: Fraction, start_s: float
) -> None:
    source, take = tmp_path / "clip.mp4", tmp_path / "take.npz"
    make_clip(source, rate, late_s=late_s)
    source_flash, source_tone = flash_and_tone(source)
    assert abs(source_flash - source_tone) < AUDIO_FRAME_S
    track(source, take)
    # Exactly: numerator and denominator, not a rounded decimal.
    pts = [Fraction(int(n), int(d)) for n, d in read_take(take)["pts"]]
    assert pts == [late_s + i / rate for i in range(75)]
    assert main([
        "render", str(take), "--video", str(source), "-o", str(tmp_path / "out.mp4"), "--what", "axes",
        "--start", str(start_s), "--quiet",
    ]) == 0  # fmt: skip
    flash, tone = flash_and_tone(tmp_path / "out.mp4")
    assert abs(flash - tone) < AUDIO_FRAME_S, (flash, tone)
    assert main([
        "convert", str(take), str(tmp_path / "out.bvh"), "--sound", str(source), "--start", str(start_s), "--quiet",
    ]) == 0  # fmt: skip
    frames = next(
        int(line.split()[1]) for line in (tmp_path / "out.bvh").read_text().splitlines() if line.startswith("Frames:")
    )
    with wave.open(str(tmp_path / "out.wav")) as file:
        assert file.getframerate() == SAMPLES_PER_S
        assert file.getnframes() == pytest.approx(frames / float(rate) * SAMPLES_PER_S, abs=1)
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    tone_s = float(np.flatnonzero(np.abs(samples) > 3000)[0]) / SAMPLES_PER_S
    first = 75 - frames
    assert abs(tone_s - (FLASH - first) / float(rate)) < 0.003


def test_sound_that_is_not_there_is_said(tmp_path: Path) -> None:
    model = builtin()
    frames = [dataclasses.replace(frame, clock="CLOCK_MONOTONIC") for frame in clip(model, 3)]
    live = read_performance(record(tmp_path / "live.npz", model, frames))
    source = tmp_path / "clip.mp4"
    make_clip(source, Fraction(25), frames=45)
    with pytest.raises(RecordingError, match="live source"):
        write_sound(source, live, tmp_path / "out.wav")
    take = read_performance(record(tmp_path / "take.npz", model, clip(model, 3)))
    (tmp_path / "text.mp4").write_text("no clip")
    with pytest.raises(RecordingError, match="cannot read the sound"):
        write_sound(tmp_path / "text.mp4", take, tmp_path / "out.wav")


def test_where_the_source_has_ended_there_is_silence(tmp_path: Path) -> None:
    source = tmp_path / "clip.mp4"
    make_clip(source, Fraction(25), frames=45)
    model = builtin()
    take = record(tmp_path / "take.npz", model, clip(model, 90))
    write_sound(source, read_performance(take, Range(start_s=1.0)), tmp_path / "out.wav")
    with wave.open(str(tmp_path / "out.wav")) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    assert len(samples) == round(60 * 1001 / 30000 * SAMPLES_PER_S) and not samples[-SAMPLES_PER_S // 2 :].any()
