"""``tracker convert``: takes in other formats."""

from __future__ import annotations

import argparse
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tracker.cli.signals import ending_like_ctrl_c
from tracker.cli.terminal import progress_bars, say
from tracker.errors import ConfigError, RecordingError, TrackerError

if TYPE_CHECKING:
    from rich.progress import Progress

    from tracker.exporting import Format, Range
    from tracker.recording import Take

HELP = "turn takes into other formats: Live Link CSV, glTF, USD, BVH, FBX, Parquet, MCAP, and back"

_STANDARD_RATES = {"23.976": Fraction(24000, 1001), "29.97": Fraction(30000, 1001), "59.94": Fraction(60000, 1001)}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "takes", nargs="+", type=Path, metavar="TAKE",
        help="takes of any format, or a .part that a recording which was cut off has left; without -o and --to the last is OUT",
    )  # fmt: skip
    parser.add_argument("-o", "--output", type=Path, metavar="OUT", help="a file for one take, or a folder (with --to)")
    parser.add_argument(
        "--to", metavar="FORMAT",
        help="npz, jsonl, csv, parquet, mcap; livelink, glb, gltf, usd, usda, usdc, bvh, fbx (default: what OUT ends in)",
    )  # fmt: skip
    part = parser.add_argument_group("which part")
    part.add_argument("--start", type=float, default=0.0, metavar="S", help="begin this many seconds into the take")
    part.add_argument("--end", type=float, metavar="S", help="stop before this second of the take")
    part.add_argument("--face", type=int, metavar="ID", help="only the face with this id (default: everybody)")
    part.add_argument(
        "--fps", type=_rate, metavar="N",
        help="resample to N frames a second: 24, 29.97, 30000/1001 … (animation formats; default: the take's own frames)",
    )  # fmt: skip
    parser.add_argument(
        "--sound", type=Path, metavar="VIDEO",
        help="also write OUT's name with .wav: the sound of this file, from the first exported frame to the last",
    )  # fmt: skip
    parser.add_argument(
        "--face-model",
        metavar="NAME|PATH",
        help="the model the take was made with (default: the one that the take names)",
    )
    parser.add_argument("--force", action="store_true", help="replace files that exist")
    parser.add_argument("--quiet", action="store_true", help="no progress bar, no report")
    parser.epilog = """examples:
  tracker convert take.npz take.glb                   mesh, blend shapes and head pose for Blender, Unreal, three.js
  tracker convert take.npz take.livelink.csv          Live Link Face's CSV for Unreal, Maya and Blender importers
  tracker convert take.npz take.usda --fps 24         USD at 24 frames a second
  tracker convert takes/*.npz --to bvh -o bvh/        several at once
  tracker convert take.npz talk.glb --sound clip.mp4  and talk.wav, in sync with it
  tracker convert take.npz short.npz --start 2 --end 5.5
  tracker convert take.npz.part                       finish what a crash has cut off: take.npz

npz and parquet keep everything, mcap and jsonl all but digits beyond the eighth, csv what fits a table; the others are not
takes and cannot be converted back (docs/takes.md says what each keeps). BVH and Live Link CSV hold one person: the one who
is there most, or --face ID. Where nobody is seen, values are held. Ctrl-C leaves nothing half.
"""


@dataclass(frozen=True, slots=True)
class _Job:
    take: Path
    output: Path
    format: Format


def run(args: argparse.Namespace) -> int:
    """Convert every take; 0 when all went well, 1 when some failed, 130 after Ctrl-C."""
    from tracker.exporting import Range

    wanted = Range(args.start, args.end, args.face)
    _check_range(wanted)
    jobs = _plan(args)
    failed = 0
    with ExitStack() as stack:
        stack.enter_context(ending_like_ctrl_c())
        progress = None if args.quiet else stack.enter_context(progress_bars(transient=True))
        for number, job in enumerate(jobs, 1):
            try:
                _convert(job, args, wanted, progress)
            except KeyboardInterrupt:
                say(f"interrupted; {number - 1} of {len(jobs)} converted, {job.output} is as it was before")
                return 130
            except TrackerError as error:
                if len(jobs) == 1:
                    raise
                failed += 1
                say(f"tracker convert: {error}")
    if failed:
        say(f"{failed} of {len(jobs)} takes failed")
    return 1 if failed else 0


def _convert(job: _Job, args: argparse.Namespace, wanted: Range, progress: Progress | None) -> None:
    from tracker.exporting.formats import check_format
    from tracker.recording import read_take

    if job.output.exists() and not args.force:
        raise RecordingError(f"{job.output} exists already; choose another name, or allow replacing it (--force)")
    if job.format.is_take and args.fps is not None:
        raise ConfigError(
            f"--fps is for animation formats; a .{job.format.name} take keeps the frames that were tracked"
        )
    check_format(job.format, job.output)
    task = progress.add_task(job.output.name, total=None) if progress else None
    take = read_take(job.take)
    if progress and task is not None:
        progress.update(task, total=len(take))
    notes: list[str] = []
    if job.format.is_take:
        count = _copy(
            take, job, args, wanted, lambda: progress.advance(task) if progress and task is not None else None
        )
    else:
        count, notes = _export(take, job, args, wanted)
    if job.take.name == f"{job.output.name}.part":
        notes.append(f"{job.take.name} is no longer needed")
    if args.sound is not None:
        notes.append(_write_sound(take, job, args, wanted))
    if progress and task is not None:
        progress.update(task, total=count, completed=count)
    if not args.quiet:
        unfinished = "" if take.complete else ", incomplete: its recording ended early"
        say(f"{job.output}: {count} frames{unfinished}" + "".join(f"; {note}" for note in notes))


