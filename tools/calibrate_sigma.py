"""Calibrate the landmarks' uncertainty: writes tracker/landmarks/data/sigma_*.npz and prints how well it holds.

    python tools/calibrate_sigma.py --clips FOLDER --faces FOLDER [--encoder light] [--dry-run]

``--clips`` is any folder of videos with faces, ``--faces`` dlib's folder of example faces (photographs and two XML
files with 68 annotated points per face). What is measured and why: docs/landmark_uncertainty.md.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from tracker.detection import FaceDetector, FaceFollower
from tracker.landmarks import LandmarkEncoder, Roi
from tracker.landmarks.crop import roi_around
from tracker.landmarks.light import LEFT_EYE, RIGHT_EYE, LightEncoder
from tracker.landmarks.mediapipe478 import MediaPipeEncoder
from tracker.landmarks.sigma import FEATURES, SigmaModel, features
from tracker.types import Frame

Floats = NDArray[np.float64]

DATA = Path(__file__).resolve().parent.parent / "tracker" / "landmarks" / "data"
POINTS = 478
VIEWS_PER_CLIP = 24
VERSIONS_PER_FRAME = 10
FRONTAL_RAD = 0.15
# Squared errors beyond this many times the median of their point are cut: they are lost faces, not uncertain points.
OUTLIER = 100.0
# A floor is at least this share of the variance it is taken from.
LEAST_FLOOR = 0.25

# Mesh points that mean the same as iBUG's 68 points 17..67, in their order.
BROWS = [70, 63, 105, 66, 107, 336, 296, 334, 293, 300]
NOSE = [168, 197, 5, 4, 75, 97, 2, 326, 305]
EYES = [33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380]
LIPS = [61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181, 78, 82, 13, 312, 308, 317, 14, 87]
INNER = BROWS + NOSE + EYES + LIPS
# Lip contours from the right corner to the left one, outermost first; upper rows leave the corners out.
LIP_ROWS = [
    [61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291], [185, 40, 39, 37, 0, 267, 269, 270, 409],
    [76, 77, 90, 180, 85, 16, 315, 404, 320, 307, 306], [184, 74, 73, 72, 11, 302, 303, 304, 408],
    [62, 96, 89, 179, 86, 15, 316, 403, 319, 325, 292], [183, 42, 41, 38, 12, 268, 271, 272, 407],
    [78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308], [191, 80, 81, 82, 13, 312, 311, 310, 415],
]  # fmt: skip
GROUPS = {"brows": BROWS, "nose": NOSE, "eyes": EYES, "lips": LIPS}
OVAL = [
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152, 148, 176, 149, 150,
    136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
]  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=Path, required=True, help="folder of videos with faces")
    parser.add_argument("--faces", type=Path, required=True, help="dlib's examples/faces folder")
    parser.add_argument("--encoder", choices=("mediapipe", "light"), default="mediapipe")
    parser.add_argument("--dry-run", action="store_true", help="print the figures, write nothing")
    args = parser.parse_args()

    flat = SigmaModel(
        *(np.zeros(shape, np.float32) for shape in ((len(FEATURES), POINTS), (len(FEATURES),), (len(FEATURES),)))
    )
    encoder = MediaPipeEncoder(sigma=flat) if args.encoder == "mediapipe" else LightEncoder(sigma=flat)
    rng = np.random.default_rng(0)

    inputs, squared = disturbed_samples(encoder, args.clips, rng)
    print(
        f"{len(inputs)} disturbed crops; rms shift of a point per mille of the crop: {1e3 * math.sqrt(squared.mean() / 2):.2f}"
    )
    truth = hand_placed(encoder, args.faces)
    disturbance = fit(inputs, squared, np.zeros(squared.shape))
    halves = truth[0::2], truth[1::2]
    for fitted, held_out in (halves, halves[::-1]):
        report("held-out half", with_floor(inputs, squared, fitted, disturbance), held_out)
    model = with_floor(inputs, squared, truth, disturbance)
    report("all faces", model, truth)
    typical = predicted(model, np.median(inputs, axis=0))
    print("sigma of a median crop, per mille of its side:", {
        **{name: round(1e3 * float(np.median(typical[points])), 2) for name, points in (*GROUPS.items(), ("oval", OVAL))},
        "irises": round(1e3 * float(np.median(typical[468:])), 2),
    })  # fmt: skip
    if not args.dry_run:
        DATA.mkdir(exist_ok=True)
        np.savez_compressed(DATA / f"sigma_{args.encoder}.npz", **dataclasses.asdict(model))
    return 0


def tracked(encoder: LandmarkEncoder, clip: Path) -> Iterator[tuple[NDArray[np.uint8], Roi]]:
    """VIEWS_PER_CLIP frames of a clip, evenly spread, each with the crop of its first face."""
    follower = FaceFollower(encoder, FaceDetector())
    right, left = encoder.outer_eye_corners
    with av.open(str(clip)) as container:
        step = max(container.streams.video[0].frames // VIEWS_PER_CLIP, 1)
        for index, decoded in enumerate(container.decode(video=0)):
            frame = Frame(decoded.to_ndarray(format="rgb24"), index, index * 40_000_000, "media", 0)
            faces = follower.process(frame)
            if faces and index % step == 0:
                points = faces[0].landmarks.points
                yield frame.image, roi_around(points, points[right], points[left])


def disturbed_samples(encoder: LandmarkEncoder, folder: Path, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Features (S, F) of disturbed crops and by how much their points moved: squared distance over squared crop side
    (S, N).
    """
    views = [
        view
        for clip in sorted(folder.iterdir())
        if clip.suffix in (".mp4", ".mov", ".mpg")
        for view in tracked(encoder, clip)
    ]
    mirror = mirror_indices(encoder, views)
    inputs, squared = [], []
    for image, roi in views:
        place = encoder.encode(image, roi, scores=False).landmarks.points[:, :2]
        stranger = views[rng.integers(len(views))][0]
        for _ in range(VERSIONS_PER_FRAME):
            found = disturbed(encoder, image, roi, stranger, mirror, rng)
            if found is not None:
                inputs.append(found[0])
                squared.append(((found[1] - place) ** 2).sum(axis=1) / roi.size**2)
    return np.array(inputs, dtype=np.float64), np.array(squared, dtype=np.float64)


