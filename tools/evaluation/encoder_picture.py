"""A picture for the documentation: faces with things in front of them, as two encoders see them."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from tools.evaluation.appearance.episodes import skin_colour
from tools.evaluation.clips import SHARED, eye_distance, frames_of
from tools.evaluation.tracking import Follower
from tracker.config import EncoderName, TrackerConfig
from tracker.rendering.contours import CONTOUR
from tracker.rendering.occluders import Kind, make
from tracker.samples import sample

Image = NDArray[np.uint8]

_TILE_PX: Final = 220
_THINGS: Final[tuple[tuple[Kind, float, tuple[float, float, float]], ...]] = (
    ("hand", 1.0, (-0.45, 0.6, 0.4)), ("microphone", 1.0, (0.12, 1.35, 0.12)), ("scarf", 1.0, (0.0, 1.25, 0.0)),
    ("hair", 1.0, (-0.38, 0.1, 0.1)), ("hand", 1.5, (0.0, 0.75, -0.2)),
)  # fmt: skip
"""Kind, size, place: eye distances from the middle of the eyes, and turn. The last one hides nearly everything."""
_BEFORE, _AFTER = (90, 220, 120), (255, 80, 60)


def draw(names: tuple[EncoderName, ...], target: Path) -> None:
    """Write a row of tiles for each person and encoder: the bare face's contours in green, the covered one's in red."""
    sources = [sample("single_face.mp4"), SHARED / "clips" / "grid_lbax4n.mpg"]
    followers = {name: Follower(TrackerConfig(encoder=name)) for name in names}
    rows = []
    for source in sources:
        if source.is_file():
            image = list(frames_of(source, 24))[-1].image
            rows += [np.hstack(_tiles(image, follower, name)) for name, follower in followers.items()]
    picture = cv2.cvtColor(np.vstack(rows), cv2.COLOR_RGB2BGR)
    cv2.imwrite(str(target), picture, [cv2.IMWRITE_JPEG_QUALITY, 78])


def _tiles(image: Image, follower: Follower, name: str) -> list[Image]:
    bare = _points(follower, [image] * 3)
    assert bare is not None
    skin = skin_colour(image, bare)
    eyes, apart = (bare[33, :2] + bare[263, :2]) / 2.0, eye_distance(bare)
    tiles = []
    for number, (kind, size, (x, y, turn)) in enumerate(_THINGS):
        shown, _ = make(kind, skin, number).composite(image, eyes + apart * np.array([x, y]), apart * size, turn)
        tiles.append(_tile(shown, bare, _points(follower, [image] * 3 + [shown] * 4), eyes, apart, name))
    return tiles


def _points(follower: Follower, images: list[Image]) -> NDArray[np.float32] | None:
    observations = follower.encode_images(images)[-1].observations
    return observations[0].landmarks.points if observations else None


def _tile(
    image: Image,
    bare: NDArray[np.float32],
    found: NDArray[np.float32] | None,
    eyes: NDArray[np.floating],
    apart: float,
    name: str,
) -> Image:
    scale = _TILE_PX / (4.0 * apart)
    start = eyes + np.array([0.0, 0.45 * apart]) - 2.0 * apart
    matrix = np.array([[scale, 0.0, -start[0] * scale], [0.0, scale, -start[1] * scale]])
    tile = np.asarray(cv2.warpAffine(image, matrix, (_TILE_PX, _TILE_PX), flags=cv2.INTER_AREA), np.uint8)
    for points, colour in ((bare, _BEFORE), (found, _AFTER)):
        if points is None:
            cv2.putText(tile, "lost", (10, _TILE_PX - 12), cv2.FONT_HERSHEY_SIMPLEX, 0.6, colour, 2, cv2.LINE_AA)
            continue
        placed = (points[:, :2] - start) * scale
        for contour in CONTOUR.values():
            line = [np.round(placed[list(contour.points)] * 8).astype(np.int32)]
            cv2.polylines(tile, line, contour.closed, colour, 1, cv2.LINE_AA, 3)
    cv2.putText(tile, name, (6, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (255, 255, 255), 1, cv2.LINE_AA)
    return tile
