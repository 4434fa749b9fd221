"""``tracker render``: a take drawn over its video."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from tracker.arkit import ARKIT_INDEX
from tracker.errors import ConfigError, RecordingError

if TYPE_CHECKING:
    from rich.progress import Progress

    from tracker.face_model import FaceModel
    from tracker.recording import Take
    from tracker.rendering.overlay import Overlay
    from tracker.sources.base import FrameSource
    from tracker.types import Face, Frame, FrameResult, ImageRGB

HELP = "draw mesh and landmarks of a take over its video, for the eye"

_WHAT: Final = ("mesh", "wire", "landmarks", "axes", "all")
_TAKE_SUFFIXES: Final = (".npz", ".jsonl", ".csv", ".part")
_EPILOG: Final = """\
examples:
  tracker process clip.mp4 -o take.npz --with-landmarks         # first: track the video
  tracker render take.npz --video clip.mp4 -o overlay.mp4       # then: look at it
  tracker render take.npz --video clip.mp4 -o wire.mp4 --what wire --size 1280x720
  tracker render take.npz --video clip.mp4 --picture best.png   # one picture of the most telling frame
  tracker render take.npz --video clip.mp4 --picture f40.png --frame 40

--what mesh is the fitted surface, wire its contours with irises and gaze, landmarks the points that the network saw
(recorded with `tracker process --with-landmarks`) each in a disc of one standard deviation, axes the head's x (red),
y (green) and z (blue).
Frames keep their time stamps and the sound stays. Ctrl-C leaves a file that plays up to where it came.
"""
_MIN_HEIGHT: Final = 540
_MAX_SIZE: Final = 8192


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = _EPILOG
    parser.add_argument("take", metavar="TAKE", type=Path, help="what `tracker process` or `run --record` has written")
    parser.add_argument(
        "--video", metavar="FILE", required=True, help="the video (or image folder) the take was made from"
    )
    parser.add_argument(
        "-o", "--output", metavar="FILE", type=Path, help="the video to write: .mp4, .mov or .mkv (H.264)"
    )
    parser.add_argument("--what", choices=_WHAT, default="all", help="what to draw (default all)")
    parser.add_argument(
        "--picture", metavar="PNG", type=Path,
        help="also write one picture: frame, overlay, head from the side, expression bars",
    )  # fmt: skip
    parser.add_argument(
        "--frame",
        metavar="N",
        type=int,
        help="frame of --picture, from 0 (default: the one with the strongest expression)",
    )
    parser.add_argument(
        "--size", metavar="WxH", type=_size,
        help=f"fit the output into this size, e.g. 1280x720 (default: the video's; small ones enlarged to {_MIN_HEIGHT} rows)",
    )  # fmt: skip
    parser.add_argument("--start", metavar="S", type=float, default=0.0, help="first second to draw (default 0)")
    parser.add_argument("--end", metavar="S", type=float, help="second to stop before (default: the end)")
    parser.add_argument("--no-sound", action="store_true", help="do not copy the sound")
    parser.add_argument(
        "--face-model",
        metavar="NAME|PATH",
        help="the model the take was made with (default: the one that the take names)",
    )
    parser.add_argument("--quiet", action="store_true", help="no progress bar")


def run(args: argparse.Namespace) -> int:
    """Render; 0 when all went well, 130 after Ctrl-C."""
    _check(args)
    from tracker.face_model import load_face_model, load_named_model
    from tracker.recording import read_take
    from tracker.rendering.overlay import Overlay

    take = read_take(args.take)
    made_with = take.meta["model"]
    model = (
        load_named_model(made_with["name"], made_with["sha256"])
        if args.face_model is None
        else load_face_model(args.face_model)
    )
    _check_take(take, model)
    overlay = Overlay(model, args.what)
    job = _Job(args, take, model, overlay)
    if args.picture:
        job.make_picture()
    return job.make_video() if args.output else 0


@dataclass(frozen=True, slots=True)
class _Job:
    args: argparse.Namespace
    take: Take
    model: FaceModel
    overlay: Overlay

    def make_picture(self) -> None:
        """Write the panel of one frame."""
        import cv2

        from tracker.rendering.panel import picture

        wanted = self._picture_row()
        with self._open() as source:
            frame = next((frame for frame, row in self._pairs(source) if row == wanted), None)
        if frame is None:
            raise RecordingError(
                f"{self.args.video} has no frame {wanted}; is it the video that {self.take.path} was made from?"
            )
        result = self.take.frame(wanted)
        panel = picture(
            frame.image, result.camera, _largest(result), self.model, self.overlay, footer=_footer(result, wanted)
        )
        done, data = cv2.imencode(".png", cv2.cvtColor(panel, cv2.COLOR_RGB2BGR))
        if not done:
            raise RecordingError(f"cannot encode {self.args.picture}")
        try:
            self.args.picture.parent.mkdir(parents=True, exist_ok=True)
            self.args.picture.write_bytes(data.tobytes())
        except OSError as error:
            raise RecordingError(f"cannot write {self.args.picture}: {error.strerror or error}") from error
        _say(f"{self.args.picture}: frame {wanted}, {panel.shape[1]}x{panel.shape[0]}")

    def make_video(self) -> int:
        """Write the overlay of every frame in the range."""
        from tracker.rendering.video_writer import VideoWriter

        rows = [row for row in range(len(self.take)) if self._in_range(self.take.frame(row))]
        if not rows:
            raise ConfigError(
                f"{self.take.path} has no frame from --start {self.args.start:g} s{_until(self.args.end)}"
            )
        if not any(self.take.frame(row).faces for row in rows):
            raise RecordingError(
                f"{self.take.path} has no face in any of the {len(rows)} frames; there is nothing to draw"
            )
        first = self.take.frame(rows[0])
        width, height = _output_size(first.camera.width, first.camera.height, self.args.size)
        sound = None if self.args.no_sound else self.args.video
        interrupted = False
        with (
            self._open() as source,
            VideoWriter(self.args.output, width, height, self.take.rate or source.rate, sound) as writer,
            _progress(self.args.quiet) as progress,
        ):
            task = progress.add_task(self.args.output.name, total=len(rows))
            try:
                for frame, row in self._pairs(source):
                    if row > rows[-1]:
                        break
                    if row < rows[0]:
                        continue
                    result = self.take.frame(row)
                    image = _scaled(frame.image, width, height)
                    drawn = self.overlay.draw(image, result.camera, result.faces, _footer(result, row))
                    writer.write(_padded(drawn, width, height), _time_s(result))
                    progress.advance(task)
            except KeyboardInterrupt:
                interrupted = True
        if interrupted:
            _say(
                f"interrupted; {self.args.output} holds the first {writer.frame_count} of {len(rows)} frames and plays"
            )
            return 130
        if writer.frame_count < len(rows):
            raise RecordingError(
                f"{self.args.video} ended early: {writer.frame_count} of the {len(rows)} frames in {self.take.path} were drawn; "
                f"give the video that the take was made from"
            )
        sound_note = "" if writer.sound == "none" else f", sound {writer.sound}"
        _say(f"{self.args.output}: {writer.frame_count} frames, {width}x{height}{sound_note}")
        return 0

    def _open(self) -> FrameSource:
        from tracker.sources.open import open_source

        source = open_source(self.args.video, threads=2, on_event=lambda kind, text: _say(f"{kind}: {text}"))
        if source.live:
            source.close()
            raise ConfigError(f"--video {self.args.video} is live; give the file that {self.take.path} was made from")
        if self.take.complete and source.frame_count_exact and source.frame_count != len(self.take):
            source.close()
            raise RecordingError(
                f"{self.take.path} has {len(self.take)} frames and {self.args.video} has {source.frame_count}; "
                f"give the video that the take was made from"
            )
        return source

    def _pairs(self, source: FrameSource) -> Iterator[tuple[Frame, int]]:
        """Frames of the video with their row in the take."""
        row_of = {int(index): row for row, index in enumerate(self.take["frame_index"])}
        for frame in source:
            row = row_of.get(frame.index)
            if row is None:
                continue
            width, height = (int(value) for value in self.take["frame_size"][row])
            if (frame.width, frame.height) != (width, height):
                raise RecordingError(
                    f"{self.take.path} was made from {width}x{height} frames and {self.args.video} has "
                    f"{frame.width}x{frame.height}; give the video that the take was made from"
                )
            yield frame, row

    def _in_range(self, result: FrameResult) -> bool:
        time_s = _time_s(result) - _time_s(self.take.frame(0))
        return time_s >= Fraction(self.args.start) and (self.args.end is None or time_s < Fraction(self.args.end))

    def _picture_row(self) -> int:
        """The frame of the picture: the one asked for, or the one with the strongest expression of a face seen well."""
        results = [self.take.frame(row) for row in range(len(self.take))]
        with_face = [row for row, result in enumerate(results) if any(face.tracked for face in result.faces)]
        if not with_face:
            raise RecordingError(
                f"{self.take.path} has no face in any of its {len(self.take)} frames; there is nothing to draw"
            )
        wanted: int | None = self.args.frame
        if wanted is None:
            return max(with_face, key=lambda row: _tells(results[row]))
        if not 0 <= wanted < len(results):
            raise ConfigError(f"--frame {wanted}: {self.take.path} has frames 0..{len(results) - 1}")
        if wanted not in with_face:
            near = min(with_face, key=lambda row: abs(row - wanted))
            raise RecordingError(
                f"frame {wanted} of {self.take.path} has no face; the nearest with one is --frame {near}"
            )
        return wanted


def _check(args: argparse.Namespace) -> None:
    """Raise ConfigError for what the options alone show to be wrong."""
    from tracker.rendering.video_writer import SUFFIXES
    from tracker.sources.open import VIDEO_SUFFIXES

    if args.take.suffix.lower() in VIDEO_SUFFIXES:
        raise ConfigError(
            f"{args.take} is a video, a take was expected: `tracker process {args.take} -o take.npz`, then "
            f"`tracker render take.npz --video {args.take} -o overlay.mp4`"
        )
    if Path(args.video).suffix.lower() in _TAKE_SUFFIXES:
        raise ConfigError(f"--video {args.video} is a take; give the video it was made from")
    if args.output is None and args.picture is None:
        raise ConfigError("give -o overlay.mp4, --picture picture.png or both")
    if args.output is not None and args.output.suffix.lower() not in SUFFIXES:
        raise ConfigError(f"cannot write {args.output}: expected a name ending in {', '.join(SUFFIXES)}")
    if args.picture is not None and args.picture.suffix.lower() != ".png":
        raise ConfigError(f"cannot write {args.picture}: --picture wants a name ending in .png")
    if args.frame is not None and args.picture is None:
        raise ConfigError("--frame says which frame --picture shows; give --picture FILE.png too")
    if args.start < 0.0 or (args.end is not None and args.end <= args.start):
        raise ConfigError(f"expected 0 <= --start < --end, got --start {args.start:g}{_until(args.end)}")
    if args.output is not None and args.output.exists():
        for taken in (args.take, Path(args.video)):
            if taken.exists() and taken.samefile(args.output):
                raise ConfigError(f"-o {args.output} would replace its own input; choose another name")


def _check_take(take: Take, model: FaceModel) -> None:
    """Raise RecordingError for takes that cannot be drawn with this model."""
    if not len(take):
        raise RecordingError(f"{take.path} is empty: it has no frame")
    made_with = take.meta["model"]
    if made_with["identity_count"] != model.identity_count or take.expression_names != model.published_names:
        raise RecordingError(
            f"{take.path} was made with the face model '{made_with['name']}', not with '{model.name}'; "
            f"name its file with --face-model"
        )
    if made_with["sha256"] != model.sha256:
        _say(
            f"note: {take.path} was made with another version of '{model.name}'; the surface may sit differently than it did"
        )


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d+)[xX*](\d+)", text)
    if not match or not all(16 <= int(side) <= _MAX_SIZE for side in match.groups()):
        raise argparse.ArgumentTypeError(f"expected WIDTHxHEIGHT with sides of 16..{_MAX_SIZE} pixels, got '{text}'")
    return int(match[1]), int(match[2])


def _output_size(width: int, height: int, wanted: tuple[int, int] | None) -> tuple[int, int]:
    """Even width and height of the output for frames of this size."""
    if wanted is not None:
        scale = min(wanted[0] / width, wanted[1] / height)
    else:
        # Lines and letters need room: enlarge small videos by a whole number.
        scale = float(min(-(-_MIN_HEIGHT // height), 4, max(1, _MAX_SIZE // width)))
    return max(2, round(width * scale / 2) * 2), max(2, round(height * scale / 2) * 2)


def _scaled(image: ImageRGB, width: int, height: int) -> ImageRGB:
    """``image`` as large as it fits into width x height."""
    import cv2

    scale = min(width / image.shape[1], height / image.shape[0])
    size = (min(width, round(image.shape[1] * scale)), min(height, round(image.shape[0] * scale)))
    if size == (image.shape[1], image.shape[0]):
        return image
    return np.asarray(
        cv2.resize(image, size, interpolation=cv2.INTER_CUBIC if scale > 1.0 else cv2.INTER_AREA), np.uint8
    )


def _padded(image: ImageRGB, width: int, height: int) -> ImageRGB:
    """``image`` in the middle of a black width x height picture; frames that changed size in mid-stream need that."""
    if image.shape[:2] == (height, width):
        return image
    out = np.zeros((height, width, 3), np.uint8)
    y, x = (height - image.shape[0]) // 2, (width - image.shape[1]) // 2
    out[y : y + image.shape[0], x : x + image.shape[1]] = image
    return out


def _time_s(result: FrameResult) -> Fraction:
    return Fraction(result.t_capture_ns, 1_000_000_000) if result.pts_s is None else result.pts_s


def _footer(result: FrameResult, row: int) -> str:
    line = f"frame {row}   {float(_time_s(result)):.2f} s"
    return line if result.rate is None else f"{line}   {float(result.rate):.4g} fps"


def _largest(result: FrameResult) -> Face:
    return max((face for face in result.faces if face.tracked), key=lambda face: float(face.box[2] * face.box[3]))


def _tells(result: FrameResult) -> float:
    """How much a frame has to show: expression of its largest face, by how well that face is seen."""
    tracked = [face for face in result.faces if face.tracked]
    if not tracked:
        return -1.0
    face = _largest(result)
    # A face with closed eyes shows little of what is tracked.
    open_eyes = 1.0 - 0.5 * float(face.arkit[ARKIT_INDEX["eyeBlinkLeft"]] + face.arkit[ARKIT_INDEX["eyeBlinkRight"]])
    return face.confidence * open_eyes * (0.2 + float(np.sort(face.arkit)[-8:].sum()))


def _until(end_s: float | None) -> str:
    return "" if end_s is None else f" to --end {end_s:g} s"


def _progress(quiet: bool) -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from tracker.cli.columns import FrameRateColumn

    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), FrameRateColumn(), TimeRemainingColumn(),
        console=Console(stderr=True), disable=quiet,
    )  # fmt: skip


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()