def disturbed(
    encoder: LandmarkEncoder,
    image: NDArray[np.uint8],
    roi: Roi,
    stranger: NDArray[np.uint8],
    mirror: NDArray[np.intp],
    rng: np.random.Generator,
) -> tuple[NDArray[np.float32], NDArray[np.float32]] | None:
    """Features and points (N, 2) of one disturbed version of a face, the points put back into the undisturbed image."""
    # A margin of one crop around the face is all that the crops can reach.
    left, top = (max(int(centre - roi.size), 0) for centre in (roi.cx, roi.cy))
    part = image[top : int(roi.cy + roi.size), left : int(roi.cx + roi.size)].copy()
    cx, cy, size = roi.cx - left, roi.cy - top, roi.size
    if rng.random() < 0.25:
        _cover(part, cx, cy, size, stranger, rng)
    if rng.random() < 0.3:
        part = (part * rng.uniform(0.03, 0.6)).astype(np.uint8)
    if rng.random() < 0.5:
        part = np.clip(part + rng.normal(0, rng.uniform(0.5, 5), part.shape), 0, 255).astype(np.uint8)
    scale = np.ones(2)
    if rng.random() < 0.5 and size > 64:
        wanted = 2 ** rng.uniform(math.log2(40), math.log2(min(size, 256)))
        before = part.shape[1::-1]
        part = cv2.resize(part, None, fx=wanted / size, fy=wanted / size, interpolation=cv2.INTER_AREA).astype(np.uint8)
        scale = np.array(part.shape[1::-1]) / before
    flipped = bool(rng.random() < 0.5)
    if flipped:
        part = np.ascontiguousarray(part[:, ::-1])
    cx, cy = cx * scale[0], cy * scale[1]
    side = size * scale[0]
    shifted = Roi(
        (part.shape[1] - cx if flipped else cx) + rng.normal(0, 0.02) * side,
        cy + rng.normal(0, 0.02) * side,
        side * math.exp(rng.normal(0, 0.03)),
        (-roi.rotation if flipped else roi.rotation) + rng.normal(0, math.radians(3)),
    )
    encoded = encoder.encode(part, shifted, scores=False)
    if encoded.presence < 0.5:
        return None
    points = encoded.landmarks.points
    gain = float(np.clip(128 / max(np.percentile(part[::4, ::4, 1], 99), 1), 1, None))
    known = features(points, shifted, encoded.presence, gain)
    back = points[:, :2].copy()
    if flipped:
        back[:, 0] = part.shape[1] - back[:, 0]
        back = back[mirror]
    return known, (back / scale + [left, top]).astype(np.float32)


