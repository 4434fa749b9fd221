"""``tracker process``: video files to takes."""

from __future__ import annotations

import argparse
import glob
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tracker.cli import albedo
from tracker.cli.signals import ending_like_ctrl_c
from tracker.config import TrackerConfig, add_tracking_arguments, tracking_config
from tracker.errors import ConfigError, EnrolmentError, TrackerError

if TYPE_CHECKING:
    from rich.progress import Progress

    from tracker.tracking import FrameTracker
    from tracker.types import Albedo, FrameResult

HELP = "turn video files into takes: parameter streams on disk"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "inputs", nargs="+", metavar="IN", help="video files, image folders or patterns (quote the pattern)"
    )
    parser.add_argument(
        "-o", "--output", required=True, type=Path, metavar="OUT",
        help="a file .npz, .jsonl, .csv, .parquet or .mcap for one input, or a folder that gets one take per input",
    )  # fmt: skip
    parser.add_argument(
        "--format",
        choices=("npz", "jsonl", "csv", "parquet", "mcap"),
        default="npz",
        help="kind of file in an output folder (default npz)",
    )
    parser.add_argument(
        "--force",
        action="store_true",
        help="process inputs again whose finished take is there, and replace other files in the way (default: skip, refuse)",
    )
    parser.add_argument("--with-landmarks", action="store_true", help="also store the image landmarks and their sigma")
    parser.add_argument(
        "--with-raw", action="store_true", help="also store the parameters as they were before smoothing"
    )
    parser.add_argument(
        "--two-pass", action="store_true",
        help="go through each clip twice: first to know the person's shape (and skin, with --appearance on), then to track with "
        "both fixed from the first frame on; for one person in one uncut shot",
    )  # fmt: skip
    albedo.add_argument(parser, "the skin (this estimates appearance; one input, one face)")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    add_tracking_arguments(parser)
    parser.epilog = """examples:
  tracker process clip.mp4 -o take.npz
  tracker process interviews/*.mp4 -o takes/          # resumable: run it again after Ctrl-C
  tracker process frames/ -o take.csv --max-faces 2
  tracker process clip.mp4 -o take.npz --two-pass --appearance on     # shape and skin known from frame 1
  tracker process clip.mp4 -o take.npz --albedo skin.png              # the skin as a texture, too

Every frame of a file is processed and takes have as many rows as the file has frames. Ctrl-C keeps what was finished:
complete takes stay, the one at work is closed as a readable, incomplete take and done again next time.
"""


@dataclass(frozen=True, slots=True)
class _Job:
    source: str
    output: Path


def run(args: argparse.Namespace) -> int:
    """Process every input; 0 when all went well, 1 when some failed, 130 after Ctrl-C."""
    config = tracking_config(args)
    jobs = _plan(args.inputs, args.output, args.format)
    _check(args, config, len(jobs))
    if args.albedo:
        config = replace(config, appearance=True)
    waiting = [job for job in jobs if args.force or not _is_done(job)]
    if len(waiting) < len(jobs):
        _say(f"{len(jobs) - len(waiting)} of {len(jobs)} already done (use --force to process them again)")
    if not waiting:
        return 0
    failed = 0
    tracker = _load_tracker(config)
    with ExitStack() as stack:
        stack.enter_context(ending_like_ctrl_c())
        progress = None if args.quiet else stack.enter_context(_progress())
        for number, job in enumerate(waiting, 1):
            label = f"[{number}/{len(waiting)}] " if len(waiting) > 1 else ""
            try:
                tracker.reset()
                _process(job, tracker, args, progress, label)
            except KeyboardInterrupt:
                _say(f"interrupted; {number - 1} of {len(waiting)} finished, run the same command again to go on")
                return 130
            except TrackerError as error:
                failed += 1
                _say(f"tracker process: {error}")
                if len(waiting) == 1:
                    return error.exit_code
    if failed:
        _say(f"{failed} of {len(waiting)} inputs failed")
    return 1 if failed else 0


def _load_tracker(config: TrackerConfig) -> FrameTracker:
    from tracker.tracking import FrameTracker

    return FrameTracker(config)


def _process(job: _Job, tracker: FrameTracker, args: argparse.Namespace, progress: Progress | None, label: str) -> None:
    from tracker.pipeline import Pipeline
    from tracker.recording import open_writer, source_signature
    from tracker.sources.open import open_source

    started = time.monotonic()
    about = _first_pass(job, tracker, progress, label) if args.two_pass else None
    skins = _Skins()
    with open_source(job.source, on_event=lambda kind, text: _say(f"{label}{kind}: {text}")) as source:
        if source.live:
            raise _live(job)
        name = Path(job.source).name + (": tracking" if args.two_pass else "")
        task = progress.add_task(f"{label}{name}", total=source.frame_count) if progress else None
        with_face = 0
        meta = {
            "source": source_signature(job.source),
            "rate": str(source.rate) if source.rate else None,
            "settings": tracker.config.to_dict(),
            "two_pass": about,
        }
        with (
            open_writer(
                job.output,
                model=tracker.model,
                meta=meta,
                raw=args.with_raw,
                landmarks=args.with_landmarks,
                appearance=tracker.config.appearance,
                overwrite=True,
                discard_unfinished=True,
            ) as writer,
            Pipeline(source, tracker) as pipeline,
        ):
            for result in pipeline:
                writer.write(result)
                with_face += bool(result.faces)
                skins.add(result)
                for notice in result.notices:
                    if notice.kind == "other_person" and notice.fields["enrolled"]:
                        _say(f"{label}warning: frame {result.index}: {notice.fields['text']}")
                if progress and task is not None:
                    progress.advance(task)
    if progress and task is not None:
        progress.update(task, total=writer.frame_count, completed=writer.frame_count)
    speed = writer.frame_count / max(time.monotonic() - started, 1e-9)
    _say(f"{label}{job.output}: {writer.frame_count} frames, {with_face} with a face, {speed:.0f} frames/s")
    if args.albedo:
        skins.write(args.albedo, tracker)
    if not with_face:
        _say(f"{label}no face was found in any frame of {job.source}")


