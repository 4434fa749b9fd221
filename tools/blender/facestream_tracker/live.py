"""The live connection: a timer that drains the stream and drives what the settings name. One at a time."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import bpy

from .building import adopt_identity, is_built_from
from .driving import channels
from .feed import ControlRequest, FaceState, Feed, Frame
from .head_model import BUNDLED, HeadError, HeadModel, read_head
from .properties import settings_of
from .samples import Clip, Recorder

if TYPE_CHECKING:
    from .properties import FaceStreamSettings

TICK_S = 1 / 120
_IDLE_S = 1 / 20
"""Between looks for a tracker that is not there."""
_REDRAW_S = 0.25
_SHAPE_EVERY_S = 2.0


class Session:
    """A connection and what became of it.

    No reference to anything in the file is kept between ticks: undo and loading replace it all.
    """

    def __init__(self, endpoint: str) -> None:
        self.feed = Feed(endpoint)
        self.recorder: Recorder | None = None
        self.request: ControlRequest | None = None
        self.note = ""
        """What the last request brought."""
        self.target_problem = ""
        self.following: int | None = None
        """Id of the face that is followed."""
        self._redrawn_at = 0.0
        self._shaped_at = 0.0
        self._shape_version: tuple[str, str, int, int] | None = None

    @property
    def state(self) -> str:
        """The stream in a line."""
        return self.feed.state

    def close(self) -> None:
        self.feed.close()
        if self.request is not None:
            self.request.close()

    def step(self, scene: bpy.types.Scene) -> None:
        """Take what has come and drive the scene by the newest frame."""
        settings = settings_of(scene)
        frames = self.feed.poll(every_frame=self.recorder is not None)
        newest: FaceState | None = None
        for frame in frames:
            newest = self._choose(frame, settings.face_id)
            if self.recorder is not None and newest is not None:
                sample = newest.sample.mirrored() if settings.mirror else newest.sample
                self.recorder.add(frame.stream, frame.t_capture_ns, frame.arrival_ns, sample)
        if newest is not None:
            self._drive(settings, newest)
            self._adopt_shape(settings, newest.id)
        if self.request is not None and self.request.poll():
            answer = self.request.answer or {}
            self.note = str(answer.get("error", "")) or "recentred: this head pose is neutral now"
            self.request = None

    def _choose(self, frame: Frame, wanted: int) -> FaceState | None:
        by_id = {face.id: face for face in frame.faces}
        if wanted:
            self.following = wanted
        elif self.following not in by_id:
            self.following = max(frame.faces, key=lambda face: face.area_px).id if frame.faces else None
        return None if self.following is None else by_id.get(self.following)

    def _drive(self, settings: FaceStreamSettings, face: FaceState) -> None:
        sample = face.sample.mirrored() if settings.mirror else face.sample
        driven, problems = channels(settings)
        for channel in driven:
            channel.apply(sample)
        self.target_problem = "; ".join(problems)

    def _adopt_shape(self, settings: FaceStreamSettings, face_id: int) -> None:
        schema, known = self.feed.schema, self.feed.identities.get(face_id)
        if not settings.adopt_shape or schema is None or known is None:
            return
        name = str(schema["model"]["name"])
        head = settings.face
        if head is None or not is_built_from(head, name) or time.monotonic() < self._shaped_at + _SHAPE_EVERY_S:
            return
        if head.mode == "EDIT":
            # Leaving edit mode would write the old shape back.
            return
        version = (head.name, str(schema["stream"]), face_id, known[0])
        if version == self._shape_version:
            return
        try:
            model = load_head(settings.head_file)
        except HeadError as error:
            self.target_problem = str(error)
            return
        if len(known[1]) == model.identity_count:
            adopt_identity(head, model, known[1])
            self._shape_version, self._shaped_at = version, time.monotonic()

    def redraw_due(self) -> bool:
        """Whether the panel should be drawn again; a few times a second are enough to read it."""
        if time.monotonic() < self._redrawn_at + _REDRAW_S:
            return False
        self._redrawn_at = time.monotonic()
        return True


_session: Session | None = None
_head: tuple[str, HeadModel] | None = None


def session() -> Session | None:
    """The live connection, if there is one."""
    return _session


def load_head(file: str) -> HeadModel:
    """The face model of a settings' ``head_file``; read once. Raises HeadError."""
    global _head
    if _head is None or _head[0] != file:
        from pathlib import Path

        _head = file, read_head(Path(bpy.path.abspath(file)) if file else BUNDLED)
    return _head[1]


def start(endpoint: str) -> Session:
    """Connect, or connect anew.

    Raises:
        ValueError: the endpoint is unusable.
    """
    global _session
    fresh = Session(endpoint)
    stop()
    _session = fresh
    # Persistent: loading another file goes on driving what that file's settings name.
    bpy.app.timers.register(_tick, first_interval=0.0, persistent=True)
    return fresh


def stop() -> Clip | None:
    """Disconnect; what was being recorded, if anything was."""
    global _session, _head
    if bpy.app.timers.is_registered(_tick):
        bpy.app.timers.unregister(_tick)
    clip = None
    if _session is not None:
        if _session.recorder is not None:
            clip = _session.recorder.clip
        _session.close()
    _session = _head = None
    _redraw()
    return clip


def _tick() -> float | None:
    if _session is None:
        return None
    _session.step(_scene())
    if _session.redraw_due():
        _redraw()
    return TICK_S if _session.feed.connected else _IDLE_S


def _scene() -> bpy.types.Scene:
    # A timer has no window of its own.
    manager = bpy.context.window_manager
    return manager.windows[0].scene if manager is not None and manager.windows else bpy.data.scenes[0]


def _redraw() -> None:
    manager = bpy.context.window_manager
    for window in manager.windows if manager is not None else ():
        for area in window.screen.areas:
            if area.type == "VIEW_3D":
                for region in area.regions:
                    if region.type == "UI":
                        region.tag_redraw()
