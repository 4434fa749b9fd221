"""A take back onto the wire at its own pace."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from tracker.errors import ConfigError, FaceModelError
from tracker.face_model.model import JOINT_NAMES
from tracker.publishing.config import PublishConfig
from tracker.publishing.publisher import Publisher
from tracker.publishing.schema import ModelDescription
from tracker.recording.take import Take
from tracker.types import Float32, FrameResult

_STATUS_PERIOD_S = 0.5
_DEFAULT_FRAME_NS = 33_333_333


@dataclass(frozen=True, slots=True)
class ReplayStatus:
    """How far a replay is."""

    frame: int
    """Frames of this round that were sent."""
    frames: int
    """Frames of the take."""
    round: int
    """From 1."""
    fps: float
    """Sent per second, over the last half second."""


def describe_take_model(take: Take) -> ModelDescription:
    """What subscribers are told about the face model of a take; the model itself is not needed."""
    model = take.meta["model"]
    description = ModelDescription(
        name=str(model["name"]),
        sha256=str(model["sha256"]),
        identity_dim=take.header.identity_count,
        expression_names=take.expression_names,
        joint_names=JOINT_NAMES,
    )
    if "landmarks" not in take.arrays:
        return description
    return replace(
        description, landmark_set=str(take.meta["landmark_set"]), landmark_count=int(take["landmarks"].shape[1])
    )


def skin_uv(take: Take) -> Float32 | None:
    """Texture coordinates (P, 2) of the points that a take's albedo is at, which follow from the face model.

    None for takes without appearance, and where the very face model that they were made with is not at hand.
    """
    settings = take.meta.get("settings") or {}
    if take.header.regions is None or "albedo" not in take.arrays or settings.get("flame"):
        return None
    from tracker.appearance import place_points
    from tracker.face_model import load_face_model

    try:
        model = load_face_model(str(settings.get("face_model", "builtin")))
    except FaceModelError:
        return None
    if model.sha256 != take.meta["model"]["sha256"]:
        return None
    points = place_points(model)
    return points.uv if points.count == take["albedo"].shape[1] else None


def check_contents(take: Take, config: PublishConfig) -> None:
    """Raise ConfigError when more is to be published than was recorded."""
    if config.with_raw and not take.meta["with_raw"]:
        raise ConfigError(f"{take.path} holds no raw values: record with --with-raw, or replay without it")
    if config.with_landmarks and not take.meta["with_landmarks"]:
        raise ConfigError(f"{take.path} holds no landmarks: record with --with-landmarks, or replay without it")


def check_speed(speed: float) -> None:
    """Raise ConfigError for a speed that a replay cannot have."""
    if not 0 < speed < math.inf:
        raise ConfigError(f"--speed must be above 0, got {speed:g}")


def rounds(take: Take, *, loop: bool) -> Iterator[tuple[int, int, FrameResult]]:
    """The frames of a take as (round from 1, row, result), once or for ever, on the clock "media".

    Live takes begin at time 0; takes of files keep the media times of the file. Over the rounds of a loop frame numbers
    and times go on growing, and faces get new ids: a face that jumps back to where it was is another one to a consumer.
    """
    times = take["timestamps_ns"]
    if len(times) == 0:
        return
    start_ns = 0 if take.clock == "media" else int(times[0])
    gaps = np.diff(times)
    frame_ns = int(np.median(gaps)) if len(gaps) else _DEFAULT_FRAME_NS
    length_ns = int(times[-1] - times[0]) + max(frame_ns, 1)
    span = int(take["frame_index"][-1] - take["frame_index"][0]) + 1
    ids = 1 + max(int(take.slot_array(slot, "face_id").max()) for slot in range(take.slot_count))
    number = 0
    while True:
        for row, result in enumerate(take):
            faces = tuple(replace(face, id=face.id + number * ids) for face in result.faces)
            pts = None if result.pts_s is None else result.pts_s + Fraction(number * length_ns, 1_000_000_000)
            yield (
                number + 1,
                row,
                replace(
                    result,
                    index=result.index + number * span,
                    t_capture_ns=result.t_capture_ns - start_ns + number * length_ns,
                    clock="media",
                    faces=faces,
                    pts_s=pts,
                ),
            )
        if not loop:
            return
        number += 1


def replay(
    take: Take,
    publisher: Publisher,
    *,
    speed: float = 1.0,
    loop: bool = False,
    stop: threading.Event | None = None,
    on_status: Callable[[ReplayStatus], None] = lambda status: None,
) -> int:
    """Publish the frames of a take when they are due; returns how many.

    Args:
        take: what to send.
        publisher: where to.
        speed: 2 plays twice as fast. Very fast, subscribers lose frames, as they do live when they are slow.
        loop: begin again at the end, until stopped.
        stop: ends the replay when set, from any thread or signal handler.
        on_status: called every half second from this thread.

    Raises:
        ConfigError: ``speed`` is not above 0.
    """
    check_speed(speed)
    stop = stop or threading.Event()
    started_s = status_s = time.monotonic()
    first_ns: int | None = None
    sent = sent_before = 0
    for number, row, result in rounds(take, loop=loop):
        first_ns = result.t_capture_ns if first_ns is None else first_ns
        due_s = started_s + (result.t_capture_ns - first_ns) * 1e-9 / speed
        if stop.wait(max(0.0, due_s - time.monotonic())):
            break
        # As for other files: the moment it was read. The recorded one would show up as latency.
        publisher.publish(replace(result, t_unix_ns=time.time_ns()))
        sent += 1
        now_s = time.monotonic()
        if now_s - status_s >= _STATUS_PERIOD_S:
            status = ReplayStatus(row + 1, len(take), number, (sent - sent_before) / (now_s - status_s))
            status_s, sent_before = now_s, sent
            publisher.status({"fps": round(status.fps, 2), "frames": sent, "dropped": 0, "camera": "replay"})
            on_status(status)
    return sent