def _cover(
    part: NDArray[np.uint8], cx: float, cy: float, size: float, stranger: NDArray[np.uint8], rng: np.random.Generator
) -> None:
    """Put a patch of another picture over part of the face."""
    width, height = (int(size * rng.uniform(0.1, 0.4)) for _ in range(2))
    left, top = (int(centre + rng.uniform(-0.4, 0.2) * size) for centre in (cx, cy))
    left, top = max(left, 0), max(top, 0)
    target = part[top : top + height, left : left + width]
    if target.size:
        patch = cv2.resize(stranger, (target.shape[1], target.shape[0]), interpolation=cv2.INTER_AREA)
        target[...] = patch


def mirror_indices(encoder: LandmarkEncoder, views: list[tuple[NDArray[np.uint8], Roi]]) -> NDArray[np.intp]:
    """Which point each point becomes in a mirrored face, from the mean of all faces turned upright."""
    shapes = []
    for image, roi in views:
        encoded = encoder.encode(image, roi, scores=False)
        if abs(features(encoded.landmarks.points, roi, encoded.presence, 1.0)[FEATURES.index("yaw")]) > FRONTAL_RAD:
            continue
        points = encoded.landmarks.points - np.float32([roi.cx, roi.cy, 0])
        cos, sin = math.cos(roi.rotation), math.sin(roi.rotation)
        turned = points @ np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]]) / roi.size
        shapes.append(turned - turned.mean(axis=0))
    mean = np.mean(shapes, axis=0)
    other = mean * [-1, 1, 1]
    # The mean head is not quite symmetric: lay its mirror image onto it before comparing.
    other += mean.mean(axis=0) - other.mean(axis=0)
    nearest: NDArray[np.intp] = np.linalg.norm(mean[:, None] - other[None], axis=2).argmin(axis=1)
    # Lips and lids lie too close together for that when they are shut.
    nearest[RIGHT_EYE], nearest[LEFT_EYE] = LEFT_EYE, RIGHT_EYE
    for row in LIP_ROWS:
        nearest[row] = row[::-1]
    one_way = np.flatnonzero(nearest[nearest] != np.arange(POINTS))
    if len(one_way):
        print(f"warning: points without a clear mirror image: {one_way.tolist()}", file=sys.stderr)
    return nearest


@dataclasses.dataclass(frozen=True, slots=True)
class HandPlaced:
    """A photographed face with annotated points."""

    features: NDArray[np.float32]
    error: Floats
    """(51, 2) network minus hand in the face's upright frame, over the crop's side."""
    oval_error: Floats
    """(17,) distance of the annotated jaw points from the mesh's outline, over the crop's side."""


