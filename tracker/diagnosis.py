"""What this machine can do for the tracker, what is missing, and the command that mends it."""

from __future__ import annotations

import importlib
import os
import platform
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Final, Literal

from tracker import samples
from tracker.cache import cache_dir
from tracker.errors import TrackerError
from tracker.networks import ASSETS, is_present, open_network

State = Literal["ok", "warning", "missing", "info"]

DISTRIBUTION: Final = "facestream-tracker"
_MODULES: Final = {"opencv-python-headless": "cv2", "pyzmq": "zmq"}
_RIVALS_OF_CV2: Final = ("opencv-python", "opencv-contrib-python", "opencv-contrib-python-headless")
_CPU_FLAGS: Final = {
    "avx2": "AVX2",
    "avx512f": "AVX-512",
    "avx512_vnni": "VNNI",
    "amx_bf16": "AMX bf16",
    "asimd": "NEON",
}
_LEAST_DISK_MB: Final = 200
_LANDMARK_NETWORK: Final = "face_landmarks_detector.tflite"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    subject: str
    state: State
    """``missing``: tracking does not work without it; ``warning``: something else will not."""
    detail: str
    fix: str = ""
    """The command or step that mends it; empty when nothing needs mending."""


def examine() -> Iterator[Finding]:
    """Look at everything, one finding at a time. A check that breaks becomes a finding of its own."""
    checks: tuple[Callable[[], Iterator[Finding]], ...] = (
        _python, _processor, _packages, _networks, _inference, _face_model, _samples, _cameras, _sockets, _storage, _gpu,
    )  # fmt: skip
    for check in checks:
        try:
            yield from check()
        except TrackerError as error:
            yield Finding(check.__name__.strip("_").replace("_", " "), "missing", str(error))
        except ImportError as error:
            fix = f"{sys.executable} -m pip install --force-reinstall {(error.name or DISTRIBUTION).partition('.')[0]}"
            yield Finding(check.__name__.strip("_").replace("_", " "), "missing", f"cannot be examined: {error}", fix)


def _python() -> Iterator[Finding]:
    system = f"{platform.system()} {platform.release()} {platform.machine()}"
    libc = " ".join(part for part in platform.libc_ver() if part)
    detail = f"{platform.python_version()} at {sys.executable}; {system}{', ' + libc if libc else ''}"
    yield Finding("Python", "ok", detail)


def _processor() -> Iterator[Finding]:
    name, flags = _cpu_name_and_flags()
    wanted = [title for flag, title in _CPU_FLAGS.items() if flag in flags]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    detail = f"{name}, {cores} logical cores, {', '.join(wanted) or 'vector instructions unknown'}"
    if platform.machine().lower() in ("x86_64", "amd64") and flags and "avx2" not in flags:
        yield Finding("processor", "warning", detail, "expect low frame rates without AVX2: try --encoder light")
    else:
        yield Finding("processor", "ok", detail)


