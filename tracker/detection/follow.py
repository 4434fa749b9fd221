"""Follow faces through a stream: detect when unknown or lost, crop along the landmarks in between."""

from __future__ import annotations

import math
from dataclasses import dataclass
from time import perf_counter
from typing import Final

import numpy as np

from tracker.detection.detector import Detector
from tracker.detection.plausible import is_face, is_same_crop, is_same_face
from tracker.errors import ConfigError
from tracker.landmarks.crop import FACE_MARGIN, Roi, roi_around
from tracker.landmarks.encoder import Encoded, LandmarkEncoder, encode_all
from tracker.types import Detection, FaceObservation, Float32, Frame, ImageRGB

# While fewer faces than asked for are known, a cheap search runs on every so many-th frame.
SEARCH_PERIOD: Final = 8
MEMORY_NS: Final = 1_000_000_000
"""How long a lost face's id waits for its face to return."""
ACQUIRED: Final = 0.9
"""Presence from which on a detected face is believed; one that is followed may fall lower."""
# Faces that a search may try per missing face: a false one costs a landmark pass.
_CANDIDATES_PER_PLACE: Final = 2


@dataclass(slots=True)
class _Track:
    id: int
    first_call: int
    roi: Roi
    """Where the landmarks of the last frame say the face is."""
    encoded: Encoded
    seen_ns: int


