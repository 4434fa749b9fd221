"""Measure the published stream on this machine: cost of publishing a frame, bytes per message, latency to a subscriber.

    python tools/bench_wire.py
    python tools/bench_wire.py --frames 600 --fps 60 --json wire.json

A subscriber in a process of its own receives and decodes over TCP loopback while this one publishes at an even pace.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import multiprocessing
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path
from types import SimpleNamespace

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
sys.path.insert(0, str(ROOT / "tools"))

import make_golden_wire as golden  # noqa: E402

from tracker.arkit import ARKIT_NAMES  # noqa: E402
from tracker.publishing import wire  # noqa: E402
from tracker.publishing.client import Subscriber  # noqa: E402
from tracker.publishing.config import PublishConfig  # noqa: E402
from tracker.publishing.publisher import Publisher  # noqa: E402
from tracker.publishing.schema import ModelDescription  # noqa: E402
from tracker.types import Face, Landmarks  # noqa: E402

MODEL = ModelDescription("bench-head", "00" * 32, 100, ARKIT_NAMES)


def make_face(face_id: int) -> Face:
    """A face of the size that the built-in model publishes."""
    params = dataclasses.replace(golden.make_params(0.25), expression=golden.ramp(52))
    landmarks = Landmarks("mediapipe478", golden.ramp(3 * 478).reshape(478, 3), golden.ramp(478, 0.5))
    return dataclasses.replace(
        golden.make_face(face_id), params=params, raw=params, landmarks=landmarks, identity=golden.ramp(100)
    )


def subscribe(endpoint: str, frames: int, pipe: Connection) -> None:
    """Child process: receive ``frames`` frames, send back (seq, receive time in ns) of each."""
    arrivals = []
    with Subscriber(endpoint) as subscriber:
        while len(arrivals) < frames:
            message = subscriber.receive(2.0)
            if message is None:
                break
            if message.topic == wire.TOPIC_SCHEMA and not arrivals:
                pipe.send("ready")
            elif message.topic == wire.TOPIC_FRAME:
                arrivals.append((message.payload["t_publish"], time.monotonic_ns(), message.size))
    pipe.send(arrivals)


def measure(args: argparse.Namespace, faces: int, *, extras: bool) -> dict[str, float]:
    """Figures for frames of ``faces`` faces."""
    config = PublishConfig(
        bind="127.0.0.1:0", latest="127.0.0.1:0", control=None, with_raw=extras, with_landmarks=extras
    )
    people = [make_face(index + 1) for index in range(faces)]
    ours, theirs = multiprocessing.Pipe()
    costs_ms, cpu_ms = [], []
    with Publisher(config, MODEL) as publisher:
        child = multiprocessing.Process(target=subscribe, args=(publisher.endpoint, args.frames, theirs), daemon=True)
        child.start()
        if not ours.poll(10) or ours.recv() != "ready":
            raise SystemExit("bench_wire: the subscriber did not start within 10 s")
        due_s = time.perf_counter()
        for index in range(args.frames):
            due_s += 1 / args.fps
            time.sleep(max(0.0, due_s - time.perf_counter()))
            result = golden.make_result(*people, index=index)
            started, cpu_started = time.perf_counter(), time.thread_time()
            publisher.publish(result)
            cpu_ms.append((time.thread_time() - cpu_started) * 1e3)
            costs_ms.append((time.perf_counter() - started) * 1e3)
        arrivals = np.array(ours.recv(), dtype=np.int64).reshape(-1, 3)
        child.join()
    latency_ms = (arrivals[:, 1] - arrivals[:, 0]) * 1e-6
    return {
        "publish_cpu_p50_ms": round(float(np.percentile(cpu_ms, 50)), 4),
        "publish_p50_ms": round(float(np.percentile(costs_ms, 50)), 4),
        "publish_p95_ms": round(float(np.percentile(costs_ms, 95)), 4),
        "latency_p50_ms": round(float(np.percentile(latency_ms, 50)), 4),
        "latency_p95_ms": round(float(np.percentile(latency_ms, 95)), 4),
        "bytes": int(np.median(arrivals[:, 2])),
        "received": len(arrivals),
    }


def main() -> int:
    """Measure, print, and write the JSON file if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=300, help="frames per case (default: %(default)s)")
    parser.add_argument("--fps", type=float, default=60.0, help="frames published per second (default: %(default)g)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures")
    args = parser.parse_args()
    cases = {
        "no_face": SimpleNamespace(faces=0, extras=False),
        "one_face": SimpleNamespace(faces=1, extras=False),
        "one_face_raw_landmarks": SimpleNamespace(faces=1, extras=True),
        "four_faces": SimpleNamespace(faces=4, extras=False),
    }
    figures = {}
    print(
        f"{'case':<24}{'publish CPU ms':>16}{'wall ms p50/p95':>22}{'latency ms p50/p95':>22}{'bytes':>8}{'received':>12}"
    )
    for name, case in cases.items():
        figures[name] = row = measure(args, case.faces, extras=case.extras)
        publish = f"{row['publish_p50_ms']:.3f} / {row['publish_p95_ms']:.3f}"
        latency = f"{row['latency_p50_ms']:.3f} / {row['latency_p95_ms']:.3f}"
        print(
            f"{name:<24}{row['publish_cpu_p50_ms']:>16.3f}{publish:>22}{latency:>22}{row['bytes']:>8}{row['received']:>8}/{args.frames}"
        )
    if args.json is not None:
        args.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
