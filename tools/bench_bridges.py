"""What each bridge costs: a moving face at 120 frames a second through every protocol, in one process.

    python tools/bench_bridges.py                     # all that can be opened, a minute
    python tools/bench_bridges.py --seconds 10 --only livelink vmc
    python tools/bench_bridges.py --json out/bridges.json

Each bridge has a hub of its own, and all threads that appear with it are its own: their CPU times are read at the beginning and
the end. Datagrams go to sockets of this process that are read and thrown away, VTube Studio's API to a small server in
another process, LSL to the network without a receiver. Memory is the resident set of the process after a tenth of the time
and at the end; a bridge that grows would show there. Linux only: the CPU times of threads come from /proc.
"""

from __future__ import annotations

import argparse
import gc
import json
import math
import multiprocessing
import os
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tools.make_golden_wire import make_face, make_result  # noqa: E402
from tracker.bridges import BRIDGES, BridgeHub, BridgeSpec  # noqa: E402
from tracker.errors import TrackerError  # noqa: E402
from tracker.face_model import load_face_model  # noqa: E402
from tracker.rotations import matrix_from_rotvec, quaternion_from_matrix  # noqa: E402
from tracker.types import FrameResult  # noqa: E402

RATE_HZ = 120.0
_TICK_S = 1.0 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Figure:
    """What one bridge did."""

    name: str
    sent: int
    rate_hz: float
    cpu_percent: float
    """Of one core, in its own threads."""
    failed: int


def moving_face(t_s: float, index: int) -> FrameResult:
    """A face of the built-in model that turns, talks and looks about."""
    model = load_face_model()
    turn = matrix_from_rotvec(
        np.array([0.1 * math.sin(2.1 * t_s), 0.4 * math.sin(1.3 * t_s), 0.1 * math.sin(0.7 * t_s)])
    )
    weights = (0.5 + 0.5 * np.sin(np.arange(52) + 3.0 * t_s)).astype(np.float32)
    face = replace(
        make_face(),
        params=replace(model.neutral_params(), expression=weights),
        identity=np.zeros(model.identity_count, np.float32),
        position=np.array([0.05 * math.sin(t_s), 0.0, 0.5], np.float32),
        quaternion=quaternion_from_matrix(np.diag([1.0, -1.0, -1.0]) @ turn).astype(np.float32),
        arkit=weights,
        gaze_left=np.array([0.3 * math.sin(t_s), 0.1], np.float32),
        gaze_right=np.array([0.3 * math.sin(t_s), 0.1], np.float32),
    )
    now = {"t_capture_ns": time.monotonic_ns(), "t_unix_ns": time.time_ns(), "clock": "CLOCK_MONOTONIC", "rate": None}
    return replace(make_result(face, index=index), **now)


@contextmanager
def drained_port() -> Iterator[int]:
    """A UDP port whose datagrams are read and thrown away."""
    ending = threading.Event()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", 0))
        udp.settimeout(0.1)

        def drain() -> None:
            while not ending.is_set():
                try:
                    udp.recv(65536)
                except TimeoutError:
                    continue

        thread = threading.Thread(target=drain, name="drain")
        thread.start()
        try:
            yield udp.getsockname()[1]
        finally:
            ending.set()
            thread.join()


def serve_studio(ports: Connection) -> None:
    """A server that says yes to everything, as VTube Studio would; its port goes to ``ports``."""
    from websockets.exceptions import ConnectionClosed
    from websockets.sync.server import ServerConnection, serve

    answers: dict[str, dict[str, Any]] = {
        "AuthenticationToken": {"authenticationToken": "bench"},
        "Authentication": {"authenticated": True},
    }

    def handle(connection: ServerConnection) -> None:
        while True:
            try:
                text = connection.recv()
            except ConnectionClosed:
                return
            kind = json.loads(text)["messageType"].removesuffix("Request")
            answer = {"apiName": "VTubeStudioPublicAPI", "apiVersion": "1.0", "requestID": "face",
                      "messageType": f"{kind}Response", "data": answers.get(kind, {})}  # fmt: skip
            # Without spaces, as VTube Studio writes.
            with suppress(ConnectionClosed):
                connection.send(json.dumps(answer, separators=(",", ":")))

    with serve(handle, "127.0.0.1", 0) as server:
        ports.send(server.socket.getsockname()[1])
        server.serve_forever()


