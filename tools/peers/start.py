"""Start measured subjects, each in the environment it belongs to."""

from __future__ import annotations

import os
import sys

from tools.peers.client import SubjectProcess
from tools.peers.environment import isolation, peers_python
from tools.peers.subject import MODEL_VARIABLE, PRECISION_VARIABLE
from tracker.networks.assets import BUNDLE
from tracker.networks.store import locate

AVX2_ONLY = {"ONEDNN_MAX_CPU_ISA": "AVX2", PRECISION_VARIABLE: "f32"}
"""Environment under which our networks use nothing beyond AVX2. OpenVINO would still choose bf16, which oneDNN then refuses."""


def start(name: str, *, core: int | None = None, environ: dict[str, str] | None = None) -> SubjectProcess:
    """Start a subject of ``tools.peers.subject.SUBJECTS``.

    Raises:
        PeersError: its environment cannot be made.
        NetworkAssetError: the networks have not been fetched.
        SubjectError: it does not start.
    """
    if name == "tracker":
        return SubjectProcess(name, sys.executable, core=core, environ=environ)
    alone = isolation()
    python = peers_python("peers" if name == "face_landmarker" and alone else "facemesh")
    model = {MODEL_VARIABLE: str(locate(BUNDLE))}
    return SubjectProcess(name, python, core=core, environ={**model, **(environ or {})}, prefix=alone)


def last_core() -> int | None:
    """The highest core this process may use, where the system can pin processes: the first ones serve interrupts."""
    return max(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
