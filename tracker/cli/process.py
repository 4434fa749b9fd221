"""``tracker process``: video files to takes."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tracker.cli import albedo
from tracker.cli.batch_progress import BatchProgress
from tracker.cli.signals import ending_like_ctrl_c
from tracker.cli.terminal import say
from tracker.config import TrackerConfig, add_tracking_arguments, tracking_config
from tracker.errors import ConfigError
from tracker.sources.decoding import add_decoder_argument, decoder_for

if TYPE_CHECKING:
    from tracker.batch.clip import Job, Outcome, TakeOptions
    from tracker.batch.manifest import Manifest
    from tracker.batch.plan import Recipe

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
        help="process inputs again whose finished take is there, and replace other files in the way (default: skip takes made "
        "with the same settings, refuse other files)",
    )
    parser.add_argument(
        "--jobs", type=int, default=1, metavar="N",
        help="clips at a time, each in a process of its own of about 280 MB; takes are the same (default 1)",
    )  # fmt: skip
    parser.add_argument(
        "--manifest", type=Path, metavar="FILE",
        help="where to write a JSON line about every take: frames, share of them lost, residual, confidence, errors "
        "(default: manifest.ndjson in an output folder, none for a single file)",
    )  # fmt: skip
    parser.add_argument(
        "--with-landmarks",
        action="store_true",
        help="also store the image landmarks, their sigma and whether they are in sight",
    )
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
    add_decoder_argument(parser)
    add_tracking_arguments(parser)
    parser.epilog = """examples:
  tracker process clip.mp4 -o take.npz
  tracker process interviews/*.mp4 -o takes/          # resumable: run it again after Ctrl-C
  tracker process 'corpus/**/*.mp4' -o takes/ --jobs 8 --format parquet
  tracker process frames/ -o take.csv --max-faces 2
  tracker process clip.mp4 -o take.npz --two-pass --appearance on     # shape and skin known from frame 1
  tracker process clip.mp4 -o take.npz --albedo skin.png              # the skin as a texture, too

