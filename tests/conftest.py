"""Fixtures for everything that tests need from outside the repository; each skips with the reason when it is not there."""

from __future__ import annotations

import os
import signal

# Before numpy loads its BLAS: two thread pools on a small machine cost more than they bring, and timings wander.
for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")

# A shell that starts the tests in the background has them ignore Ctrl-C, and so would every process that they start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

from collections.abc import Callable, Iterator  # noqa: E402
from fractions import Fraction  # noqa: E402
from itertools import islice  # noqa: E402
from pathlib import Path  # noqa: E402

import pytest  # noqa: E402

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session", autouse=True)
def _no_face_models_of_the_user(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Tests neither see nor change what the user has imported."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRACKER_DATA", str(tmp_path_factory.mktemp("data")))
        yield


@pytest.fixture(scope="session")
def samples() -> Callable[[str], Path]:
    """``samples("single_face.mp4")`` is the path of a sample clip or still, fetched if need be."""
    from tracker.samples import sample
    from tracker.wheels import FetchError

    def get(name: str) -> Path:
        try:
            return sample(name)
        except FetchError as error:
            pytest.skip(f"sample {name} cannot be had: {error}")

    return get


@pytest.fixture(scope="session")
def short_clip(samples: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first 20 frames of the clip with one face, 640 by 360 at 30 frames/s, for tests that track it to see something else."""
    return beginning(samples("single_face.mp4"), 20, tmp_path_factory.mktemp("short") / "face.mp4")


@pytest.fixture(scope="session")
def short_empty_clip(samples: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first 10 frames of the clip without a face."""
    return beginning(samples("no_face.mp4"), 10, tmp_path_factory.mktemp("short") / "empty.mp4")


def beginning(clip: Path, count: int, path: Path) -> Path:
    """The first frames of a clip as a clip of their own at ``path``, 30 a second."""
    from tracker.rendering.video_writer import VideoWriter
    from tracker.sources.open import open_source

    with open_source(str(clip)) as source:
        frames = list(islice(source, count))
    with VideoWriter(path, frames[0].width, frames[0].height) as writer:
        for frame in frames:
            writer.write(frame.image, Fraction(frame.index, 30))
    return path


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of development data beside the checkout."""
    folder = REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the development data (../shared/data) is not here")
    return folder


@pytest.fixture(scope="session")
def networks() -> Path:
    """The folder of the neural networks, all present and undamaged."""
    from tracker.networks import ASSETS, is_present, store_dir

    missing = [asset.file for asset in ASSETS if not is_present(asset)]
    if missing:
        pytest.skip(f"{len(missing)} neural networks are not fetched; run: tracker models fetch")
    return store_dir()
