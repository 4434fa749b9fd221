"""``tracker render``: a take drawn over its video."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tracker.cli.terminal import progress_bars, say
from tracker.errors import ConfigError, RecordingError
from tracker.rendering.frame_size import MAX_SIZE, MIN_HEIGHT, output_size, scaled
from tracker.rendering.take_video import TakeVideo
from tracker.rendering.telling import largest_face, picture_row

if TYPE_CHECKING:
    from rich.progress import Progress

    from tracker.appearance.revisit import Revisit
    from tracker.face_model import FaceModel
    from tracker.recording import Take
    from tracker.rendering.tiles import Tiles
    from tracker.sources.base import FrameSource
    from tracker.types import Frame, FrameResult, ImageRGB

HELP = "draw a take over its video, for the eye: mesh, landmarks, skin, light, another light"

_RUN_UP: Final = 20
"""Frames looked at before that of a picture: what covers a face is weighed over time."""
_TAKE_SUFFIXES: Final = (".npz", ".jsonl", ".csv", ".part")
_EPILOG: Final = """\
examples:
  tracker process clip.mp4 -o take.npz --with-landmarks         # first: track the video
  tracker render take.npz --video clip.mp4 -o overlay.mp4       # then: look at it
  tracker render take.npz --video clip.mp4 -o wire.mp4 --what wire --size 1280x720
  tracker render take.npz --video clip.mp4 --picture best.png   # one picture of the most telling frame
  tracker render take.npz --video clip.mp4 --picture f40.png --frame 40
  tracker render take.npz --video clip.mp4 -o skin.mp4 --what albedo,light,shading,occlusion
  tracker render take.npz --video clip.mp4 -o evening.mp4 --relight warm
  tracker render take.npz --video clip.mp4 -o both.mp4 --what video --relight left,right,rotating
  tracker render take.npz --video clip.mp4 -o there.mp4 --relight other_take.npz

