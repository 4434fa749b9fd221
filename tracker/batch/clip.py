"""One clip into one take."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from tracker.errors import ConfigError, EnrolmentError, TrackerError
from tracker.sources.decoding import DecoderName

if TYPE_CHECKING:
    from tracker.sources.base import FrameSource
    from tracker.tracking import FrameTracker
    from tracker.types import FrameResult

Status = Literal["complete", "interrupted", "failed"]


@dataclass(frozen=True, slots=True)
class Job:
    """A source and where its take goes."""

    source: str
    output: Path


@dataclass(frozen=True, slots=True)
class TakeOptions:
    """What takes hold beside the tracking's own settings, and how clips are gone through."""

    raw: bool = False
    landmarks: bool = False
    two_pass: bool = False
    decoder: DecoderName = "cpu"
    """As ``open_source`` takes it; it changes nothing of what takes hold."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a job."""

    status: Status
    frames: int = 0
    with_face: int = 0
    seconds: float = 0.0
    error: str | None = None
    exit_code: int = 0
    quality: dict[str, Any] = field(default_factory=dict)
    """``QualityMeter.summary``; empty after a failure."""


class Watch(Protocol):
    """Who is told how it goes."""

    def say(self, text: str) -> None:
        """One line that people should see."""
        ...

    def begin(self, what: str, frames: int | None) -> None:
        """A run through a clip begins; it has this many frames, where that is known."""
        ...

    def advance(self) -> None:
        """One frame more."""
        ...


def track_clip(
    job: Job,
    tracker: FrameTracker,
    options: TakeOptions,
    watch: Watch,
    on_result: Callable[[FrameResult], None] = lambda result: None,
) -> Outcome:
    """Track a clip into its take; what goes wrong with the clip is in the outcome.

    Ctrl-C leaves a readable, incomplete take; so does ``Watch`` by raising KeyboardInterrupt.
    """
    started_s = time.monotonic()
    progress = _Progress()
    try:
        tracker.reset(keep_ids=False)
        _track(job, tracker, options, watch, on_result, progress)
    except KeyboardInterrupt:
        return progress.outcome("interrupted", started_s)
    except TrackerError as error:
        return Outcome("failed", seconds=time.monotonic() - started_s, error=str(error), exit_code=error.exit_code)
    return progress.outcome("complete", started_s)


def reviewed(job: Job) -> Outcome:
    """What became of a job that was done earlier, by its take. Raises RecordingError when that cannot be read."""
    from tracker.recording import read_take

    progress = _Progress()
    for result in read_take(job.output):
        progress.add(result)
    return progress.outcome("complete", time.monotonic())


class _Progress:
    def __init__(self) -> None:
        from tracker.recording.quality import QualityMeter

        self.frames = 0
        self.with_face = 0
        self.meter = QualityMeter()

    def add(self, result: FrameResult) -> None:
        self.frames += 1
        self.with_face += bool(result.faces)
        self.meter.add(result)

    def outcome(self, status: Status, started_s: float) -> Outcome:
        seconds = time.monotonic() - started_s
        return Outcome(status, self.frames, self.with_face, seconds, quality=self.meter.summary())


def _track(
    job: Job,
    tracker: FrameTracker,
    options: TakeOptions,
    watch: Watch,
    on_result: Callable[[FrameResult], None],
    progress: _Progress,
) -> None:
    from tracker.pipeline import Pipeline
    from tracker.recording import open_writer, source_signature

    about = _first_pass(job, tracker, options, watch) if options.two_pass else None
    with _open(job, options, watch) as source:
        watch.begin("tracking" if options.two_pass else "", source.frame_count)
        meta = {
            "source": source_signature(job.source),
            "rate": str(source.rate) if source.rate else None,
            "settings": tracker.config.to_dict(),
            "two_pass": about,
        }
        writer = open_writer(
            job.output,
            model=tracker.model,
            meta=meta,
            raw=options.raw,
            landmarks=options.landmarks,
            appearance=tracker.config.appearance,
            overwrite=True,
            discard_unfinished=True,
        )
        changed_ns = _changed_ns(job.source)
        with writer, Pipeline(source, tracker) as pipeline:
            for tracked in pipeline:
                # When a file is read says nothing about it, and would make every take of it another one.
                result = tracked
                if changed_ns is not None:
                    result = replace(tracked, t_unix_ns=changed_ns + tracked.t_capture_ns)
                writer.write(result)
                progress.add(result)
                on_result(result)
                for notice in result.notices:
                    if notice.kind == "other_person" and notice.fields["enrolled"]:
                        watch.say(f"warning: frame {result.index}: {notice.fields['text']}")
                watch.advance()


def _first_pass(job: Job, tracker: FrameTracker, options: TakeOptions, watch: Watch) -> dict[str, Any]:
    """Let the tracker expect the person of a clip; returns what a take says about it.

    Raises:
        EnrolmentError: the clip shows no face, more than one person, or more than one shot.
    """
    from tracker.enrolment.survey import Survey

    tracker.expect(None)
    survey = Survey(tracker)
    with _open(job, options, watch) as source:
        watch.begin("getting to know", source.frame_count)
        try:
            for frame in source:
                survey.look(frame)
                watch.advance()
            # The focal length stays as it was set: two passes are for what one pass learns late, not for another camera.
            report = survey.enroller.solve(focal_known=True)
        except EnrolmentError as error:
            raise EnrolmentError(
                f"{job.source} cannot be tracked in two passes: {error}; or leave out --two-pass"
            ) from error
    tracker.expect(survey.with_skin(report.enrolment))
    return {"frames": report.frames, "views": report.views, "confidence": round(report.state.confidence, 4)}


def _open(job: Job, options: TakeOptions, watch: Watch) -> FrameSource:
    from tracker.sources.open import open_source

    source = open_source(job.source, decoder=options.decoder, on_event=lambda kind, text: watch.say(f"{kind}: {text}"))
    if source.live:
        source.close()
        raise ConfigError(
            f"'{job.source}' is a live source; `tracker run --source {job.source} --record take.npz` records it"
        )
    return source


def _changed_ns(source: str) -> int | None:
    """When the file of a source was last changed, as Unix time; None for what is no file."""
    try:
        return Path(source).stat().st_mtime_ns
    except (OSError, ValueError):
        return None
