"""Find network files in the user's cache and load them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tracker.cache import cache_dir, sha256_of
from tracker.config import Precision
from tracker.errors import NetworkAssetError
from tracker.networks.assets import BY_FILE, Asset

if TYPE_CHECKING:
    from engines import Engine


def store_dir() -> Path:
    """The folder network files are kept in; it need not exist."""
    return cache_dir("networks")


def is_present(asset: Asset) -> bool:
    """Whether the asset is in the store and undamaged."""
    path = store_dir() / asset.file
    return path.is_file() and sha256_of(path) == asset.sha256


def locate(file: str) -> Path:
    """The path of a network file, e.g. ``face_landmarks_detector.tflite``, after checking its hash. Downloads nothing.

    Raises:
        NetworkAssetError: it has not been fetched, or it is damaged.
    """
    asset = BY_FILE.get(file)
    if asset is None:
        raise NetworkAssetError(f"unknown network {file!r}; known: {', '.join(BY_FILE)}")
    path = store_dir() / file
    try:
        found = sha256_of(path)
    except FileNotFoundError:
        raise NetworkAssetError(f"network {file} is not in {store_dir()}; run: tracker models fetch") from None
    except OSError as error:
        raise NetworkAssetError(f"network {path} cannot be read ({error.strerror}); check its permissions") from error
    if found != asset.sha256:
        raise NetworkAssetError(
            f"network {path} is damaged (sha256 {found[:12]}…, expected {asset.sha256[:12]}…); run: tracker models fetch"
        )
    return path


def open_network(file: str, *, precision: Precision = "auto", threads: int = 1) -> Engine:
    """Load a network of the store into an engine, with its compiled form cached beside the store.

    Raises:
        NetworkAssetError: it has not been fetched, is damaged, or no backend can run it.
    """
    path = locate(file)
    from engines import EngineError, load_engine

    try:
        return load_engine(path, precision=precision, threads=threads, cache_dir=cache_dir("engines"))
    except EngineError as error:
        raise NetworkAssetError(str(error)) from error
