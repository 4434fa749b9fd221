"""The environments that the peers run in: apart from ours, because they bring hundreds of megabytes and versions of their own.

- ``peers``: MediaPipe 1.2.2, the current FaceLandmarker. From 1.0 on MediaPipe sends usage metrics and offers no switch for
  it, so it is only ever started without a network (``isolation``).
- ``facemesh``: MediaPipe 0.10.21, the newest with FaceMesh and without metrics. Wheels for Python up to 3.12. Its
  FaceLandmarker stands in where no process can be started without a network; it is about 10 % slower than 1.2.2.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Final, Literal

REPOSITORY: Final = Path(__file__).resolve().parents[2]
Environment = Literal["peers", "facemesh"]
_FILES: Final = {"peers": ("peers.txt", ".venv-peers"), "facemesh": ("peers-facemesh.txt", ".venv-peers-facemesh")}
_PYTHONS: Final = ("python3.11", "python3.12")


class PeersError(RuntimeError):
    """The peers cannot be installed here; one line says why and what would help."""


@cache
def isolation() -> tuple[str, ...]:
    """Command prefix that starts a process without a network; empty where the system cannot (no unprivileged namespaces)."""
    prefix = ("unshare", "--map-root-user", "--net")
    try:
        works = subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode == 0
    except OSError:
        works = False
    return prefix if works else ()


def peers_python(name: Environment) -> Path:
    """The interpreter of an environment, which is made when it is missing or its pins have changed.

    Raises:
        PeersError: no fitting Python, or the packages cannot be had.
    """
    file, folder = _FILES[name]
    environment, requirements = REPOSITORY / folder, REPOSITORY / "requirements" / file
    python = environment / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    stamp = environment / "requirements.txt"
    wanted = requirements.read_bytes()
    if stamp.is_file() and stamp.read_bytes() == wanted and python.exists():
        return python
    shutil.rmtree(environment, ignore_errors=True)
    base = _base_python()
    print(f"installing {requirements.name} into {folder}, once (0.5 to 0.9 GB on disk)", file=sys.stderr, flush=True)
    _call([base, "-m", "venv", "--without-pip", str(environment)], "make a virtual environment")
    _call(
        [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--disable-pip-version-check",
         "--require-hashes", "--requirement", str(requirements)],
        f"install {requirements.name}",
    )  # fmt: skip
    stamp.write_bytes(wanted)
    return python


def _base_python() -> str:
    if sys.version_info[:2] in ((3, 11), (3, 12)):
        return sys.executable
    for name in _PYTHONS:
        if shutil.which(name):
            return name
    raise PeersError("the peers need Python 3.11 or 3.12, and none is on the PATH")


def _call(command: list[str], purpose: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        raise PeersError(f"cannot {purpose}: {lines[-1] if lines else f'exit code {done.returncode}'}")