def _first_pass(job: _Job, tracker: FrameTracker, progress: Progress | None, label: str) -> dict[str, Any]:
    """Let the tracker expect the person of a clip; returns what a take says about it.

    Raises:
        EnrolmentError: the clip shows no face, more than one person, or more than one shot.
    """
    from tracker.enrolment.survey import Survey
    from tracker.sources.open import open_source

    tracker.expect(None)
    survey = Survey(tracker)
    with open_source(job.source, on_event=lambda kind, text: _say(f"{label}{kind}: {text}")) as source:
        if source.live:
            raise _live(job)
        name = f"{label}{Path(job.source).name}: getting to know"
        task = progress.add_task(name, total=source.frame_count) if progress else None
        try:
            for frame in source:
                survey.look(frame)
                if progress and task is not None:
                    progress.advance(task)
            # The focal length stays as it was set: two passes are for what one pass learns late, not for another camera.
            report = survey.enroller.solve(focal_known=True)
        except EnrolmentError as error:
            raise EnrolmentError(
                f"{job.source} cannot be tracked in two passes: {error}; or leave out --two-pass"
            ) from error
    if progress and task is not None:
        progress.update(task, total=survey.enroller.frame_count, completed=survey.enroller.frame_count)
    tracker.expect(survey.with_skin(report.enrolment))
    return {"frames": report.frames, "views": report.views, "confidence": round(report.state.confidence, 4)}


class _Skins:
    """The albedo of the face that a clip mostly shows."""

    def __init__(self) -> None:
        self._frames: dict[int, int] = {}
        self._albedo: dict[int, Albedo] = {}

    def add(self, result: FrameResult) -> None:
        for face in result.faces:
            if face.albedo is not None:
                self._frames[face.id] = self._frames.get(face.id, 0) + 1
                self._albedo[face.id] = face.albedo

    def write(self, path: Path, tracker: FrameTracker) -> None:
        if not self._frames:
            _say(f"{path} is not written: no skin could be told from light")
            return
        face_id = max(self._frames, key=lambda each: self._frames[each])
        skin = tracker.skin_of(face_id)
        known = self._albedo[face_id] if skin is None else skin.albedo
        beside = albedo.write(path, tracker.fitted_model, known)
        _say(f"{path}, {beside.name}: {known.coverage:.0%} of the face seen")


def _live(job: _Job) -> ConfigError:
    return ConfigError(
        f"'{job.source}' is a live source; `tracker run --source {job.source} --record take.npz` records it"
    )


def _check(args: argparse.Namespace, config: TrackerConfig, jobs: int) -> None:
    albedo.check(args.albedo)
    for option, given in (("--two-pass", args.two_pass), ("--albedo", args.albedo)):
        if given and config.max_faces != 1:
            raise ConfigError(f"{option} is for one face: leave out --max-faces {config.max_faces}")
    if args.two_pass and config.identity is not None:
        raise ConfigError("--two-pass gets to know the person by itself: leave out it or --identity")
    if args.albedo and jobs != 1:
        raise ConfigError(f"--albedo {args.albedo} is for one input, got {jobs}")


def _plan(inputs: list[str], output: Path, kind: str) -> list[_Job]:
    """What to process into which file. Raises ConfigError and RecordingError for outputs that cannot be."""
    from tracker.recording import take_paths

    sources = [path for text in inputs for path in _expand(text)]
    return [
        _Job(source, path) for source, path in zip(sources, take_paths(output, sources, suffix=f".{kind}"), strict=True)
    ]


def _expand(text: str) -> list[str]:
    """A pattern of videos stands for one input each; a pattern of images is one input, which the source reads in order."""
    if not any(c in text for c in "*?[") or Path(text).exists():
        return [text]
    from tracker.sources.images import SUFFIXES

    found = sorted(glob.glob(text, recursive=True))
    if not found:
        raise ConfigError(f"nothing matches '{text}'")
    return [text] if all(Path(path).suffix.lower() in SUFFIXES for path in found) else found


def _is_done(job: _Job) -> bool:
    """Whether the finished take of this source is already there.

    Raises:
        ConfigError: something else lies where the take would go.
    """
    from tracker.recording import source_signature, take_state

    state = take_state(job.output, source_signature(job.source))
    if state == "other":
        raise ConfigError(
            f"{job.output} exists and is not a take of {job.source}; give another output, or --force to replace it"
        )
    return state == "complete"


def _progress() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from tracker.cli.columns import FrameRateColumn

    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), FrameRateColumn(), TimeRemainingColumn(),
        console=Console(stderr=True),
    )  # fmt: skip


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()
