"""``tracker enroll``: one person from a clip or the camera, solved with care, for ``--identity``."""

from __future__ import annotations

import argparse
import math
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tracker.cache import check_writable
from tracker.cli import albedo
from tracker.cli.signals import ending_like_ctrl_c
from tracker.cli.terminal import progress_bars, say
from tracker.config import add_tracking_arguments, tracking_config
from tracker.errors import ConfigError, EnrolmentError

if TYPE_CHECKING:
    from rich.progress import Progress

    from tracker.enrolment.enroller import Report
    from tracker.enrolment.survey import Survey
    from tracker.fitting.calibration import NeutralCalibration
    from tracker.sources.base import FrameSource
    from tracker.types import Float32, FrameResult

HELP = "get to know one person from a clip or the camera, for --identity"

_LIVE_S: Final = 20.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "source", metavar="CLIP", help="a video of one person in one uncut shot, an image folder, or webcam, webcam:1 …"
    )
    parser.add_argument("-o", "--output", required=True, type=Path, metavar="ME.NPZ", help="the file to write")
    parser.add_argument(
        "--seconds", type=float, metavar="S", help=f"use the first S seconds (default: all; of a camera {_LIVE_S:g})"
    )
    parser.add_argument("--views", type=int, default=40, metavar="N", help="solve for N views of the clip (default 40)")
    parser.add_argument(
        "--neutral", action="store_true",
        help="the first two seconds show the relaxed face, eyes open, looking ahead: also keep it as neutral calibration",
    )  # fmt: skip
    albedo.add_argument(parser, "the skin")
    parser.add_argument("--force", action="store_true", help="overwrite the file if it exists")
    parser.add_argument("--quiet", action="store_true", help="no progress bar and no report")
    add_tracking_arguments(parser)
    parser.epilog = """examples:
  tracker enroll webcam -o me.npz                    twenty seconds before the camera
  tracker enroll clip.mp4 -o me.npz --neutral        the clip begins with two seconds of a relaxed face
  tracker enroll clip.mp4 -o me.npz --fov 65         the camera's field of view is known
  tracker enroll clip.mp4 -o me.npz --albedo me.png  also the skin as a texture
  tracker run --identity me.npz                      then: known from the first frame on

What helps: even light, the face large in the picture; turn the head slowly to both sides, up and down, then smile, open the
mouth, raise the brows, shut the eyes. The file holds shape and skin of a face: treat it as you would a photograph.
"""


def run(args: argparse.Namespace) -> int:
    """Enroll; 0 when the file is written, 130 after Ctrl-C (then nothing is written)."""
    config = tracking_config(args)
    _check(args)
    from tracker.appearance.learned import LearnedSkin
    from tracker.enrolment.file import write_enrolment
    from tracker.enrolment.survey import Survey
    from tracker.sources.open import open_source
    from tracker.tracking import FrameTracker

    with ExitStack() as stack:
        stack.enter_context(ending_like_ctrl_c())
        source = stack.enter_context(open_source(args.source, on_event=lambda kind, text: say(f"{kind}: {text}")))
        tracker = FrameTracker(replace(config, max_faces=1, appearance=True, photometric="off"))
        survey = Survey(tracker)
        with progress_bars(quiet=args.quiet) as progress:
            neutral = _watch(source, survey, args, progress)
            task = progress.add_task("solving", total=None)
            report = survey.enroller.solve(
                views=args.views,
                focal_known=config.focal_px is not None or config.fov_deg is not None,
                about={"source": _name(args.source), "created": datetime.now(UTC).isoformat(timespec="seconds")},
                on_progress=lambda state: progress.update(task, total=state.total, completed=state.done),
            )
        enrolment = survey.with_skin(report.enrolment)
        if neutral is not None:
            enrolment = replace(enrolment, neutral=neutral.rest)
        write_enrolment(args.output, enrolment)
        if args.albedo and enrolment.albedo is not None:
            skin = LearnedSkin.from_array(enrolment.albedo, len(enrolment.albedo))
            albedo.write(args.albedo, tracker.fitted_model, skin.albedo)
    if not args.quiet:
        for line in _lines(report, args.output, neutral, enrolment.albedo):
            say(line)
    return 0


