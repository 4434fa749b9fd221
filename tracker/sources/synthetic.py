"""A moving synthetic face with known parameters, for trying things without a camera."""

from __future__ import annotations

import math
import threading
import time
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from tracker.arkit import ARKIT_INDEX, ARKIT_NAMES
from tracker.camera import Camera
from tracker.errors import SourceError
from tracker.face_model import FaceModel, load_face_model
from tracker.rotations import head_rotvec_from_matrix, matrix_from_rotvec
from tracker.sources.base import FrameSource
from tracker.types import FaceParams, Frame, ImageRGB

if TYPE_CHECKING:
    from tracker.rendering.scene import FaceScene

Float32 = NDArray[np.float32]
Packed = NDArray[np.integer | np.floating]
"""A compressed picture as OpenCV hands it out."""

LOOP_S: Final = 10
"""The face repeats its motion after this many seconds."""
_DISTANCE_M: Final = 0.60
_SUPERSAMPLE: Final = 1.25
_NOISE: Final = 1.0
_MIN_SIDE_PX: Final = 32
_MAX_SIDE_PX: Final = 4096
_KEPT_PIXELS: Final = 640 * 480
_JPEG: Final = (cv2.IMWRITE_JPEG_QUALITY, 96, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444)
_BLINKS_S: Final = (1.2, 3.9, 6.3, 6.75, 8.9)
_TURN: Final = 2.0 * math.pi / LOOP_S


class SyntheticSource(FrameSource):
    """A synthetic person who looks around, blinks, talks and smiles.

    What a frame shows is a function of its index alone: see ``truth``. Live, a thread draws ahead and hands frames out at
    their rate, stamped with the moment they are handed out; a machine that cannot keep up sees the motion slowed down,
    never a wrong truth. Not live, frames come as fast as they are read, with media times.
    """

    def __init__(
        self,
        size: tuple[int, int] = (640, 480),
        rate: Fraction = Fraction(30),
        frames: int | None = None,
        live: bool = True,
    ) -> None:
        """Prepare a face of ``size`` (width, height) pixels at ``rate`` frames/s, ending after ``frames`` if given.

        Raises:
            SourceError: the size is out of range.
        """
        width, height = size
        if not (min(size) >= _MIN_SIDE_PX and max(size) <= _MAX_SIDE_PX):
            raise SourceError(
                f"test: a size of {_MIN_SIDE_PX} to {_MAX_SIDE_PX} pixels was expected, got {width}x{height}"
            )
        self.name = "test"
        self.size = size
        self.rate = rate
        self.live = live
        self.frame_count = frames
        self.frame_count_exact = frames is not None
        self.camera = Camera.for_image(width, height)
        """What the face is seen through: the camera that the tracker assumes for this size."""
        self._rate = rate
        self._film = _Film(self.camera, rate)
        self._next = 0
        self._changed = threading.Condition()
        self._shot: Frame | None = None
        self._finished = False
        self._failure: Exception | None = None
        self._thread: threading.Thread | None = None
        if live:
            self._thread = threading.Thread(target=self._work, name="capture test", daemon=True)
            self._thread.start()

    def truth(self, index: int) -> tuple[Float32, FaceParams]:
        """Identity (Ni,) and parameters of the built-in head in frame ``index``; jaw and eyes are the joints' whole rotation."""
        return self._film.truth(index)

    def read(self) -> Frame | None:
        if self.state in ("ended", "closed"):
            return None
        frame = self._newest() if self.live else self._following()
        if frame is None and self.state != "closed":
            self.state = "ended"
        return frame

    def close(self) -> None:
        with self._changed:
            super().close()
            self._changed.notify_all()
        # A thread that is still drawing when the interpreter ends takes the whole process down with it.
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()

    def _following(self) -> Frame | None:
        index = self._next
        if self.frame_count is not None and index >= self.frame_count:
            return None
        self._next += 1
        pts_s = index / self._rate
        return Frame(
            image=self._film.picture(index),
            index=index,
            t_capture_ns=round(pts_s * 1_000_000_000),
            clock="media",
            t_unix_ns=time.time_ns(),
            pts_s=pts_s,
            rate=self.rate,
        )

    def _newest(self) -> Frame | None:
        with self._changed:
            self._changed.wait_for(lambda: self._shot is not None or self._finished or self.state == "closed")
            if self._failure is not None:
                raise self._failure
            frame, self._shot = self._shot, None
            return None if self.state == "closed" else frame

    def _work(self) -> None:
        try:
            self._shoot()
        except Exception as error:  # raised where frames are read
            self._failure = error
        with self._changed:
            self._finished = True
            self._changed.notify_all()

    def _shoot(self) -> None:
        period_ns = round(1_000_000_000 / self._rate)
        due_ns: int | None = None
        while self.state != "closed" and (self.frame_count is None or self._next < self.frame_count):
            image = self._film.picture(self._next)
            due_ns = time.monotonic_ns() if due_ns is None else due_ns
            with self._changed:
                wait_s = max(0.0, (due_ns - time.monotonic_ns()) * 1e-9)
                if self._changed.wait_for(lambda: self.state == "closed", wait_s):
                    break
                now_ns = time.monotonic_ns()
                self.dropped += self._shot is not None
                self._shot = Frame(image, self._next, now_ns, "CLOCK_MONOTONIC", time.time_ns(), None, self.rate)
                self._next += 1
                self._changed.notify_all()
            due_ns = max(due_ns + period_ns, now_ns)


