"""Do the landmark network and the face model mean the same points? Renders random people and compares, region by region.

    python tools/check_renders.py                        # the built-in head
    python tools/check_renders.py --face-model my.npz --people 40 --json agreement.json --picture points.png

Two readings of one number: how convincing the renderings are, and how well the model's ``mediapipe478`` embedding marks the
places that the network finds. Errors are in percent of the eye distance; the bias is what the error keeps when averaged.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from tracker.camera import Camera
from tracker.detection import FaceDetector, FaceFollower
from tracker.face_model import FaceModel, load_face_model
from tracker.landmarks import create_encoder
from tracker.rendering.contours import CONTOURS, IRIS_LEFT, IRIS_RIGHT, LANDMARK_SET
from tracker.rendering.lighting import Light
from tracker.rendering.scene import FaceScene
from tracker.rendering.skin import Complexion
from tracker.rotations import head_rotvec_from_matrix, matrix_from_rotvec
from tracker.types import FaceParams, Frame, ImageRGB

LOOKS = (
    (Complexion(), Light(direction=(-0.4, -0.5, -0.7))),
    (
        Complexion(melanin=0.7, haemoglobin=0.5, iris=(0.05, 0.03, 0.015), hair=(0.01, 0.008, 0.006), seed=1),
        Light(direction=(0.1, -0.5, -0.7)),
    ),
    (
        Complexion(melanin=0.3, stubble=0.8, iris=(0.08, 0.09, 0.03), hair=(0.06, 0.03, 0.015), seed=2),
        Light(direction=(0.6, -0.5, -0.7)),
    ),
)
EXPRESSIONS: tuple[dict[str, float], ...] = (
    {},
    {"jawOpen": 0.5},
    {"mouthSmileLeft": 0.7, "mouthSmileRight": 0.7, "jawOpen": 0.15},
    {"eyeBlinkLeft": 1.0, "eyeBlinkRight": 1.0, "browInnerUp": 0.6},
    {"mouthPucker": 0.7, "browDownLeft": 0.6, "browDownRight": 0.6},
)


def regions() -> dict[str, list[int]]:
    """Landmark indices by region; ``rest`` is everything on no contour."""
    found: dict[str, list[int]] = {}
    for contour in CONTOURS:
        name = contour.name if contour.kind == "lips" else contour.kind
        found.setdefault(name, []).extend(contour.points)
    found["iris"] = [*IRIS_RIGHT, *IRIS_LEFT]
    taken = {index for indices in found.values() for index in indices}
    found["rest"] = [index for index in range(478) if index not in taken]
    return found


def draw_params(model: FaceModel, rng: np.random.Generator, expression: dict[str, float]) -> FaceParams:
    """A pose within what people do before a webcam, with this expression."""
    weights = np.zeros(model.expression_count, np.float32)
    for name, weight in expression.items():
        if name in model.expression_names:
            weights[model.expression_names.index(name)] = weight
    rotation = matrix_from_rotvec(np.array([np.pi, 0.0, 0.0]))
    for axis, spread in ((1, 0.25), (0, 0.15), (2, 0.12)):
        rotation = rotation @ matrix_from_rotvec(rng.normal(0.0, spread) * np.eye(3)[axis])
    params = replace(
        model.neutral_params(), expression=weights, rotation=head_rotvec_from_matrix(rotation).astype(np.float32)
    )
    return model.with_joint_rotations(params)


def compare(model: FaceModel, people: int, seed: int) -> tuple[dict[str, Any], list[ImageRGB]]:
    """Figures as written by ``--json``, and the pictures with both sets of points."""
    rng = np.random.default_rng(seed)
    camera = Camera.for_image(640, 480)
    encoder, detector = create_encoder(), FaceDetector()
    scenes = [FaceScene(model, look, light, noise=2.0) for look, light in LOOKS]
    errors, presence, tiles = [], [], []
    for person in range(people):
        identity = rng.normal(0.0, 1.0, model.identity_count).astype(np.float32)
        params = draw_params(model, rng, EXPRESSIONS[person % len(EXPRESSIONS)])
        image = scenes[person % len(scenes)].render(identity, params, camera, person)
        follower = FaceFollower(encoder, detector, 1)
        # The crop settles within a few frames.
        for index in range(3):
            seen = follower.process(Frame(image, index, index * 33_000_000, "media", 0))
        truth = camera.project(model.landmarks(model.vertices_camera(identity, params), LANDMARK_SET))
        if not seen:
            presence.append(0.0)
            continue
        presence.append(float(seen[0].presence))
        found = seen[0].landmarks.points[:, :2]
        # Foreshortening would make a turned head's errors look larger: measure the eye distance in space.
        eyes = model.landmarks(model.vertices_camera(identity, params), LANDMARK_SET)[[33, 133, 263, 362]]
        span_px = np.linalg.norm(eyes[:2].mean(0) - eyes[2:].mean(0)) * camera.focal_px / eyes[:, 2].mean()
        errors.append((found - truth) / span_px * 100.0)
        tiles.append(_tile(image, truth, found))
    stacked = np.array(errors)
    figures: dict[str, Any] = {
        "people": people,
        "lost": sum(value == 0.0 for value in presence),
        "presence_min": min(presence),
        "regions": {},
    }
    for name, indices in regions().items():
        part = stacked[:, indices]
        length = np.linalg.norm(part, axis=2)
        figures["regions"][name] = {
            "median_percent": float(np.median(length)),
            "p95_percent": float(np.percentile(length, 95)),
            "bias_x_percent": float(part[..., 0].mean()),
            "bias_y_percent": float(part[..., 1].mean()),
        }
    return figures, tiles


def _tile(image: ImageRGB, truth: np.ndarray, found: np.ndarray) -> ImageRGB:
    """The face twice as large with the model's points in green and the network's in red."""
    large = cv2.resize(image, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    for points, colour in ((truth, (60, 255, 60)), (found, (255, 50, 50))):
        for x, y in points:
            cv2.circle(large, (round((x * 2 - 0.5) * 16), round((y * 2 - 0.5) * 16)), 28, colour, -1, cv2.LINE_AA, 4)
    x, y = (truth.mean(axis=0) * 2).astype(int)
    x, y = int(np.clip(x - 280, 0, 720)), int(np.clip(y - 300, 0, 360))
    return np.asarray(large[y : y + 600, x : x + 560], np.uint8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--face-model", default="builtin", metavar="NAME|PATH")
    parser.add_argument("--people", type=int, default=30, metavar="N")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures")
    parser.add_argument("--picture", type=Path, metavar="PNG", help="write the faces with both sets of points")
    args = parser.parse_args()
    figures, tiles = compare(load_face_model(args.face_model), args.people, args.seed)
    print(f"{figures['people']} people, {figures['lost']} lost, presence at least {figures['presence_min']:.3f}")
    print("region        median     p95   bias x  bias y   (% of the eye distance)")
    for name, row in figures["regions"].items():
        print(
            f"{name:12s} {row['median_percent']:7.2f} {row['p95_percent']:7.2f} "
            f"{row['bias_x_percent']:+8.2f}{row['bias_y_percent']:+8.2f}"
        )
    if args.json:
        args.json.write_text(json.dumps(figures, indent=2) + "\n")
    if args.picture:
        rows = [np.hstack(tiles[i : i + 6]) for i in range(0, len(tiles) - 5, 6)]
        cv2.imwrite(str(args.picture), cv2.cvtColor(np.vstack(rows), cv2.COLOR_RGB2BGR))


if __name__ == "__main__":
    main()
