"""What a running session can be asked to do: the handlers behind its control socket (docs/wire.md, "Control")."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tracker.errors import ConfigError

if TYPE_CHECKING:
    from tracker.publishing.control import Handler
    from tracker.recording.switch import TakeSwitch
    from tracker.sources.base import FrameSource
    from tracker.tracking import FrameTracker

Answer = dict[str, Any]


def tracker_handlers(tracker: FrameTracker) -> dict[str, Handler]:
    """``recenter`` and ``calibrate``."""

    def recenter(request: Mapping[str, Any]) -> Answer:
        tracker.request_recenter()
        return {"ok": True}

    def calibrate(request: Mapping[str, Any]) -> Answer:
        mode, gaze = request.get("mode", "neutral"), request.get("gaze", False)
        if mode not in ("neutral", "off", "status") or not isinstance(gaze, bool):
            raise ConfigError(
                "calibrate takes mode neutral, off or status, and gaze true or false; "
                f"got mode {mode!r:.40}, gaze {gaze!r:.40}"
            )
        if mode == "neutral":
            tracker.request_calibration(gaze=gaze)
        elif mode == "off":
            tracker.end_calibration()
        status = tracker.calibration_status
        answer = {"ok": True, "state": status.state, "ticket": status.ticket}
        return answer if status.reason is None else {**answer, "reason": status.reason}

    return {"recenter": recenter, "calibrate": calibrate}


def recording_handlers(takes: TakeSwitch) -> dict[str, Handler]:
    """``record.start``, ``record.stop`` and ``record.status``."""

    def start(request: Mapping[str, Any]) -> Answer:
        path, force = request.get("path"), request.get("force", False)
        if not isinstance(path, str) or not path or "\0" in path or not isinstance(force, bool):
            raise ConfigError(
                "record.start takes path, the take's file on the tracker's machine (.npz, .jsonl, .csv ...), and force true "
                f"or false; got path {path!r:.60}, force {force!r:.20}"
            )
        take = Path(path).expanduser().absolute()
        takes.start(take, overwrite=force)
        return {"ok": True, "path": str(take)}

    def stop(request: Mapping[str, Any]) -> Answer:
        path, frames = takes.stop()
        return {"ok": True, "path": str(path), "frames": frames}

    def status(request: Mapping[str, Any]) -> Answer:
        path = takes.path
        return {"recording": path is not None, "path": None if path is None else str(path), "frames": takes.frame_count}

    return {"record.start": start, "record.stop": stop, "record.status": status}


def source_handlers(
    check: Callable[[], None],
    open_source: Callable[[str], FrameSource],
    change_source: Callable[[FrameSource], None],
) -> dict[str, Handler]:
    """``cameras.list`` and ``camera.open``. ``check`` raises ``ConfigError`` while the source must not be changed."""

    def cameras(request: Mapping[str, Any]) -> Answer:
        from tracker.sources.webcam import list_cameras

        found = list_cameras()
        refused = [{"path": str(path), "reason": reason} for path, reason in found.refused]
        return {"cameras": [camera.to_message() for camera in found.found], "refused": refused}

    def open_(request: Mapping[str, Any]) -> Answer:
        spec = request.get("source")
        if not isinstance(spec, str) or not spec:
            raise ConfigError(f"camera.open takes source, such as webcam:1 or a video file, got {spec!r:.60}")
        # Asked first: to open a camera takes seconds, and may disturb the one that is recorded.
        check()
        source = open_source(spec)
        try:
            change_source(source)
        except ConfigError:
            source.close()
            raise
        return {"ok": True, "source": source.name}

    return {"cameras.list": cameras, "camera.open": open_}