class _Film:
    """The pictures of one loop of motion, drawn when first asked for and kept compressed."""

    def __init__(self, camera: Camera, rate: Fraction) -> None:
        self._camera = camera
        self._count = max(1, round(LOOP_S * rate))
        self._model = load_face_model()
        self._identity = person(self._model)
        self._scene: FaceScene | None = None
        self._kept: dict[int, Packed] | None = {} if camera.width * camera.height <= _KEPT_PIXELS else None

    def truth(self, index: int) -> tuple[Float32, FaceParams]:
        t_s = (index % self._count) / self._count * LOOP_S
        return self._identity, motion(self._model, t_s)

    def picture(self, index: int) -> ImageRGB:
        index %= self._count
        if self._kept is None:
            return self._drawn(index)
        # Kept compressed: a loop of raw frames would take hundreds of megabytes, and drawing one takes longer than unpacking.
        packed = self._kept.get(index)
        if packed is None:
            _, packed = cv2.imencode(".jpg", cv2.cvtColor(self._drawn(index), cv2.COLOR_RGB2BGR), _JPEG)
            self._kept[index] = packed
        bgr = np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR), np.uint8)
        return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)

    def _drawn(self, index: int) -> ImageRGB:
        if self._scene is None:
            from tracker.rendering.scene import FaceScene

            self._scene = FaceScene(self._model, supersample=_SUPERSAMPLE, noise=_NOISE)
        identity, params = self.truth(index)
        return self._scene.render(identity, params, self._camera, index)


def person(model: FaceModel) -> Float32:
    """The identity (Ni,) of the synthetic person: an unremarkable draw from the population."""
    return np.random.default_rng(7).normal(0.0, 0.6, model.identity_count).astype(np.float32)


