"""A subject as a process: commands as JSON lines on stdin, answers as JSON lines on stdout.

    {"load": "frames.npy", "fps": 30}    -> {"frames": N}                                start a new stream of these frames
    {"run": [first, last]}               -> {"cpu_ms": [...], "wall_ms": [...], "found": [...]}
    {"run": [first, last], "save": "x.npz"}   the same, and what was seen: landmarks, scores, rotation, translation (NaN: no face)
    {"rss": true}                        -> {"rss_mb": X}

CPU time is that of the whole process, all threads. Run by ``client`` as ``python -m tools.peers.serve NAME [CORE]``.
"""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import dataclass
from typing import Any

if len(sys.argv) > 2 and hasattr(os, "sched_setaffinity"):
    # Before anything counts the cores to size its thread pools.
    os.sched_setaffinity(0, {int(sys.argv[2])})

import numpy as np
from numpy.typing import NDArray

from tools.peers.subject import Seen, Subject, create

_SCORES = 52


@dataclass(frozen=True, slots=True)
class _Frames:
    """An ``.npy`` file of frames, read one at a time: a mapped file would count as the subject's memory."""

    path: str
    offset: int
    shape: tuple[int, ...]

    @classmethod
    def empty(cls) -> _Frames:
        return cls("", 0, (0, 0, 0, 3))

    @classmethod
    def of(cls, path: str) -> _Frames:
        mapped = np.load(path, mmap_mode="r")
        return cls(path, mapped.offset, mapped.shape)

    @property
    def count(self) -> int:
        return self.shape[0]

    def read(self, index: int) -> NDArray[np.uint8]:
        size = int(np.prod(self.shape[1:]))
        return np.fromfile(self.path, np.uint8, size, offset=self.offset + index * size).reshape(self.shape[1:])


class Server:
    """Runs one subject over mapped frames."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self._frames = _Frames.empty()
        self._fps = 30.0
        self._count = 0

    def answer(self, command: dict[str, Any]) -> dict[str, Any]:
        """Carry out one command."""
        if "load" in command:
            self._frames = _Frames.of(command["load"])
            self._fps = float(command.get("fps", 30.0))
            self._count = 0
            self._subject.reset()
            return {"frames": self._frames.count}
        if "rss" in command:
            return {"rss_mb": _peak_rss_mb()}
        first, last = command["run"]
        return self._run(first, last, command.get("save"))

    def _run(self, first: int, last: int, save: str | None) -> dict[str, Any]:
        cpu_ms, wall_ms, found, kept = [], [], [], []
        for index in range(first, last):
            image = self._frames.read(index)
            t_ms = round(self._count * 1000.0 / self._fps)
            self._count += 1
            cpu, wall = time.process_time_ns(), time.perf_counter_ns()
            result = self._subject.process(image, t_ms)
            wall_ms.append((time.perf_counter_ns() - wall) * 1e-6)
            cpu_ms.append((time.process_time_ns() - cpu) * 1e-6)
            found.append(result is not None)
            if save is not None:
                kept.append(None if result is None else self._subject.seen(result))
        if save is not None:
            _save(save, kept)
        return {"cpu_ms": cpu_ms, "wall_ms": wall_ms, "found": found}


def _save(path: str, kept: list[Seen | None]) -> None:
    shapes = {"landmarks": (0, 3), "scores": (_SCORES,), "rotation": (3, 3), "translation": (3,)}
    arrays = {}
    for name, shape in shapes.items():
        values = [None if seen is None else getattr(seen, name) for seen in kept]
        example = next((value for value in values if value is not None), np.zeros(shape, np.float32))
        nothing = np.full(example.shape, np.nan, np.float32)
        arrays[name] = np.array([nothing if value is None else value for value in values], np.float32)
    np.savez(path, **arrays)


def _peak_rss_mb() -> float:
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1024.0 if sys.platform != "darwin" else peak / 1024.0**2


def main() -> None:
    # Libraries write to stdout too; keep it for the answers.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    server = Server(create(sys.argv[1]))
    answers.write('{"ready": true}\n')
    for line in sys.stdin:
        answers.write(json.dumps(server.answer(json.loads(line))) + "\n")


if __name__ == "__main__":
    main()