def _check(args: argparse.Namespace) -> None:
    if args.output.suffix.lower() != ".npz":
        raise ConfigError(f"cannot write {args.output}: expected a name ending in .npz")
    albedo.check(args.albedo)
    if args.output.exists() and not args.force:
        raise EnrolmentError(f"{args.output} exists; pass --force to replace it")
    for path in (args.output, args.albedo):
        if path is not None:
            try:
                check_writable(path)
            except OSError as error:
                raise EnrolmentError(
                    f"cannot write {path}: {error.strerror or error}; choose a folder that can be written"
                ) from error
    if args.seconds is not None and not (math.isfinite(args.seconds) and args.seconds > 0.0):
        raise ConfigError(f"--seconds must be above 0, got {args.seconds:g}")
    if not 2 <= args.views <= 200:
        raise ConfigError(f"--views must be 2..200, got {args.views}")
    if args.max_faces != 1:
        raise ConfigError(f"one person is enrolled at a time: leave out --max-faces {args.max_faces}")
    if args.identity is not None:
        raise ConfigError("--identity is what enrolling makes: leave it out here")


def _watch(
    source: FrameSource, survey: Survey, args: argparse.Namespace, progress: Progress
) -> NeutralCalibration | None:
    """Survey every frame; the neutral face, if that was asked for.

    Raises:
        EnrolmentError: the clip shows more than one person, or its first two seconds no relaxed face.
    """
    from tracker.fitting.calibration import NeutralCapture, Refused

    limit_s = args.seconds or (_LIVE_S if source.live else math.inf)
    if source.live:
        progress.console.print(
            f"{limit_s:g} seconds: look ahead, turn slowly to all sides, then smile, open the mouth, blink"
        )
    total = None if source.live or args.seconds else source.frame_count
    task = progress.add_task(_name(args.source), total=total)
    neutral: NeutralCalibration | None = None
    capture = NeutralCapture() if args.neutral else None
    started_ns = None
    for frame in source:
        started_ns = frame.t_capture_ns if started_ns is None else started_ns
        if (frame.t_capture_ns - started_ns) * 1e-9 >= limit_s:
            break
        result = survey.look(frame)
        progress.advance(task)
        if capture is not None:
            outcome = _look(result, capture)
            if isinstance(outcome, Refused):
                raise EnrolmentError(
                    f"no neutral face in the first two seconds: {outcome.reason}; or leave out --neutral"
                )
            if outcome is not None:
                neutral, capture = outcome, None
    if capture is not None:
        raise EnrolmentError("the clip is shorter than the two seconds that --neutral takes")
    return neutral


def _look(result: FrameResult, capture: Any) -> Any:
    """The outcome of a neutral capture after another frame, or None while it goes on."""
    import numpy as np

    from tracker.rotations import matrix_from_rotvec

    if not result.faces:
        return capture.miss(result.t_capture_ns)
    face = result.faces[0]
    rotation = matrix_from_rotvec(face.params.rotation.astype(np.float64))
    return capture.add(result.t_capture_ns, face.arkit, rotation, (face.gaze_left, face.gaze_right))


def _lines(report: Report, path: Path, neutral: NeutralCalibration | None, skin: Float32 | None) -> list[str]:
    settled = f"{report.rounds} rounds" if report.converged else f"{report.rounds} rounds, not settled"
    lines = [
        f"{path}: {report.views} views of {report.frames} frames with a face, {settled}",
        f"  seen from {_side(report.yaw_deg[0])} to {_side(report.yaw_deg[1])}, pitch {report.pitch_deg[0]:+.0f}° to "
        f"{report.pitch_deg[1]:+.0f}°",
        f"  confidence {report.state.confidence:.0%} of what can vary in the shape of a face",
    ]
    focal = report.focal
    if focal is None:
        lines.append("  focal length: as given")
    elif focal.observed:
        spread = math.expm1(focal.sigma)
        lines.append(
            f"  focal length: {focal.ratio:.2f} times the default, give or take {spread:.0%}; used with --identity"
        )
    else:
        lines.append(
            "  focal length: not observable in this clip (too little turning); the default is kept, or pass --fov"
        )
    if neutral is not None:
        rest = ", ".join(f"{name} {weight:.2f}" for name, weight in neutral.strongest(4).items())
        lines.append(f"  neutral face: {rest or 'all weights near zero already'}")
    if skin is None:
        lines.append("  skin: not told from light (the face is too small, too dark or too bright)")
    else:
        lines.append(f"  skin: {float((skin[:, 3] > 1.5).mean()):.0%} of the face seen")
    advice = report.advice()
    if advice:
        lines.append(f"  would help: {'; '.join(advice)}")
    return lines


def _side(yaw_deg: float) -> str:
    return f"{abs(yaw_deg):.0f}° {'left' if yaw_deg >= 0 else 'right'}"


def _name(source: str) -> str:
    return Path(source).name or source