def motion(model: FaceModel, t_s: float) -> FaceParams:
    """What the synthetic person does at ``t_s`` seconds; repeats after ``LOOP_S``."""
    weights = _expression(t_s)
    expression = np.array([weights.get(name, 0.0) for name in model.expression_names], np.float32)
    turn = _TURN * t_s
    yaw = 0.36 * math.sin(turn) + 0.10 * math.sin(3.0 * turn + 0.6)
    pitch = 0.13 * math.sin(2.0 * turn + 1.0) + 0.05 * math.sin(5.0 * turn)
    roll = 0.12 * math.sin(turn + 2.2) + 0.04 * math.sin(4.0 * turn)
    # Half a turn about x brings head axes (y up, z out of the face) to a face that looks into the camera.
    rotation = matrix_from_rotvec(np.array([math.pi, 0.0, 0.0]))
    for axis, angle in ((1, yaw), (0, -pitch), (2, roll)):
        rotation = rotation @ matrix_from_rotvec(angle * np.eye(3)[axis])
    place = (
        0.020 * math.sin(turn + 0.4),
        0.012 * math.sin(2.0 * turn),
        _DISTANCE_M + 0.035 * math.sin(turn + 1.5),
    )
    params = replace(
        model.neutral_params(),
        expression=expression,
        rotation=head_rotvec_from_matrix(rotation).astype(np.float32),
        translation=np.array(place, np.float32),
        eyelids=expression[[model.expression_names.index(name) for name in ("eyeBlinkLeft", "eyeBlinkRight")]],
    )
    return model.with_joint_rotations(params)


def _expression(t_s: float) -> dict[str, float]:
    """ARKit weights by name at ``t_s``."""
    weights = np.zeros(len(ARKIT_NAMES))

    def add(amount: float, *names: str) -> None:
        for name in names:
            weights[ARKIT_INDEX[name]] += amount

    # Gaze wanders; lids follow a look down.
    sideways = 0.45 * math.sin(2.0 * _TURN * t_s + 0.3)
    upwards = 0.25 * math.sin(3.0 * _TURN * t_s + 1.1)
    add(max(sideways, 0.0), "eyeLookOutLeft", "eyeLookInRight")
    add(max(-sideways, 0.0), "eyeLookInLeft", "eyeLookOutRight")
    add(max(upwards, 0.0), "eyeLookUpLeft", "eyeLookUpRight")
    add(max(-upwards, 0.0), "eyeLookDownLeft", "eyeLookDownRight")
    blink = max(_bump(t_s, at, 0.28) for at in _BLINKS_S)
    add(blink, "eyeBlinkLeft", "eyeBlinkRight")

    talk = _window(t_s, 1.6, 5.2)
    syllable = 0.5 - 0.5 * math.cos(2.0 * math.pi * 2.6 * t_s)
    add(0.42 * talk * syllable, "jawOpen")
    add(0.35 * talk * (0.5 - 0.5 * math.cos(2.0 * math.pi * 1.1 * t_s)), "mouthFunnel")
    add(0.25 * talk * syllable, "mouthLowerDownLeft", "mouthLowerDownRight")
    add(0.45 * _bump(t_s, 3.2, 1.2), "browInnerUp", "browOuterUpLeft", "browOuterUpRight")

    smile = _window(t_s, 5.7, 8.3)
    add(0.75 * smile, "mouthSmileLeft", "mouthSmileRight")
    add(0.35 * smile, "cheekSquintLeft", "cheekSquintRight")
    add(0.55 * _bump(t_s, 9.3, 1.0), "mouthPucker")
    add(0.40 * _bump(t_s, 9.4, 1.0), "browDownLeft", "browDownRight")
    return dict(zip(ARKIT_NAMES, np.clip(weights, 0.0, 1.0).tolist(), strict=True))


def _bump(t_s: float, at_s: float, width_s: float) -> float:
    """A raised cosine of this width around ``at_s``."""
    x = (t_s - at_s) / width_s
    return 0.5 + 0.5 * math.cos(2.0 * math.pi * x) if abs(x) < 0.5 else 0.0


def _window(t_s: float, start_s: float, end_s: float, edge_s: float = 0.4) -> float:
    """1 between the two times with soft edges inside them."""
    rise = min(max((min(t_s - start_s, end_s - t_s)) / edge_s, 0.0), 1.0)
    return rise * rise * (3.0 - 2.0 * rise)
