"""The sound of the source as a WAV file that begins with the first frame of an export and ends with its last."""

from __future__ import annotations

import wave
from fractions import Fraction
from pathlib import Path

import av
import av.error

from tracker.errors import RecordingError
from tracker.exporting.performance import Performance

_SILENCE_SAMPLES = 1 << 16


def write_sound(source: Path, performance: Performance, path: Path) -> None:
    """Write 16-bit PCM at the source's own sampling rate; where the source has no sound there is silence.

    Sample n belongs to second n / rate of the export, to within half a sample: placed by presentation times, not by counting.

    Raises:
        RecordingError: the source has no sound, cannot be read, or the take is not one of a file.
        OSError: there is no room.
    """
    if performance.take.clock != "media":
        raise RecordingError(f"{performance.take.path} is of a live source, whose time has nothing to do with {source}")
    begin_s = performance.times_s[0]
    length_s = performance.times_s[-1] - begin_s + 1 / performance.rate
    try:
        with av.open(str(source)) as container:
            if not container.streams.audio:
                raise RecordingError(f"{source} has no sound")
            stream = container.streams.audio[0]
            rate, channels = int(stream.rate), min(2, stream.codec_context.channels)
            resampler = av.AudioResampler(format="s16", layout="mono" if channels == 1 else "stereo", rate=rate)
            with wave.open(str(path), "wb") as file:
                file.setnchannels(channels)
                file.setsampwidth(2)
                file.setframerate(rate)
                track = _Placed(file, round(length_s * rate), 2 * channels)
                for frame in container.decode(stream):
                    if frame.pts is None or frame.time_base is None:
                        continue
                    place = round((frame.pts * Fraction(frame.time_base) - begin_s) * rate)
                    frame.pts = None
                    for part in resampler.resample(frame):
                        data = part.to_ndarray().tobytes()
                        track.put(place, data)
                        place += len(data) // (2 * channels)
                    if track.is_full:
                        break
                track.fill()
    except (av.error.FFmpegError, ValueError) as error:
        raise RecordingError(f"cannot read the sound of {source}: {error}") from error


class _Placed:
    """Puts pieces at their place in a file that is written from front to back."""

    def __init__(self, file: wave.Wave_write, length: int, sample_bytes: int) -> None:
        self._file, self._length, self._bytes = file, length, sample_bytes
        self._end = 0

    @property
    def is_full(self) -> bool:
        return self._end >= self._length

    def put(self, place: int, data: bytes) -> None:
        """Write samples at ``place``; what lies before the end of the piece before, or outside, is left out."""
        if place < self._end:
            data = data[(self._end - place) * self._bytes :]
            place = self._end
        room = (self._length - place) * self._bytes
        if room <= 0 or not data:
            return
        self._silence(place - self._end)
        data = data[:room]
        self._file.writeframes(data)
        self._end = place + len(data) // self._bytes

    def fill(self) -> None:
        """Silence up to the end."""
        self._silence(self._length - self._end)
        self._end = self._length

    def _silence(self, samples: int) -> None:
        while samples > 0:
            piece = min(samples, _SILENCE_SAMPLES)
            self._file.writeframes(bytes(piece * self._bytes))
            samples -= piece
