"""What a view costs the tracker: the same clip at 30 frames/s with and without one, interleaved.

    python tools/bench_view.py [--source clip.mp4] [--frames 90] [--rounds 5] [--web]

Prints medians over the rounds: latency from capture to result, CPU time of the tracker's process per frame (all of its threads),
frames shown. ``--web`` views on a page (nobody looks at it), otherwise into a file.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tracker.benchmark import LIVE_FPS, RepeatedSource
from tracker.config import TrackerConfig
from tracker.publishing.config import PublishConfig
from tracker.publishing.describe import describe_model
from tracker.publishing.publisher import Publisher
from tracker.samples import sample
from tracker.session import LiveSession
from tracker.sources.paced import PacedSource
from tracker.tracking import FrameTracker
from tracker.view.display import ViewOptions
from tracker.view.feed import ViewFeed
from tracker.view.layout import Contents


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", default=None)
    parser.add_argument("--frames", type=int, default=90)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--web", action="store_true")
    args = parser.parse_args()
    source = args.source or str(sample("single_face.mp4"))
    tracker = FrameTracker(TrackerConfig())
    rows: dict[str, list[tuple[float, ...]]] = {"without": [], "with a view": []}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "view.rrd"
        _play(source, args.frames, tracker, None)
        for _ in range(args.rounds):
            rows["without"].append(_play(source, args.frames, tracker, None))
            options = ViewOptions("page") if args.web else ViewOptions(None, file, overwrite=True)
            with ViewFeed(options, "builtin", Contents(True, True, False, True)) as feed:
                feed.open()
                rows["with a view"].append(_play(source, args.frames, tracker, feed))
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(f"{'':14}latency p50   p95 ms   CPU ms/frame   shown")
    for name, values in rows.items():
        p50, p95, cpu, shown = np.median(values, axis=0)
        print(f"{name:14}{p50:11.1f} {p95:8.1f} {cpu:14.1f} {shown:7.0f}")
    print(
        f"the view's own processes: {(children.ru_utime + children.ru_stime) / args.rounds:.1f} s of CPU a round, start included"
    )
    return 0


def _play(source: str, frames: int, tracker: FrameTracker, feed: ViewFeed | None) -> tuple[float, float, float, float]:
    tracker.reset()
    repeated = RepeatedSource(source, frames)
    paced = PacedSource(repeated, LIVE_FPS / float(repeated.rate or LIVE_FPS))
    quiet = PublishConfig(bind="tcp://127.0.0.1:0", latest=None, control=None)
    before = feed.shown if feed else 0
    with paced, Publisher(quiet, describe_model(tracker.model)) as publisher:
        if feed is None:
            session = LiveSession(paced, tracker, publisher)
        else:
            session = LiveSession(paced, tracker, publisher, forward=feed, on_frame=feed.remember)
        started = time.process_time()
        status = session.run(
            on_status=(lambda status: feed.status(status.to_message())) if feed else lambda status: None
        )
        cpu_ms = (time.process_time() - started) * 1e3 / frames
    return status.latency_p50_ms, status.latency_p95_ms, cpu_ms, float((feed.shown if feed else 0) - before)


if __name__ == "__main__":
    sys.exit(main())