def _copy(take: Take, job: _Job, args: argparse.Namespace, wanted: Range, advance: Any) -> int:
    """A take as a take; returns how many frames."""
    from dataclasses import replace

    from tracker.exporting.output import whole
    from tracker.exporting.performance import frame_times
    from tracker.recording import open_copy
    from tracker.recording.outputs import sidecar_path

    rows = range(len(take))
    if wanted.start_s or wanted.end_s is not None:
        rows = wanted.rows(frame_times(take))
    if wanted.face is not None:
        from tracker.exporting import read_performance

        read_performance(take, wanted)  # raises when nobody has that id
    beside = sidecar_path(job.output) if job.format.name == "csv" else None
    # Not by way of OUT.part: that may be what is read.
    with whole(job.output) as path, whole(beside) if beside else nullcontext() as beside_path:
        writer = open_copy(take, path, called=job.output)
        try:
            for row in rows:
                result = take.frame(row)
                if wanted.face is not None:
                    result = replace(result, faces=tuple(face for face in result.faces if face.id == wanted.face))
                writer.write(result)
                advance()
            writer.close(complete=take.complete and len(rows) == len(take))
        except BaseException:
            writer.abort()
            raise
        if beside_path is not None:
            sidecar_path(path).replace(beside_path)
    return writer.frame_count


def _export(take: Take, job: _Job, args: argparse.Namespace, wanted: Range) -> tuple[int, list[str]]:
    """A take as an animation; returns how many frames, and what people should know."""
    from tracker.exporting import read_performance
    from tracker.exporting.output import whole

    performance = read_performance(take, wanted, args.fps)
    write = job.format.write
    assert write is not None
    side = job.format.side_file
    side_path = job.output.with_name(job.output.name + ".json")
    with whole(job.output) as path, whole(side_path) if side else nullcontext() as beside:
        notes = write(performance, lambda: take.load_model(args.face_model), path)
        if side is not None and beside is not None:
            beside.write_bytes(side(performance))
    if len(performance.tracks) > 1 and job.format.name in ("livelink", "bvh"):
        ids = ", ".join(str(face) for track in performance.tracks for face in track.ids)
        notes.append(f"one of {len(performance.tracks)} people (--face chooses among {ids})")
    return len(performance), notes


def _write_sound(take: Take, job: _Job, args: argparse.Namespace, wanted: Range) -> str:
    from tracker.exporting import read_performance
    from tracker.exporting.output import whole
    from tracker.exporting.sound import write_sound

    if not args.sound.is_file():
        raise RecordingError(f"--sound {args.sound}: there is no such file; give the video that the take was made from")
    performance = read_performance(take, wanted, args.fps)
    target = job.output.with_name(_stem(job.output) + ".wav")
    if target.exists() and not args.force:
        raise RecordingError(f"{target} exists already; choose another name, or allow replacing it (--force)")
    with whole(target) as path:
        write_sound(args.sound, performance, path)
    return f"sound in {target.name}"


def _plan(args: argparse.Namespace) -> list[_Job]:
    """What to convert into which file. Raises ConfigError for combinations that make no sense."""
    from tracker.exporting import find_format

    takes, output = list(args.takes), args.output
    if output is None and args.to is None:
        if len(takes) == 1:
            return [_recovery(takes[0])]
        output = takes.pop()
    if output is not None and not output.is_dir() and output.suffix:
        if len(takes) != 1:
            raise ConfigError(f"{len(takes)} takes cannot go to one file {output}; name a folder with -o and give --to")
        jobs = [_Job(takes[0], output, find_format(args.to, output))]
    else:
        if args.to is None:
            raise ConfigError(f"{output} is a folder: say with --to which format the files in it shall have")
        entry = find_format(args.to)
        folder = output
        jobs = [_Job(take, (folder or take.parent) / (_stem(take) + entry.suffix), entry) for take in takes]
    names = [job.output for job in jobs]
    for job in jobs:
        if names.count(job.output) > 1:
            raise ConfigError(f"two takes would become {job.output}; convert them one by one")
        if job.output.exists() and job.take.exists() and job.output.samefile(job.take):
            raise ConfigError(f"{job.output} would replace its own input; choose another name or format")
    return jobs


def _recovery(take: Path) -> _Job:
    from tracker.exporting import find_format

    name, mark, _ = take.name.rpartition(".part")
    if not mark:
        raise ConfigError(f"say what {take} shall become: `tracker convert {take} OUT`, or --to FORMAT")
    output = take.with_name(name)
    return _Job(take, output, find_format(None, output))


def _stem(path: Path) -> str:
    """The name of a take without what says its format: ``a.npz.part`` -> ``a``, ``a.livelink.csv`` -> ``a``."""
    from tracker.exporting import FORMATS

    name = path.name.rpartition(".part")[0] or path.name
    suffixes = sorted((entry.suffix for entry in FORMATS), key=len, reverse=True)
    return next((name[: -len(suffix)] for suffix in suffixes if name.lower().endswith(suffix)), name)


def _check_range(wanted: Range) -> None:
    if wanted.start_s < 0.0 or (wanted.end_s is not None and wanted.end_s <= wanted.start_s):
        end = "the end" if wanted.end_s is None else f"{wanted.end_s:g}"
        raise ConfigError(f"expected 0 <= --start < --end, got --start {wanted.start_s:g} and --end {end}")


def _rate(text: str) -> Fraction:
    """A frame rate: a decimal, a fraction, or a broadcast rate by its usual name."""
    try:
        rate = _STANDARD_RATES.get(text) or Fraction(text)
    except (ValueError, ZeroDivisionError):
        rate = Fraction(0)
    if not 1 <= rate <= 1000:
        raise argparse.ArgumentTypeError(
            f"expected 1..1000 frames a second such as 24, 29.97 or 30000/1001, got '{text}'"
        )
    return rate
