"""``tracker bench``: how fast this machine tracks."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tracker.config import add_tracking_arguments, tracking_config
from tracker.errors import ConfigError

if TYPE_CHECKING:
    from tracker.benchmark import FreshProcess
    from tracker.session import SessionStatus

HELP = "measure speed and latency on this machine"

_SAMPLE = "single_face.mp4"
_LIVE_SHARE = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--source", metavar="FILE",
        help=f"video to track; it is repeated as needed (default: the sample {_SAMPLE} if fetched, else the synthetic face)",
    )  # fmt: skip
    parser.add_argument(
        "--frames", type=int, default=300, metavar="N",
        help="frames to track at full speed; a third as many are tracked at 30 frames/s (default 300)",
    )  # fmt: skip
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures")
    add_tracking_arguments(parser)
    parser.epilog = """figures:
  fps               frames per second at full speed: decoding, tracking and publishing together
  latency_p95_ms    capture to publish with frames coming in at 30 per second
  stages            p50 and p95 of every stage in milliseconds, at 30 frames per second
  fit_warm_ms       the fit of a frame whose person is known, one thread
  detect_frame_ms   the frame in which an unknown face is found (detection and landmarks), at the slowest resolution
  first_result_s    from the start of `tracker run` to the first published frame, and rss_mb, its peak memory

examples:
  tracker bench
  tracker bench --source clip.mp4 --frames 1000 --json bench.json

Other programs that run at the same time show in the figures. tools/bench_peers.py compares with other trackers."""


def run(args: argparse.Namespace) -> int:
    """Measure, print, write."""
    if args.frames < 10:
        raise ConfigError(f"--frames must be at least 10, got {args.frames}")
    if args.json is not None and not args.json.absolute().parent.is_dir():
        raise ConfigError(f"--json: there is no folder {args.json.absolute().parent}")
    figures = _measure(args)
    _show(figures)
    if args.json is not None:
        try:
            args.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
        except OSError as error:
            raise ConfigError(f"--json: cannot write {args.json}: {error.strerror}") from error
    return 0


def _measure(args: argparse.Namespace) -> dict[str, Any]:
    from tracker import benchmark
    from tracker.tracking import FrameTracker

    config = tracking_config(args)
    spec = args.source or _default_source(args.frames)
    with benchmark.RepeatedSource(spec, 1) as source:
        frame = source.read()
    if frame is None:
        raise ConfigError(f"{spec} has no frames")
    fresh = benchmark.start_fresh(spec) if sys.platform != "win32" else None
    tracker = FrameTracker(config)
    fps, _ = benchmark.run_unpaced(spec, args.frames, tracker)
    live = benchmark.run_paced(spec, max(10, args.frames // _LIVE_SHARE), tracker)
    fit = benchmark.time_fit(spec, args.frames, tracker)
    detection = benchmark.time_detection(frame.image, config)
    return _figures(spec, (frame.width, frame.height), fps, live, fit, detection, fresh)


def _default_source(frames: int) -> str:
    from tracker.samples import is_fetched, samples_dir

    return str(samples_dir() / _SAMPLE) if is_fetched(_SAMPLE) else f"test:{frames}"


def _figures(
    spec: str,
    size: tuple[int, int],
    fps: float,
    live: SessionStatus,
    fit: dict[str, float],
    detection: dict[str, dict[str, float]],
    fresh: FreshProcess | None,
) -> dict[str, Any]:
    searches = [times["p50"] for name, times in detection.items() if name != "nobody"]
    return {
        "source": Path(spec).name,
        "size": list(size),
        "fps": round(fps, 1),
        "latency_p50_ms": live.latency_p50_ms,
        "latency_p95_ms": live.latency_p95_ms,
        "stages": live.stages,
        "fit_warm_ms": fit["p50"],
        "fit_warm_p95_ms": fit["p95"],
        "detect_frame_ms": max(searches),
        "detect_frame": detection,
        "first_result_s": None if fresh is None else fresh.first_result_s,
        "rss_mb": None if fresh is None else fresh.rss_mb,
    }


def _show(figures: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    width, height = figures["size"]
    table = Table(title=f"{figures['source']}, {width}x{height}, one face", show_header=False)
    table.add_column("figure")
    table.add_column("value", justify="right")
    rows = (
        ("at full speed", f"{figures['fps']:.0f} frames/s"),
        (
            "capture to publish at 30 frames/s",
            f"{figures['latency_p50_ms']:.1f} ms, p95 {figures['latency_p95_ms']:.1f} ms",
        ),
        ("fit of a known person", f"{figures['fit_warm_ms']:.2f} ms, p95 {figures['fit_warm_p95_ms']:.2f} ms"),
        ("frame that finds a face, slowest size", f"{figures['detect_frame_ms']:.1f} ms"),
        ("start to first result", _or_dash(figures["first_result_s"], "s")),
        ("peak memory", _or_dash(figures["rss_mb"], "MB")),
    )
    for name, value in rows:
        table.add_row(name, value)
    console.print(table)
    stages = Table(title="stages, ms")
    for column in ("stage", "p50", "p95"):
        stages.add_column(column, justify="left" if column == "stage" else "right")
    for name, times in [
        *figures["stages"].items(),
        *((f"find a face, {k}", v) for k, v in figures["detect_frame"].items()),
    ]:
        stages.add_row(name, f"{times['p50']:.2f}", f"{times['p95']:.2f}")
    console.print(stages)


def _or_dash(value: float | None, unit: str) -> str:
    return "-" if value is None else f"{value:.2f} {unit}" if unit == "s" else f"{value:.0f} {unit}"