def hand_placed(encoder: LandmarkEncoder, folder: Path) -> list[HandPlaced]:
    """All faces of dlib's example photographs that the encoder sees a face in, less the mean offset of each point.

    A mean offset is a difference of definition between the two landmark sets, not an error.
    """
    faces = []
    right, left = encoder.outer_eye_corners
    for image, points in dlib_faces(folder):
        roi = roi_around(points, points[36], points[45])
        for _ in range(2):
            encoded = encoder.encode(image, roi, scores=False)
            before, roi = roi, roi_around(encoded.landmarks.points, *encoded.landmarks.points[[right, left]])
        if encoded.presence < 0.5:
            continue
        found = encoded.landmarks.points[:, :2].astype(np.float64)
        cos, sin = math.cos(before.rotation), math.sin(before.rotation)
        error = (found[INNER] - points[17:]) @ np.array([[cos, -sin], [sin, cos]]) / before.size
        outline = (distance_to_outline(points[:17], found[OVAL])) / before.size
        faces.append(HandPlaced(features(encoded.landmarks.points, before, encoded.presence, 1.0), error, outline))
    offset = np.mean([face.error for face in faces], axis=0)
    unbiased = math.sqrt(len(faces) / (len(faces) - 1))
    print(f"{len(faces)} photographed faces, rms error after offsets, per mille of the crop:", end=" ")
    cleaned = [HandPlaced(face.features, (face.error - offset) * unbiased, face.oval_error) for face in faces]
    rms = np.sqrt(np.mean([face.error**2 for face in cleaned], axis=(0, 2)))
    print(
        {
            name: round(1e3 * float(np.sqrt(np.mean(rms[np.isin(INNER, points)] ** 2))), 2)
            for name, points in GROUPS.items()
        }
    )
    return cleaned


def dlib_faces(folder: Path) -> Iterator[tuple[NDArray[np.uint8], Floats]]:
    """Images and their faces' 68 points in continuous pixels (dlib's are indices)."""
    for listing in ("testing", "training"):
        for entry in ElementTree.parse(folder / f"{listing}_with_face_landmarks.xml").getroot().iter("image"):
            image = cv2.cvtColor(cv2.imread(str(folder / entry.attrib["file"])), cv2.COLOR_BGR2RGB).astype(np.uint8)
            for box in entry.iter("box"):
                points = (
                    np.array([[float(part.attrib["x"]), float(part.attrib["y"])] for part in box.iter("part")]) + 0.5
                )
                if len(points) == 68:
                    yield image, points


def distance_to_outline(points: Floats, outline: Floats) -> Floats:
    """Distance (P,) of points (P, 2) from a closed polyline (Q, 2)."""
    start, end = outline, np.roll(outline, -1, axis=0)
    along = end - start
    share = ((points[:, None] - start) * along).sum(axis=2) / np.maximum((along**2).sum(axis=1), 1e-12)
    nearest = start + np.clip(share, 0, 1)[..., None] * along
    distance: Floats = np.linalg.norm(points[:, None] - nearest, axis=2).min(axis=1)
    return distance


def predicted(model: SigmaModel, known: NDArray[Any]) -> Floats:
    """Sigma (..., N) over the crop's side for features (..., F)."""
    sigma: Floats = np.exp(np.clip(known, model.low, model.high).astype(np.float64) @ model.coefficients)
    return sigma


def floors(faces: list[HandPlaced], disturbance: SigmaModel) -> Floats:
    """Variance per axis (N,) against annotated points that the disturbances do not explain, over the squared crop
    side.

    Points without a annotated counterpart get the mean of the inner groups.
    """
    explained = np.mean([predicted(disturbance, face.features) ** 2 for face in faces], axis=0)
    variance = np.mean([face.error**2 for face in faces], axis=(0, 2))
    # Along the outline a point slides unseen: what is measured is the error across it.
    outline = float(np.mean([face.oval_error**2 for face in faces]))

    def floor_of(measured: float, points: list[int]) -> float:
        return max(measured - float(np.mean(explained[points])), LEAST_FLOOR * measured)

    per_group = {
        name: floor_of(float(np.mean(variance[np.isin(INNER, points)])), points) for name, points in GROUPS.items()
    }
    floor = np.full(POINTS, np.mean(list(per_group.values())))
    for name, points in GROUPS.items():
        floor[points] = per_group[name]
    floor[468:] = per_group["eyes"]
    floor[OVAL] = floor_of(outline, OVAL)
    return floor


