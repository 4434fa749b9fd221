"""The kernels' arithmetic: as C++ on the CPU against their numpy reference, and that against the tracker's own crops."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from engines import EngineError
from engines.preprocess import KERNELS, reference
from engines.preprocess.regions import FORMATS, JOB, REGION, CropFormat, job, regions, rows_needed
from tracker.landmarks.brightness import normalised
from tracker.landmarks.crop import Cropper, Roi

PICTURE = Path(__file__).parents[3] / "docs" / "images" / "demo.jpg"
SQUARES = [
    Roi(600.3, 195.7, 300.0, 0.3),
    Roi(600.0, 195.0, 120.0, -1.2),
    Roi(40.0, 30.0, 250.0, 0.1),
    Roi(603.3, 195.0, 1300.0, 2.9),
    Roi(-500.0, -500.0, 100.0, 0.0),
]

Kernels = Callable[[NDArray[np.uint8], NDArray[Any], NDArray[Any]], NDArray[Any]]


@pytest.fixture(scope="module")
def picture() -> NDArray[np.uint8]:
    return cv2.cvtColor(cv2.imread(str(PICTURE)), cv2.COLOR_BGR2RGB).astype(np.uint8)


@pytest.fixture(scope="module")
def on_host(tmp_path_factory: pytest.TempPathFactory) -> Kernels:
    """The kernels compiled for the CPU."""
    compiler = shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        pytest.skip("no C++ compiler here")
    library = tmp_path_factory.mktemp("kernels") / "crops.so"
    source = Path(__file__).with_name("host.cpp")
    options = ["-O1", "-std=c++20", "-shared", "-fPIC", f"-I{KERNELS.parent}", "-o", str(library)]
    subprocess.run([compiler, *options, str(source)], check=True)
    loaded = ctypes.CDLL(str(library))
    assert (loaded.size_of(0), loaded.size_of(1)) == (JOB.itemsize, REGION.itemsize)

    def run(picture: NDArray[np.uint8], numbers: NDArray[Any], places: NDArray[Any]) -> NDArray[Any]:
        size, count = int(numbers["size"][0]), len(places)
        shape = (count, 3, size, size) if numbers["planar"][0] else (count, size, size, 3)
        out = np.full(shape, np.nan, np.float16 if numbers["half_float"][0] else np.float32)
        common = [ctypes.c_void_p(array.ctypes.data) for array in (picture, numbers, places)]
        loaded.run_levels(*common, count)
        loaded.run_crops(*common, count, ctypes.c_void_p(out.ctypes.data))
        return out

    return run


@pytest.mark.parametrize("darkening", [1.0, 0.1])
@pytest.mark.parametrize("size", [256, 64])
def test_crops_are_those_of_the_tracker(picture: NDArray[np.uint8], size: int, darkening: float) -> None:
    image = (picture * darkening).astype(np.uint8)
    places = regions(SQUARES, size, image.shape[1], image.shape[0])
    ours = reference.crops(image, job(CropFormat(size), image.strides[0]), places)
    cropper, theirs = Cropper(size), np.empty((size, size, 3), np.float32)
    for crop, square, place in zip(ours, SQUARES, places, strict=True):
        gain = normalised(cropper.cut(image, square), theirs)
        assert place["gain"] == pytest.approx(gain, rel=1e-6)
        off_levels = np.abs(crop - theirs) * 255 / gain
        # OpenCV rounds in fixed point: single pixels differ by a level, a fifth of them where the picture was reduced.
        assert off_levels.max() < 1.01
        assert off_levels.mean() < (0.2 if square.size > 3 * size else 0.002)


@pytest.mark.parametrize("planar", [True, False])
def test_the_kernels_compute_the_reference(on_host: Kernels, picture: NDArray[np.uint8], planar: bool) -> None:
    image = (picture * 0.3).astype(np.uint8)
    form = CropFormat(64, planar, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
    places = regions(SQUARES, 64, image.shape[1], image.shape[0], mirrored=[False, True, False, True, False])
    numbers = job(form, image.strides[0])
    ours = on_host(image, numbers, places)
    gains = places["gain"].copy()
    assert gains.max() > 1.1
    expected = reference.crops(image, numbers, places)
    assert places["gain"] == pytest.approx(gains)
    # Sums in another order: a level rounds the other way now and then.
    off = np.abs(ours - expected) * 0.225 * 255
    assert off.max() < 1.01 * gains.max() * 0.225 / 0.224
    assert (off > 0.01).mean() < 1e-3


def test_colours_as_cameras_and_decoders_deliver_them(on_host: Kernels, picture: NDArray[np.uint8]) -> None:
    height, width = 384, 1200
    image = np.ascontiguousarray(picture[:height])
    places = regions(SQUARES[:3], 64, width, height)
    rgb = on_host(image, job(CropFormat(64), image.strides[0]), places)
    bgr = on_host(np.ascontiguousarray(image[..., ::-1]), job(CropFormat(64), image.strides[0], picture="bgr"), places)
    assert np.array_equal(rgb, bgr)
    planes = cv2.cvtColor(image, cv2.COLOR_RGB2YUV_I420)
    colours = planes[height:].reshape(2, -1)
    nv12 = np.ascontiguousarray(np.concatenate([planes[:height], colours.T.reshape(-1, width)]).astype(np.uint8))
    seen = cv2.cvtColor(nv12, cv2.COLOR_YUV2RGB_NV12).astype(np.uint8)
    numbers = job(CropFormat(64), width, picture="nv12_bt601", chroma=height * width)
    ours = on_host(nv12, numbers, places)
    assert np.array_equal(ours, reference.crops(nv12, numbers, places))
    expected = reference.crops(seen, job(CropFormat(64), seen.strides[0]), places)
    assert np.abs(ours - expected).max() * 255 < 3
    assert np.abs(ours - expected).mean() * 255 < 0.7
    hd = on_host(nv12, job(CropFormat(64), width, picture="nv12_bt709", chroma=height * width), places)
    assert np.abs(hd - ours).mean() * 255 > 0.5


def test_only_the_rows_that_are_needed(on_host: Kernels, picture: NDArray[np.uint8]) -> None:
    places = regions(SQUARES[1:2], 64, picture.shape[1], picture.shape[0])
    first, end = rows_needed(places)
    assert 0 < first < end < picture.shape[0]
    whole = on_host(picture, job(CropFormat(64), picture.strides[0]), places)
    part = on_host(picture[first:end].copy(), job(CropFormat(64), picture.strides[0], first_row=first), places)
    assert np.array_equal(whole, part)


def test_half_precision_and_undarkened(on_host: Kernels, picture: NDArray[np.uint8]) -> None:
    image = (picture * 0.1).astype(np.uint8)
    places = regions(SQUARES[:1], 64, image.shape[1], image.shape[0])
    form = CropFormat(64, half_float=True, brighten=False)
    ours = on_host(image, job(form, image.strides[0]), places)
    assert ours.dtype == np.float16
    assert places["gain"][0] == 1.0
    exact = reference.crops(image, job(CropFormat(64, brighten=False), image.strides[0]), places)
    assert np.abs(ours.astype(np.float32) - exact).max() < 1 / 255 + 1e-3


def test_a_picture_of_an_unknown_kind() -> None:
    with pytest.raises(EngineError, match=f"pictures must be {', '.join(FORMATS)}, got 'cmyk'"):
        job(CropFormat(64), 300, picture="cmyk")