--what mesh is the fitted surface, wire its contours with irises and gaze, landmarks the points that the network saw
(recorded with `tracker process --with-landmarks`) each in a disc of one standard deviation, axes the head's x (red),
y (green) and z (blue).
What `--appearance on` has told skin and light apart into (docs/appearance.md): albedo is the skin without light, with its
texture in the corner; light a grey ball in the light that is there, and the same ball unrolled; shading the light on a face
of grey clay; occlusion what seems to be in front of the face, yellow to red. Takes without it are looked at again first.
Several kinds with commas between become tiles, and video is the plain frame.
--relight shows the faces under another light: left, right, top, below (a lamp there; left is the subject's), warm, cold,
rotating, or the light of another take. Each pixel is multiplied by new over old shading, so hair, pores and stubble stay.
Frames keep their time stamps and the sound stays. Ctrl-C leaves a file that plays up to where it came.
"""


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
    parser.add_argument(
        "--what", metavar="KINDS",
        help="what to draw: mesh, wire, landmarks, axes, all (of these), albedo, light, shading, occlusion, video; several "
        "with commas between become tiles (default all; with --relight only that)",
    )  # fmt: skip
    parser.add_argument(
        "--relight", metavar="LIGHTS",
        help="the face under another light: left, right, top, below, warm, cold, rotating, or the file of another take for its "
        "light; several with commas between",
    )  # fmt: skip
    parser.add_argument(
        "--picture", metavar="FILE", type=Path,
        help="also write one picture, .png or .jpg: frame, overlay, head from the side, expression bars",
    )  # fmt: skip
    parser.add_argument(
        "--frame",
        metavar="N",
        type=int,
        help="frame of --picture, from 0 (default: the one with the strongest expression)",
    )
    parser.add_argument(
        "--size", metavar="WxH", type=_size,
        help=f"fit the output into this size, e.g. 1280x720 (default: the video's; small ones enlarged to {MIN_HEIGHT} rows)",
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
    from tracker.recording import read_take
    from tracker.rendering.appearance import APPEARANCE
    from tracker.rendering.tiles import MOST_TILES, Relighting, Tiles, parse_what

    kinds = parse_what(args.what or "all") if args.what or not args.relight else ()
    names = [name.strip() for name in (args.relight or "").split(",") if name.strip()]
    if len(kinds) + len(names) > MOST_TILES:
        raise ConfigError(
            f"--what and --relight together make at most {MOST_TILES} tiles, got {len(kinds) + len(names)}"
        )
    relightings = []
    if names:
        from tracker.appearance.lamps import relighting as light_of

        relightings = [Relighting(Path(name).stem, light_of(name)) for name in names]
    take = read_take(args.take)
    take.check_frames()
    model = take.load_model(args.face_model)
    _tell_version(take, model)
    revisit = None
    if relightings or any(kind in APPEARANCE for kind in kinds):
        from tracker.appearance.revisit import Revisit

        revisit = Revisit(take, model)
    tiles = Tiles(model, kinds, None if revisit is None else revisit.stage.points, relightings)
    job = _Job(args, take, TakeVideo(take, args.video), model, tiles, revisit)
    if revisit is not None and not revisit.has_skin:
        job.learn(revisit)
    if args.picture:
        job.make_picture()
    return job.make_video() if args.output else 0


@dataclass(frozen=True, slots=True)
class _Job:
    args: argparse.Namespace
    take: Take
    video: TakeVideo
    model: FaceModel
    tiles: Tiles
    revisit: Revisit | None

    def make_picture(self) -> None:
        """Write the panel of one frame."""
        from tracker.rendering.panel import picture, tiled_picture
        from tracker.rendering.picture_file import write_picture

        wanted = picture_row(self.take, self.args.frame)
        shown: tuple[Frame, FrameResult] | None = None
        with self._open() as source:
            for frame, row in self.video.pairs(source):
                if row > wanted:
                    break
                if row > wanted - _RUN_UP:
                    shown = frame, self._result(frame, row)
                if row == wanted:
                    break
            else:
                shown = None
        if shown is None:
            raise RecordingError(
                f"{self.args.video} has no frame {wanted}; is it the video that {self.take.path} was made from?"
            )
        frame, result = shown
        face = largest_face(result)
        overlay = self.tiles.only_overlay
        if overlay is not None:
            panel = picture(frame.image, result.camera, face, self.model, overlay, footer=_footer(result, wanted))
        else:
            time_s = float(_time_s(result) - _time_s(self.take.frame(0)))
            panel = tiled_picture(frame.image, result.camera, face, self.model, self.tiles, time_s=time_s)
        write_picture(self.args.picture, panel)
        say(f"{self.args.picture}: frame {wanted}, {panel.shape[1]}x{panel.shape[0]}")

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
        tiles = self.tiles
        width, height = output_size(first.camera.width, first.camera.height, self.args.size, tiles.columns, tiles.rows)
        start_s = _time_s(self.take.frame(0))
        sound = None if self.args.no_sound else self.args.video
        interrupted = False
        with (
            self._open() as source,
            VideoWriter(
                self.args.output, tiles.columns * width, tiles.rows * height, self.take.rate or source.rate, sound
            ) as writer,
            progress_bars(quiet=self.args.quiet) as progress,
        ):
            task = progress.add_task(self.args.output.name, total=len(rows))
            try:
                for frame, row in self.video.pairs(source):
                    if row > rows[-1]:
                        break
                    if row < rows[0]:
                        continue
                    result = self._result(frame, row)
                    image = scaled(frame.image, width, height)
                    time_s = float(_time_s(result) - start_s)
                    drawn = tiles.draw(
                        image, result.camera, result.faces, (width, height), _footer(result, row), time_s
                    )
                    writer.write(drawn, _time_s(result))
                    progress.advance(task)
            except KeyboardInterrupt:
                interrupted = True
        if interrupted:
            say(f"interrupted; {self.args.output} holds the first {writer.frame_count} of {len(rows)} frames and plays")
            return 130
        if writer.frame_count < len(rows):
            raise RecordingError(
                f"{self.args.video} ended early: {writer.frame_count} of the {len(rows)} frames in {self.take.path} were drawn; "
                f"give the video that the take was made from"
            )
        sound_note = "" if writer.sound == "none" else f", sound {writer.sound}"
        say(
            f"{self.args.output}: {writer.frame_count} frames, {tiles.columns * width}x{tiles.rows * height}{sound_note}"
        )
        return 0

    def learn(self, revisit: Revisit) -> None:
        """Go through the video once to know the skin of its faces."""
        rows = range(len(self.take))

        def frames(source: FrameSource, progress: Progress) -> Iterator[tuple[ImageRGB, FrameResult]]:
            task = progress.add_task("skin", total=len(rows))
            for frame, row in self.video.pairs(source):
                yield frame.image, self.take.frame(row)
                progress.advance(task)

        with self._open() as source, progress_bars(quiet=self.args.quiet) as progress:
            revisit.learn(frames(source, progress))
        if not revisit.has_skin:
            raise RecordingError(
                f"no face in {self.take.path} is large and bright enough for skin to be told from light; "
                "--what mesh and others can still draw it"
            )

    def _result(self, frame: Frame, row: int) -> FrameResult:
        result = self.take.frame(row)
        if self.revisit is None:
            return result
        return replace(result, faces=self.revisit.faces(frame.image, result))

    def _open(self) -> FrameSource:
        return self.video.open(on_event=lambda kind, text: say(f"{kind}: {text}"))

    def _in_range(self, result: FrameResult) -> bool:
        time_s = _time_s(result) - _time_s(self.take.frame(0))
        return time_s >= Fraction(self.args.start) and (self.args.end is None or time_s < Fraction(self.args.end))


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
    if args.picture is not None and args.picture.suffix.lower() not in (".png", ".jpg"):
        raise ConfigError(f"cannot write {args.picture}: --picture wants a name ending in .png or .jpg")
    if args.frame is not None and args.picture is None:
        raise ConfigError("--frame says which frame --picture shows; give --picture FILE.png too")
    if args.start < 0.0 or (args.end is not None and args.end <= args.start):
        raise ConfigError(f"expected 0 <= --start < --end, got --start {args.start:g}{_until(args.end)}")
    if args.output is not None and args.output.exists():
        for taken in (args.take, Path(args.video)):
            if taken.exists() and taken.samefile(args.output):
                raise ConfigError(f"-o {args.output} would replace its own input; choose another name")


def _tell_version(take: Take, model: FaceModel) -> None:
    if take.meta["model"]["sha256"] != model.sha256:
        say(
            f"note: {take.path} was made with another version of '{model.name}'; the surface may sit differently than it did"
        )


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d+)[xX*](\d+)", text)
    if not match or not all(16 <= int(side) <= MAX_SIZE for side in match.groups()):
        raise argparse.ArgumentTypeError(f"expected WIDTHxHEIGHT with sides of 16..{MAX_SIZE} pixels, got '{text}'")
    return int(match[1]), int(match[2])


def _time_s(result: FrameResult) -> Fraction:
    return Fraction(result.t_capture_ns, 1_000_000_000) if result.pts_s is None else result.pts_s


def _footer(result: FrameResult, row: int) -> str:
    line = f"frame {row}   {float(_time_s(result)):.2f} s"
    return line if result.rate is None else f"{line}   {float(result.rate):.4g} fps"


def _until(end_s: float | None) -> str:
    return "" if end_s is None else f" to --end {end_s:g} s"
