from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.sources.clips import flat, quadrants
from tests.sources.conftest import Events
from tracker.errors import SourceError
from tracker.sources.images import ImageFiles, list_folder
from tracker.sources.open import open_source


def save(path: Path, image: np.ndarray) -> Path:
    channels = image if image.ndim == 2 else image[..., [2, 1, 0, *range(3, image.shape[2])]]
    assert cv2.imwrite(str(path), channels)
    return path


def with_orientation(jpeg: Path, orientation: int) -> None:
    """Put an EXIF block with nothing but the orientation into a JPEG (TIFF 6.0, tag 0x0112)."""
    tiff = b"II*\0\x08\0\0\0" + b"\x01\0" + b"\x12\x01\x03\0\x01\0\0\0" + bytes([orientation, 0, 0, 0]) + bytes(4)
    block = b"Exif\0\0" + tiff
    content = jpeg.read_bytes()
    jpeg.write_bytes(content[:2] + b"\xff\xe1" + (len(block) + 2).to_bytes(2, "big") + block + content[2:])


def test_a_folder_is_a_film_in_natural_order(tmp_path: Path) -> None:
    for number in (10, 9, 1, 2):
        save(tmp_path / f"shot{number}.png", flat(8, 6, number))
    save(tmp_path / ".hidden.png", flat(8, 6, 200))
    (tmp_path / "notes.txt").write_text("x")
    with open_source(str(tmp_path), fps=24) as source:
        assert (source.live, source.size, source.rate) == (False, (8, 6), 24)
        assert (source.frame_count, source.frame_count_exact) == (4, True)
        frames = list(source)
        assert source.state == "ended"
    assert [int(frame.image[0, 0, 0]) for frame in frames] == [1, 2, 9, 10]
    assert [frame.pts_s for frame in frames] == [Fraction(index, 24) for index in range(4)]
    assert frames[1].t_capture_ns == 41_666_667
    assert {frame.clock for frame in frames} == {"media"}


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".webp", ".jpg"])
def test_formats(tmp_path: Path, suffix: str) -> None:
    path = save(tmp_path / f"a{suffix}", quadrants(64, 48))
    (frame,) = ImageFiles([path])
    assert frame.image.dtype == np.uint8
    for (x, y), colour in {(8, 8): (255, 0, 0), (56, 8): (0, 255, 0), (8, 40): (0, 0, 255)}.items():
        np.testing.assert_allclose(frame.image[y, x].astype(int), colour, atol=12)


def test_sixteen_bits_gray_and_transparency(tmp_path: Path) -> None:
    paths = [
        save(tmp_path / "a.png", np.full((6, 8), 0x80FF, dtype=np.uint16)),
        save(tmp_path / "b.png", np.full((6, 8, 3), 0x4000, dtype=np.uint16)),
        save(tmp_path / "c.png", np.full((6, 8), 33, dtype=np.uint8)),
        save(tmp_path / "d.png", np.dstack([flat(8, 6, 99), np.zeros((6, 8), dtype=np.uint8)])),
    ]
    levels = []
    for frame in ImageFiles(paths):
        assert frame.image.shape == (6, 8, 3) and frame.image.dtype == np.uint8
        assert frame.image.min() == frame.image.max()
        levels.append(int(frame.image[0, 0, 0]))
    assert levels == [0x80, 0x40, 33, 99]


def test_orientation_tags_are_applied(tmp_path: Path) -> None:
    path = save(tmp_path / "phone.jpg", quadrants(64, 48))
    with_orientation(path, 6)  # to be turned a quarter clockwise
    (frame,) = ImageFiles([path])
    assert frame.image.shape == (64, 48, 3)
    np.testing.assert_allclose(frame.image[10, 38].astype(int), (255, 0, 0), atol=12)


def test_images_of_different_sizes(tmp_path: Path) -> None:
    paths = [save(tmp_path / "a.png", flat(1, 1, 5)), save(tmp_path / "b.png", flat(30, 20, 5))]
    assert [(frame.width, frame.height) for frame in ImageFiles(paths)] == [(1, 1), (30, 20)]


def test_unreadable_images_are_skipped_and_leave_a_gap(tmp_path: Path, events: Events) -> None:
    good = [save(tmp_path / name, flat(8, 6, 50)) for name in ("a.png", "d.png")]
    (tmp_path / "b.png").write_bytes(b"")
    (tmp_path / "c.png").write_bytes(good[0].read_bytes()[:30])
    frames = list(ImageFiles(list_folder(tmp_path), on_event=events))
    assert [frame.index for frame in frames] == [0, 3]
    assert frames[1].pts_s == Fraction(3, 30)
    assert events.kinds == ["skipped", "skipped"]
    assert "b.png" in events[0][1] and "c.png" in events[1][1]


def test_only_unreadable_images(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no image")
    (tmp_path / "b.png").write_bytes(b"no image")
    with pytest.raises(SourceError, match="not one of 2 images can be read") as error:
        open_source(str(tmp_path))
    assert "\n" not in str(error.value)


def test_an_image_that_vanishes_meanwhile_is_skipped(tmp_path: Path, events: Events) -> None:
    paths = [save(tmp_path / name, flat(8, 6, 50)) for name in ("a.png", "b.png")]
    source = ImageFiles(paths, on_event=events)
    paths[1].unlink()
    assert len(list(source)) == 1
    assert events.kinds == ["skipped"]