@contextmanager
def studio() -> Iterator[int]:
    """The port of ``serve_studio`` in a process of its own."""
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    process = spawn.Process(target=serve_studio, args=(theirs,), daemon=True)
    process.start()
    try:
        if not ours.poll(20.0):
            raise RuntimeError("the small server for vts did not start")
        yield int(ours.recv())
    finally:
        process.terminate()
        process.join()


def open_specs(names: list[str], stack: ExitStack) -> list[BridgeSpec]:
    """Where each bridge goes; those that cannot be opened here are named and left out."""
    specs = []
    for name in names:
        try:
            if name == "vts":
                specs.append(BridgeSpec.parse(f"vts=127.0.0.1:{stack.enter_context(studio())}?parameters=arkit"))
            elif BRIDGES[name].port == 0:
                specs.append(BridgeSpec.parse(name))
            else:
                specs.append(BridgeSpec.parse(f"{name}=127.0.0.1:{stack.enter_context(drained_port())}"))
            BridgeHub([specs[-1]]).close()
        except (TrackerError, ImportError) as error:
            print(f"left out: {name} ({error})", file=sys.stderr)
            specs = [spec for spec in specs if spec.entry.name != name]
    return specs


def task_ids() -> set[int]:
    """The threads of this process."""
    return {int(path.name) for path in Path("/proc/self/task").iterdir()}


def cpu_s(thread_id: int) -> float:
    """CPU time of a thread of this process so far, seconds."""
    fields = Path(f"/proc/self/task/{thread_id}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * _TICK_S


def resident_mb() -> float:
    """Resident memory of this process."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def measure(specs: list[BridgeSpec], seconds: float) -> tuple[list[Figure], float, float]:
    """Feed all bridges for ``seconds``; figures, and memory in MB near the beginning and at the end."""
    hubs, tasks = [], []
    with ExitStack() as stack:
        for spec in specs:
            before = task_ids()
            hub = stack.enter_context(BridgeHub([spec], lambda line: print(line, file=sys.stderr), load_face_model()))
            # Connections and their threads come with the first frames.
            feed([hub], 0.5)
            hubs.append(hub)
            tasks.append(task_ids() - before)
        began_s, before_s = time.monotonic(), [sum(map(cpu_s, ids)) for ids in tasks]
        before_sent = [hub.workers[0].sent for hub in hubs]
        feed(hubs, 0.1 * seconds)
        early_mb = resident_mb()
        feed(hubs, 0.9 * seconds)
        elapsed_s = time.monotonic() - began_s
        used_s = [sum(map(cpu_s, ids)) - start for ids, start in zip(tasks, before_s, strict=True)]
        sent = [hub.workers[0].sent - start for hub, start in zip(hubs, before_sent, strict=True)]
        failed = [hub.workers[0].failed for hub in hubs]
        late_mb = resident_mb()
    figures = [
        Figure(spec.entry.name, sent[n], sent[n] / elapsed_s, 100.0 * used_s[n] / elapsed_s, failed[n])
        for n, spec in enumerate(specs)
    ]
    return figures, early_mb, late_mb


def feed(hubs: list[BridgeHub], seconds: float) -> None:
    """Frames at ``RATE_HZ``, each at its own moment."""
    began_s = time.monotonic()
    for index in range(round(seconds * RATE_HZ)):
        time.sleep(max(0.0, began_s + index / RATE_HZ - time.monotonic()))
        frame = moving_face(time.monotonic(), index)
        for hub in hubs:
            hub(frame)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60.0, help="how long (default: %(default)g)")
    parser.add_argument(
        "--only", nargs="+", choices=list(BRIDGES), metavar="NAME", default=list(BRIDGES), help="some bridges"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures here")
    args = parser.parse_args()
    with ExitStack() as stack:
        # The token of the small server must not stand among the user's.
        os.environ["TRACKER_DATA"] = stack.enter_context(tempfile.TemporaryDirectory())
        figures, early_mb, late_mb = measure(open_specs(args.only, stack), args.seconds)
    print(f"{'bridge':14}{'frames':>8}{'per s':>8}{'CPU % of a core':>18}{'failed':>8}")
    for figure in figures:
        print(f"{figure.name:14}{figure.sent:8}{figure.rate_hz:8.1f}{figure.cpu_percent:18.1f}{figure.failed:8}")
    print(f"memory: {early_mb:.1f} MB after a tenth of the time, {late_mb:.1f} MB at the end")
    if args.json is not None:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        rows = [{name: getattr(figure, name) for name in Figure.__slots__} for figure in figures]
        args.json.write_text(json.dumps({"bridges": rows, "early_mb": early_mb, "late_mb": late_mb}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