def with_floor(inputs: Floats, squared: Floats, faces: list[HandPlaced], disturbance: SigmaModel) -> SigmaModel:
    """The model of disturbances and of what annotated points show beyond them, which grows as the face turns away."""
    growth = turning(faces)
    floor = floors(faces, disturbance) / np.mean(1 + growth * yaws(faces) ** 2)
    model = fit(inputs, squared, floor * (1 + growth * inputs[:, [FEATURES.index("yaw_squared")]]))
    # What is left is the difference between the clips' faces and the photographs'.
    model.coefficients[0] += math.log(math.sqrt(np.mean(deviations(model, faces) ** 2) / 2))
    return model


def yaws(faces: list[HandPlaced]) -> Floats:
    """The yaw of each face in radians."""
    return np.array([face.features[FEATURES.index("yaw")] for face in faces], dtype=np.float64)


def turning(faces: list[HandPlaced]) -> float:
    """How much the variance against annotated points grows with yaw: it is proportional to 1 + this * yaw^2."""
    variance = np.array([np.mean(face.error**2) for face in faces])
    # Weighted least squares: the scatter of a variance grows with it.
    weights = 1 / variance
    design = np.stack([np.ones(len(faces)), yaws(faces) ** 2], axis=1)
    constant, slope = np.linalg.lstsq(design * weights[:, None], variance * weights, rcond=None)[0]
    growth = max(float(slope / constant), 0.0)
    print(f"variance against annotated points grows as 1 + {growth:.1f} yaw^2")
    return growth


def fit(inputs: Floats, squared: Floats, floor: Floats) -> SigmaModel:
    """The maximum-likelihood log-linear model of Gaussian errors with these squared lengths (S, N) plus the floor (S, N)."""
    low, high = np.percentile(inputs, [0.5, 99.5], axis=0)
    clipped = np.clip(inputs, low, high)
    limit = OUTLIER * np.median(squared, axis=0)
    target = np.minimum(squared, limit) / 2 + floor + 1e-12
    coefficients = np.zeros((len(FEATURES), POINTS))
    coefficients[0] = np.log(target.mean(axis=0)) / 2
    for _ in range(30):
        ratio = target / np.exp(2 * clipped @ coefficients)
        gradient = clipped.T @ (ratio - 1)
        hessian = np.einsum("sf,sn,sg->nfg", clipped, 2 * ratio, clipped, optimize=True) + 1e-3 * np.eye(len(FEATURES))
        step = np.linalg.solve(hessian, gradient.T[..., None])[..., 0].T
        coefficients += np.clip(step, -0.5, 0.5)
        if np.abs(step).max() < 1e-6:
            break
    arrays: list[Any] = [array.astype(np.float32) for array in (coefficients, low, high)]
    return SigmaModel(*arrays)


def deviations(model: SigmaModel, faces: list[HandPlaced]) -> Floats:
    """Distance of the network's from the annotated points, in sigmas, (faces, 51)."""
    sigma = predicted(model, np.array([face.features for face in faces]))[:, INNER]
    distance: Floats = np.linalg.norm([face.error for face in faces], axis=2) / sigma
    return distance


def report(title: str, model: SigmaModel, faces: list[HandPlaced]) -> None:
    """How often annotated points lie within one and two sigma of ours; 39 % and 86 % if the errors were Gaussian."""
    distance = deviations(model, faces)
    per_group = {
        name: round(math.sqrt(np.mean(distance[:, np.isin(INNER, points)] ** 2) / 2), 2)
        for name, points in GROUPS.items()
    }
    print(
        f"{title}: {np.mean(distance < 1):.0%} within 1 sigma, {np.mean(distance < 2):.0%} within 2, "
        f"rms {math.sqrt(np.mean(distance**2) / 2):.2f} sigma per axis",
        per_group,
    )


if __name__ == "__main__":
    sys.exit(main())