Every frame of a file is processed and takes have as many rows as the file has frames. Ctrl-C keeps what was finished:
complete takes stay, the one at work is closed as a readable, incomplete take and done again next time. Takes that were made
with other settings are made again. The same file gives the same bytes. An input that fails does not stop the others (exit
code 1); takes/manifest.ndjson says which, why, and how good the others are (docs/takes.md).
"""


def run(args: argparse.Namespace) -> int:
    """Process every input; 0 when all went well, 1 when some failed, 130 after Ctrl-C."""
    from tracker.batch.clip import TakeOptions
    from tracker.batch.plan import make_jobs, recipe

    config = tracking_config(args)
    jobs = make_jobs(args.inputs, args.output, args.format)
    _check(args, config, len(jobs))
    if args.albedo:
        config = replace(config, appearance=True)
    decoder = decoder_for(args.decoder, config.engine)
    options = TakeOptions(args.with_raw, args.with_landmarks, args.two_pass, decoder)
    made = recipe(config, options, _model_sha256(config))
    waiting = jobs if args.force else _waiting(jobs, made)
    manifest = _open_manifest(args, jobs, waiting, made)
    if not waiting:
        return 0
    batch = _Batch(config, options, args.albedo, min(args.jobs, len(waiting)))
    with ExitStack() as stack:
        stack.enter_context(ending_like_ctrl_c())
        progress = stack.enter_context(BatchProgress(waiting, quiet=args.quiet))
        counts: Counter[str] = Counter()
        failed: Outcome | None = None
        try:
            for job, outcome in batch.outcomes(waiting, progress):
                progress.done(job, outcome)
                if manifest is not None:
                    manifest.add(job, outcome)
                if outcome.status == "interrupted":
                    raise KeyboardInterrupt
                counts[outcome.status] += 1
                failed = outcome if outcome.status == "failed" else failed
        except KeyboardInterrupt:
            say(f"interrupted; {counts.total()} of {len(waiting)} finished, run the same command again to go on")
            return 130
    if manifest is not None and len(jobs) > 1:
        say(f"{manifest.path} tells how good the takes are")
    if failed is None:
        return 0
    if len(waiting) == 1:
        return failed.exit_code
    say(f"{counts['failed']} of {len(waiting)} inputs failed")
    return 1


@dataclass(frozen=True, slots=True)
class _Batch:
    config: TrackerConfig
    options: TakeOptions
    albedo: Path | None
    processes: int

    def outcomes(self, jobs: list[Job], progress: BatchProgress) -> Iterator[tuple[Job, Outcome]]:
        if self.processes > 1:
            from tracker.batch.workers import Workers

            with Workers(self.processes, self.config, self.options) as workers:
                yield from workers.run(jobs, progress)
            return
        from tracker.batch.clip import track_clip
        from tracker.batch.workers import track_one
        from tracker.tracking import FrameTracker

        tracker = FrameTracker(self.config)
        for job in jobs:
            watch = progress.of(job)
            if self.albedo is not None:
                skins = albedo.Skins()
                outcome = track_clip(job, tracker, self.options, watch, skins.add)
                if outcome.status == "complete":
                    watch.say(skins.write(self.albedo, tracker))
            elif len(jobs) == 1:
                outcome = track_clip(job, tracker, self.options, watch)
            else:
                outcome = track_one(job, tracker, self.options, watch)
            yield job, outcome


def _waiting(jobs: list[Job], made: Recipe) -> list[Job]:
    """The jobs whose take is not there, or was made in another way; says so in a line each."""
    from tracker.batch.plan import look, this_tool

    found = [look(job, made) for job in jobs]
    waiting = [job for job, each in zip(jobs, found, strict=True) if each.state != "done"]
    changed = [each for each in found if each.state == "changed"]
    if len(waiting) < len(jobs):
        say(f"{len(jobs) - len(waiting)} of {len(jobs)} already done (use --force to process them again)")
    if changed:
        takes = "take was" if len(changed) == 1 else "takes were"
        say(f"{len(changed)} {takes} made with other settings ({changed[0].difference}): processing again")
    others = Counter(each.tool for each in found if each.state == "done" and each.tool != this_tool())
    for tool, number in others.items():
        say(f"{number} of those done were made by {tool}, this is {this_tool()} (--force makes all of them alike)")
    return waiting


def _open_manifest(args: argparse.Namespace, jobs: list[Job], waiting: list[Job], made: Recipe) -> Manifest | None:
    """The manifest with a line about every take that is done already; None when none is wanted."""
    from tracker.batch.manifest import NAME, Manifest
    from tracker.batch.plan import fingerprint

    path: Path | None = args.manifest
    if path is None and all(job.output != args.output for job in jobs):
        path = args.output / NAME
    if path is None:
        return None
    manifest = Manifest(path, (job.output for job in waiting), fingerprint(made))
    again = {job.output for job in waiting}
    missing = [job for job in jobs if job.output not in again and not manifest.knows(job.output)]
    if missing:
        from tracker.batch.clip import reviewed

        for job in missing:
            manifest.add(job, reviewed(job))
    return manifest


def _model_sha256(config: TrackerConfig) -> str:
    from tracker.face_model import load_face_model

    return load_face_model(config.flame or config.face_model).sha256


def _check(args: argparse.Namespace, config: TrackerConfig, jobs: int) -> None:
    albedo.check(args.albedo)
    if not 1 <= args.jobs <= 64:
        raise ConfigError(f"--jobs must be 1..64, got {args.jobs}")
    for option, given in (("--two-pass", args.two_pass), ("--albedo", args.albedo)):
        if given and config.max_faces != 1:
            raise ConfigError(f"{option} is for one face: leave out --max-faces {config.max_faces}")
    if args.two_pass and config.identity is not None:
        raise ConfigError("--two-pass gets to know the person by itself: leave out it or --identity")
    if args.albedo and jobs != 1:
        raise ConfigError(f"--albedo {args.albedo} is for one input, got {jobs}")
