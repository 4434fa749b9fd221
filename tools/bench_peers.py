"""Speed beside the peers: the same decoded frames, one core, in turn.

Each tracker runs in a process of its own, pinned to one core, with everything on (ours: detection, 478 points, 52 scores, fit,
smoothing, wire bytes; FaceLandmarker: landmarks, blendshapes, matrix; FaceMesh: refined landmarks). Rounds are interleaved, so
that whatever else the machine does hits all of them; decoding is not counted. A ratio is the median over rounds and clips
of our CPU time per frame over the peer's in the same round.

    python tools/bench_peers.py                      sample clips, and those of ../shared where they are
    python tools/bench_peers.py --clips a.mp4 b.mp4 --rounds 5 --json peers.json
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from rich.console import Console
from rich.table import Table

from tools.evaluation.clips import default_bench_clips, load_frames
from tools.peers.client import SubjectError, SubjectProcess, Timing
from tools.peers.environment import PeersError
from tools.peers.start import AVX2_ONLY, last_core, start
from tracker.errors import TrackerError

OWN = "tracker"
OWN_AVX2 = "tracker_avx2"
PEERS = ("face_landmarker", "facemesh")
WARM_UP = 10


@dataclass(slots=True)
class Tally:
    """What one subject took over all clips and rounds."""

    cpu_ms: list[float] = field(default_factory=list)
    """Median per clip and round."""
    cpu_p95_ms: list[float] = field(default_factory=list)
    wall_ms: list[float] = field(default_factory=list)
    frames: int = 0
    found: int = 0

    def add(self, timing: Timing) -> None:
        self.cpu_ms.append(float(np.median(timing.cpu_ms)))
        self.cpu_p95_ms.append(float(np.percentile(timing.cpu_ms, 95)))
        self.wall_ms.append(float(np.median(timing.wall_ms)))
        self.frames += len(timing.found)
        self.found += int(timing.found.sum())

    def figures(self) -> dict[str, float]:
        return {
            "cpu_ms": round(float(np.median(self.cpu_ms)), 3),
            "cpu_p95_ms": round(float(np.median(self.cpu_p95_ms)), 3),
            "wall_ms": round(float(np.median(self.wall_ms)), 3),
            "found_share": round(self.found / max(self.frames, 1), 4),
        }


def measure(
    subjects: dict[str, SubjectProcess], clips: Sequence[Path], seconds: float, rounds: int
) -> dict[str, Tally]:
    """Run every subject over every clip, in turn, ``rounds`` times."""
    tallies = {name: Tally() for name in subjects}
    with tempfile.TemporaryDirectory(prefix="bench-peers-") as folder:
        for clip in clips:
            frames, fps = load_frames(clip, seconds)
            path = Path(folder) / "frames.npy"
            np.save(path, frames)
            for subject in subjects.values():
                count = subject.load(path, fps)
                subject.run(0, min(WARM_UP, count))
            for _ in range(rounds):
                for name, subject in subjects.items():
                    tallies[name].add(subject.run(0, count))
    return tallies


def ratio(ours: Tally, theirs: Tally) -> float:
    """Median over clips and rounds of our CPU time over theirs in the same round."""
    return round(float(np.median(np.array(ours.cpu_ms) / np.array(theirs.cpu_ms))), 3)


def report(tallies: dict[str, Tally], rss_mb: dict[str, float]) -> dict[str, Any]:
    """All figures under plain names."""
    result: dict[str, Any] = {
        name: {**tally.figures(), "rss_mb": round(rss_mb[name], 1)} for name, tally in tallies.items()
    }
    for peer in PEERS:
        if peer in tallies:
            result[f"ratio_to_{peer}"] = ratio(tallies[OWN], tallies[peer])
            if OWN_AVX2 in tallies:
                result[f"ratio_to_{peer}_own_avx2"] = ratio(tallies[OWN_AVX2], tallies[peer])
    return result


def show(result: dict[str, Any], clips: Sequence[Path]) -> None:
    names = ", ".join(clip.name for clip in clips)
    table = Table(title="ms per frame on one core", caption=f"medians over {names}; ratio: our CPU time / theirs")
    table.add_column("tracker", no_wrap=True)
    for column in ("CPU", "p95", "wall", "ratio", "ratio (AVX2)", "face", "peak MB"):
        table.add_column(column, justify="right")
    for name in (OWN, OWN_AVX2, *PEERS):
        if name not in result:
            continue
        row = result[name]
        ratios = [result.get(f"ratio_to_{name}{suffix}") for suffix in ("", "_own_avx2")]
        table.add_row(
            name, f"{row['cpu_ms']:.2f}", f"{row['cpu_p95_ms']:.2f}", f"{row['wall_ms']:.2f}",
            *("" if value is None else f"{value:.2f}" for value in ratios),
            f"{row['found_share']:.0%}", f"{row['rss_mb']:.0f}",
        )  # fmt: skip
    Console().print(table)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", nargs="+", type=Path, help="videos to run on")
    parser.add_argument("--seconds", type=float, default=3.0, help="how much of each clip (default 3)")
    parser.add_argument("--rounds", type=int, default=5, help="interleaved rounds per clip (default 5)")
    parser.add_argument("--peers", nargs="*", choices=PEERS, default=PEERS, help="peers to compare with")
    parser.add_argument("--no-avx2", action="store_true", help="leave out our figure without AMX and AVX-512")
    parser.add_argument("--quick", action="store_true", help="one clip, two rounds")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures")
    args = parser.parse_args(argv)
    try:
        clips = args.clips or default_bench_clips()
        rounds = 2 if args.quick else max(1, args.rounds)
        clips = clips[:1] if args.quick else clips
        core = last_core()
        with ExitStack() as stack:
            subjects = {OWN: stack.enter_context(start(OWN, core=core))}
            for peer in args.peers:
                subjects[peer] = stack.enter_context(start(peer, core=core))
            if not args.no_avx2:
                subjects[OWN_AVX2] = stack.enter_context(start(OWN, core=core, environ=AVX2_ONLY))
            tallies = measure(subjects, clips, args.seconds, rounds)
            result = report(tallies, {name: subject.rss_mb() for name, subject in subjects.items()})
    except (TrackerError, PeersError, SubjectError) as error:
        sys.stderr.write(f"bench_peers: {error}\n")
        return 1
    result["clips"] = [clip.name for clip in clips]
    result["rounds"] = rounds
    show(result, clips)
    if args.json:
        args.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