class FaceFollower:
    """Keeps ids and crops of up to ``max_faces`` faces. The same frames give the same observations, whatever the
    clock says.

    ``last_timing`` holds the milliseconds that the last ``process`` spent in ``detect``, ``encode`` and
    ``blendshapes``.
    """

    def __init__(self, encoder: LandmarkEncoder, detector: Detector, max_faces: int = 1) -> None:
        """Raises ConfigError when ``max_faces`` is below 1."""
        if max_faces < 1:
            raise ConfigError(f"max_faces must be at least 1, got {max_faces}")
        self._encoder = encoder
        self._detector = detector
        self._max_faces = max_faces
        self.last_timing: dict[str, float] = {"detect": 0.0, "encode": 0.0, "blendshapes": 0.0}
        self._next_id = 0
        self.reset()

    def reset(self, *, keep_ids: bool = True) -> None:
        """Forget all faces, as at the start of another stream. Ids go on counting, or begin anew."""
        if not keep_ids:
            self._next_id = 0
        self._tracks: list[_Track] = []
        self._lost: list[_Track] = []
        self._calls = 0
        self._frame_size: tuple[int, int] | None = None

    def process(self, frame: Frame) -> list[FaceObservation]:
        """The faces in the next frame of the stream, longest known first."""
        self.last_timing = {"detect": 0.0, "encode": 0.0, "blendshapes": 0.0}
        self._follow_frame_size(frame)
        self._lost = [track for track in self._lost if 0 <= frame.t_capture_ns - track.seen_ns <= MEMORY_NS]
        lost_before = len(self._lost)
        self._advance(frame)
        lost_now = len(self._lost) > lost_before
        if len(self._tracks) < self._max_faces and (lost_now or not self._tracks or self._calls % SEARCH_PERIOD == 0):
            self._search(frame)
        self._calls += 1
        return [self._observation(track) for track in self._tracks]

    def _follow_frame_size(self, frame: Frame) -> None:
        """A frame of another size breaks the crops off; ids survive if the picture was only scaled."""
        size = (frame.width, frame.height)
        if self._frame_size is not None and size != self._frame_size:
            scale = frame.width / self._frame_size[0]
            self._lost += self._tracks
            self._tracks = []
            for track in self._lost:
                track.roi = Roi(track.roi.cx * scale, track.roi.cy * scale, track.roi.size * scale, track.roi.rotation)
        self._frame_size = size

    def _advance(self, frame: Frame) -> None:
        """Carry every followed face over to this frame, or lose it."""
        kept: list[_Track] = []
        seen = encode_all(self._encoder, frame.image, [track.roi for track in self._tracks])
        self._spent()
        for track, encoded in zip(self._tracks, seen, strict=True):
            roi = self._roi(encoded)
            if not is_face(encoded, roi, track.roi, frame.image.shape):
                self._lost.append(track)
            elif not any(is_same_face(roi, other.roi) for other in kept):
                # Of two crops that slid onto one face the older id stays.
                track.roi, track.encoded, track.seen_ns = roi, encoded, frame.t_capture_ns
                kept.append(track)
        self._tracks = kept

    def _search(self, frame: Frame) -> None:
        """Look for faces that are not followed yet."""
        start = perf_counter()
        found = self._detector.detect(frame.image, thorough=not self._tracks)
        self.last_timing["detect"] += (perf_counter() - start) * 1e3
        candidates = [roi for roi in map(_detected_roi, found) if not self._is_followed(roi)]
        for candidate in candidates[: _CANDIDATES_PER_PLACE * (self._max_faces - len(self._tracks))]:
            if len(self._tracks) == self._max_faces:
                break
            self._acquire(frame, candidate)

    def _acquire(self, frame: Frame, candidate: Roi) -> None:
        """Start to follow a detected face if the landmarks in it are those of a face.

        They are read a second time, in their own crop, unless the detector's was as good.
        """
        roi = candidate
        for _ in range(2):
            encoded = self._encode(frame.image, roi)
            before, roi = roi, self._roi(encoded)
            if not is_face(encoded, roi, before, frame.image.shape):
                return
            if is_same_crop(roi, before):
                break
        if encoded.presence < ACQUIRED or self._is_followed(roi):
            return
        known = self._recognise(roi)
        if known is None:
            self._tracks.append(_Track(self._next_id, self._calls, roi, encoded, frame.t_capture_ns))
            self._next_id += 1
        else:
            self._lost.remove(known)
            known.roi, known.encoded, known.seen_ns = roi, encoded, frame.t_capture_ns
            self._tracks.append(known)
        self._tracks.sort(key=lambda track: track.id)

    def _recognise(self, roi: Roi) -> _Track | None:
        """The lost face that this one is most likely to be, or None."""
        near = [(_distance(roi, track.roi), track) for track in self._lost]
        near = [
            (distance, track) for distance, track in near if distance < 1.0 and 0.6 < roi.size / track.roi.size < 1.7
        ]
        return min(near, key=lambda pair: pair[0])[1] if near else None

    def _is_followed(self, roi: Roi) -> bool:
        return any(is_same_face(roi, track.roi) for track in self._tracks)

    def _encode(self, image: ImageRGB, roi: Roi) -> Encoded:
        encoded = self._encoder.encode(image, roi)
        self._spent()
        return encoded

    def _spent(self) -> None:
        """Add the time of the encoder's last call."""
        timing = self._encoder.last_timing
        blendshapes = timing.get("blendshapes", 0.0)
        self.last_timing["blendshapes"] += blendshapes
        self.last_timing["encode"] += sum(timing.values()) - blendshapes

    def _roi(self, encoded: Encoded) -> Roi:
        points = encoded.landmarks.points
        right, left = self._encoder.outer_eye_corners
        return roi_around(points, points[right], points[left])

    def _observation(self, track: _Track) -> FaceObservation:
        encoded = track.encoded
        return FaceObservation(
            face_id=track.id,
            age=self._calls - 1 - track.first_call,
            landmarks=encoded.landmarks,
            presence=encoded.presence,
            box=_box(encoded.landmarks.points),
            arkit_hint=encoded.arkit_hint,
        )


def _detected_roi(found: Detection) -> Roi:
    """The crop for a detection: its box, enlarged and turned so that the eyes lie level (MediaPipe's face_detector
    graph).
    """
    x, y, width, height = map(float, found.box)
    right_eye, left_eye = found.keypoints[0], found.keypoints[1]
    rotation = math.atan2(float(left_eye[1] - right_eye[1]), float(left_eye[0] - right_eye[0]))
    return Roi(x + width / 2, y + height / 2, FACE_MARGIN * max(width, height), rotation)


def _distance(one: Roi, other: Roi) -> float:
    """Distance of the centres over the mean side."""
    return math.hypot(one.cx - other.cx, one.cy - other.cy) / ((one.size + other.size) / 2)


def _box(points: Float32) -> Float32:
    low, high = points[:, :2].min(axis=0), points[:, :2].max(axis=0)
    return np.concatenate([low, high - low])
