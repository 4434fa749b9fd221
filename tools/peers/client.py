"""Drive a subject that runs in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

REPOSITORY = Path(__file__).resolve().parents[2]


class SubjectError(RuntimeError):
    """The process of a subject ended or did not start; the text ends with what it said last."""


@dataclass(frozen=True, slots=True)
class Timing:
    """What a run over some frames took."""

    cpu_ms: NDArray[np.float64]
    """(N,) CPU time of all threads per frame."""
    wall_ms: NDArray[np.float64]
    found: NDArray[np.bool_]
    """(N,) whether a face was reported."""


class SubjectProcess:
    """A subject by name under a Python interpreter, optionally pinned to one core."""

    def __init__(
        self,
        name: str,
        python: Path | str,
        *,
        core: int | None = None,
        environ: dict[str, str] | None = None,
        prefix: tuple[str, ...] = (),
    ) -> None:
        """Start it and wait until it has loaded its models. ``prefix`` goes before the command. Raises SubjectError."""
        self.name = name
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        command = [*prefix, str(python), "-m", "tools.peers.serve", name, *([] if core is None else [str(core)])]
        environment = {
            **os.environ,
            "PYTHONPATH": str(REPOSITORY),
            "GLOG_minloglevel": "2",
            "TF_CPP_MIN_LOG_LEVEL": "3",
        }
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, text=True, cwd=REPOSITORY,
            env={**environment, **(environ or {})},
        )  # fmt: skip
        self._receive()

    def load(self, frames: Path, fps: float) -> int:
        """Start a new stream of the frames (N, H, W, 3) in an ``.npy`` file."""
        return int(self._ask({"load": str(frames), "fps": fps})["frames"])

    def run(self, first: int, last: int) -> Timing:
        """Process the frames ``first`` .. ``last`` - 1, continuing the stream."""
        answer = self._ask({"run": [first, last]})
        return Timing(np.array(answer["cpu_ms"]), np.array(answer["wall_ms"]), np.array(answer["found"], bool))

    def see(self, first: int, last: int) -> dict[str, NDArray[np.float32]]:
        """The same, returning what was seen: ``landmarks`` (N, L, 3), ``scores``, ``rotation``, ``translation``; NaN: no face."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "seen.npz"
            self._ask({"run": [first, last], "save": str(path)})
            with np.load(path) as saved:
                return {name: saved[name] for name in saved.files}

    def rss_mb(self) -> float:
        """Peak resident memory so far."""
        return float(self._ask({"rss": True})["rss_mb"])

    def close(self) -> None:
        """End the process."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(timeout=5.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._errors.close()

    def __enter__(self) -> SubjectProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _ask(self, command: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(command) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # it has ended; _receive says why
        return self._receive()

    def _receive(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._process.wait()
            self._errors.seek(0)
            said = self._errors.read().decode(errors="replace").strip().splitlines()
            last = said[-1] if said else "no output"
            raise SubjectError(f"{self.name} ended with exit code {self._process.returncode}: {last}")
        answer: dict[str, Any] = json.loads(line)
        return answer