def _cpu_name_and_flags() -> tuple[str, set[str]]:
    """What the system says about its first CPU; the flags are empty where it does not say."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return platform.processor() or platform.machine(), set()
    name = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    flags = re.search(r"^(?:flags|Features)\s*:\s*(.+)$", text, re.MULTILINE)
    return (name[1] if name else platform.machine()), set(flags[1].split() if flags else ())


def _packages() -> Iterator[Finding]:
    try:
        required = [line for line in metadata.requires(DISTRIBUTION) or [] if "extra ==" not in line]
    except metadata.PackageNotFoundError:
        yield Finding("installation", "warning", "running from a folder, not installed", "pip install -e .")
        return
    versions = [f"{DISTRIBUTION} {metadata.version(DISTRIBUTION)}"]
    for line in required:
        package = re.split(r"[^A-Za-z0-9._-]", line, maxsplit=1)[0]
        try:
            versions.append(f"{package} {metadata.version(package)}")
            importlib.import_module(_MODULES.get(package, package))
        except metadata.PackageNotFoundError:
            yield Finding(
                package, "missing", "not installed", f'{sys.executable} -m pip install "{line.split(";")[0].strip()}"'
            )
        except ImportError as error:
            fix = f"{sys.executable} -m pip install --force-reinstall {package}"
            yield Finding(package, "missing", f"installed but does not load: {error}", fix)
    yield Finding("packages", "ok", ", ".join(versions))
    rivals = [name for name in _RIVALS_OF_CV2 if _installed(name)]
    if rivals:
        yield Finding(
            "OpenCV",
            "warning",
            f"{' and '.join(rivals)} overwrites files of opencv-python-headless",
            f"{sys.executable} -m pip uninstall -y {' '.join(rivals)} && "
            f"{sys.executable} -m pip install --force-reinstall --no-deps opencv-python-headless",
        )


def _installed(package: str) -> bool:
    try:
        metadata.version(package)
    except metadata.PackageNotFoundError:
        return False
    return True


def _networks() -> Iterator[Finding]:
    bad = [asset.file for asset in ASSETS if not is_present(asset)]
    if bad:
        yield Finding("networks", "missing", f"missing or damaged: {', '.join(bad)}", "tracker models fetch")
    else:
        yield Finding("networks", "ok", f"{len(ASSETS)} in {cache_dir('networks')}, checksums right")


def _inference() -> Iterator[Finding]:
    """Run the network that every frame waits for: nothing short of that shows that this machine can."""
    if not (cache_dir("networks") / _LANDMARK_NETWORK).is_file():
        return
    engine = open_network(_LANDMARK_NETWORK)
    times_ms = []
    for _ in range(12):
        start = time.perf_counter()
        engine.run()
        times_ms.append((time.perf_counter() - start) * 1e3)
    detail = (
        f"landmark network on {engine.backend} in {engine.precision}: {sorted(times_ms)[len(times_ms) // 2]:.1f} ms"
    )
    yield Finding("inference", "ok", detail)


def _face_model() -> Iterator[Finding]:
    from tracker.face_model import load_face_model
    from tracker.face_model.store import builtin_path

    model = load_face_model()
    path = builtin_path()
    shipped = path.with_suffix(".sha256").read_text(encoding="ascii").split()[0]
    if shipped != model.sha256:
        detail = f"{path} has sha256 {model.sha256[:12]}…, shipped was {shipped[:12]}…"
        yield Finding(
            "face model", "missing", detail, "install the tracker again (from a checkout: git checkout, make demo)"
        )
        return
    yield Finding(
        "face model",
        "ok",
        f"{model.name} {model.version}, {len(model.template)} vertices, {model.identity_basis.shape[-1]} identity and "
        f"{len(model.expression_names)} expression components, sha256 {model.sha256[:12]}",
    )


def _samples() -> Iterator[Finding]:
    there = sum(samples.is_fetched(name) for name in samples.SAMPLES)
    if there == len(samples.SAMPLES):
        yield Finding("samples", "ok", f"{there} in {samples.samples_dir()}")
    else:
        detail = f"{there} of {len(samples.SAMPLES)} fetched (only the demo and the tests use them)"
        yield Finding("samples", "info", detail, "tracker samples fetch")


def _cameras() -> Iterator[Finding]:
    from tracker.sources.webcam import list_cameras, no_camera_text

    cameras = list_cameras()
    if cameras.found:
        names = ", ".join(f"{camera.index}: {camera.name}" for camera in cameras.found)
        yield Finding("cameras", "ok", f"{names} (`tracker cameras` lists formats)")
    else:
        yield Finding("cameras", "warning", no_camera_text(cameras))


def _sockets() -> Iterator[Finding]:
    import zmq

    from tracker.publishing.config import DEFAULT_BIND, DEFAULT_CONTROL, DEFAULT_LATEST

    encryption = "with encryption (CURVE)" if zmq.has("curve") else "without encryption (CURVE)"
    yield Finding("ZeroMQ", "ok" if zmq.has("curve") else "warning", f"{zmq.zmq_version()} {encryption}")
    ports = [int(endpoint.rpartition(":")[2]) for endpoint in (DEFAULT_BIND, DEFAULT_CONTROL, DEFAULT_LATEST)]
    busy = [port for port in ports if not _port_free(port)]
    listed = ", ".join(map(str, busy or ports))
    if busy:
        fix = "stop the other program (`tracker control stop` for a tracker), or choose ports: tracker run --help"
        yield Finding("ports", "warning", f"in use on 127.0.0.1: {listed}", fix)
    else:
        yield Finding("ports", "ok", f"free on 127.0.0.1: {listed}")


def _port_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        if os.name == "posix":
            # As ZeroMQ binds: a port whose last connection is still in TIME_WAIT is free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _storage() -> Iterator[Finding]:
    folder = cache_dir()
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    free_mb = shutil.disk_usage(existing).free // 2**20
    if not existing.is_dir() or not os.access(existing, os.W_OK):
        yield Finding("cache", "missing", f"{folder} cannot be written", "export TRACKER_CACHE=/a/folder/of/yours")
    elif free_mb < _LEAST_DISK_MB:
        fix = "free some space, or export TRACKER_CACHE=/another/disk"
        yield Finding("cache", "warning", f"{folder}: only {free_mb} MB free on that disk", fix)
    else:
        yield Finding("cache", "ok", f"{folder}, {free_mb / 1024:.0f} GB free")


def _gpu() -> Iterator[Finding]:
    found = shutil.which("nvidia-smi")
    listing = ""
    if found:
        query = [found, "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
        try:
            listing = subprocess.run(query, capture_output=True, text=True, timeout=10, check=False).stdout.strip()
        except (OSError, subprocess.TimeoutExpired):
            listing = ""
    yield Finding(
        "GPU", "info", f"{listing.splitlines()[0] if listing else 'no NVIDIA GPU'}; this version computes on the CPU"
    )
