"""Record what MediaPipe's own FaceLandmarker says on the sample pictures: writes tests/golden/mediapipe_oracle.npz.

Needs the package ``mediapipe`` (1.2.2 was used) in an environment of its own, and our samples and networks fetched:

    python -m venv /tmp/oracle && /tmp/oracle/bin/pip install mediapipe
    /tmp/oracle/bin/python tools/record_mediapipe_oracle.py --samples FOLDER --task FOLDER/face_landmarker.task

Every picture is shown many times in video mode, where MediaPipe's crop follows from the landmarks it gave just
before. Both are recorded, so that another implementation can be shown the very same crop.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import cv2
import mediapipe
import numpy as np
from mediapipe.tasks.python import BaseOptions, vision

GOLDEN = Path(__file__).resolve().parent.parent / "tests" / "golden" / "mediapipe_oracle.npz"
REPEATS = 20
STEP_MS = 10_000
"""So long that MediaPipe's smoothing of a single face has nothing left to smooth."""
PICTURES = (
    ("single_face.jpg", 0),
    ("0-f1-su-ph.jpg", 0),
    ("0-f15-hao-ph.jpg", 0),
    ("15-f13-anc-ph.jpg", 0),
    ("45-m7-di-ph.jpg", 0),
    ("single_face.mp4", 0),
    ("single_face.mp4", 60),
    ("WolfgangLanger_Pexels.mp4", 0),
    ("WolfgangLanger_Pexels.mp4", 100),
    ("WolfgangLanger_Pexels.mp4", 200),
    ("WolfgangLanger_Pexels.mp4", 400),
    ("face_noface.mov", 10),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=Path, required=True, help="folder with the sample clips and stills")
    parser.add_argument("--task", type=Path, required=True, help="face_landmarker.task")
    args = parser.parse_args()
    recorded: dict[str, list[object]] = {"name": [], "frame": [], "roi": [], "landmarks": [], "scores": []}
    for name, frame in PICTURES:
        image = read(args.samples / name, frame)
        roi, landmarks, scores = landmark(image, args.task)
        for key, value in zip(recorded, (name, frame, roi, landmarks, scores), strict=True):
            recorded[key].append(value)
    GOLDEN.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(
        GOLDEN,
        mediapipe=mediapipe.__version__,
        name=np.array(recorded["name"]),
        frame=np.array(recorded["frame"]),
        roi=np.array(recorded["roi"], dtype=np.float64),
        landmarks=np.array(recorded["landmarks"], dtype=np.float32),
        scores=np.array(recorded["scores"], dtype=np.float32),
    )
    print(f"{GOLDEN}: {len(PICTURES)} pictures, {GOLDEN.stat().st_size / 1e3:.0f} kB")


def read(path: Path, frame: int) -> np.ndarray:
    """A still, or a frame of a clip, RGB."""
    if path.suffix == ".jpg":
        image = cv2.imread(str(path))
    else:
        clip = cv2.VideoCapture(str(path))
        for _ in range(frame + 1):
            _, image = clip.read()
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def landmark(image: np.ndarray, task: Path) -> tuple[tuple[float, ...], np.ndarray, np.ndarray]:
    """The crop (centre x and y, side, rotation), landmarks (478, 3) in pixels and 52 scores of the first face."""
    options = vision.FaceLandmarkerOptions(
        base_options=BaseOptions(model_asset_path=str(task)),
        output_face_blendshapes=True,
        running_mode=vision.RunningMode.VIDEO,
        num_faces=1,
    )
    height, width = image.shape[:2]
    size = np.array([width, height, width])
    with vision.FaceLandmarker.create_from_options(options) as landmarker:
        picture = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(image))
        for repeat in range(REPEATS):
            result = landmarker.detect_for_video(picture, repeat * STEP_MS)
            landmarks = np.array([[point.x, point.y, point.z] for point in result.face_landmarks[0]]) * size
            if repeat == REPEATS - 2:
                roi = next_crop(landmarks)
        scores = np.array([category.score for category in result.face_blendshapes[0]])
    return roi, landmarks, scores


def next_crop(landmarks: np.ndarray) -> tuple[float, ...]:
    """The crop MediaPipe takes next: 1.5 times the longer side of the box along the image, turned along the outer eye
    corners.
    """
    low, high = landmarks[:, :2].min(axis=0), landmarks[:, :2].max(axis=0)
    across = landmarks[263, :2] - landmarks[33, :2]
    return (*(low + high) / 2, 1.5 * float((high - low).max()), math.atan2(across[1], across[0]))


if __name__ == "__main__":
    main()
