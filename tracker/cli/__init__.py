"""The ``tracker`` command (how commands work: ``engines/command_line.py``)."""

from __future__ import annotations

from typing import Final

from engines.command_line import CommandLine
from tracker import __version__
from tracker.errors import TrackerError, mendable_reason

VERBS: Final[dict[str, str]] = {
    "run": "track a camera, a video or a stream live and publish the faces over ZeroMQ",
    "process": "turn video files into takes: parameter streams on disk",
    "listen": "subscribe to a tracker and show or save what it sends",
    "replay": "send a recorded take over ZeroMQ again, at its own pace",
    "convert": "turn takes into other formats: Live Link CSV, glTF, USD, BVH, FBX, Parquet, MCAP, and back",
    "render": "draw a take over its video, for the eye: mesh, landmarks, skin, light, another light",
    "bridge": "send a running tracker's faces on to Unreal, VSeeFace, VRChat, VTube Studio and others",
    "view": "look at a running tracker, at a camera or clip tracked on the spot, or at a take",
    "hello": "first run: are camera, light and distance good, and what would be better?",
    "enroll": "get to know one person from a clip or the camera, for --identity",
    "control": "ask a running tracker for its version or schema, recentre, calibrate, record, change its source, stop it",
    "bench": "measure speed and latency on this machine",
    "cameras": "list the cameras of this machine with their formats",
    "models": "fetch and list the neural networks; import, list and remove face models",
    "samples": "fetch clips and stills to try the tracker with",
    "doctor": "say what this machine can do, what is missing, and how to mend it",
}
"""Verb -> one line for the overview."""

_OVERVIEW: Final = """\
tracker {version}: real-time 3D face tracking

usage: tracker [-v] VERB [options]

{verbs}

first steps:
  tracker doctor                            is everything here?
  tracker models fetch                      bring the neural networks, once
  tracker hello                             are camera, light and distance good?
  tracker run --source webcam               track yourself
  tracker process clip.mp4 -o take.npz      or a video
  tracker listen                            in another terminal: see what is published

options:
  -v, --verbose  log what happens, show tracebacks (-vv: more)
  --version      print the version
  -h, --help     this text; `tracker VERB --help` teaches a verb
"""


def _explain(error: Exception) -> tuple[str, int] | None:
    if isinstance(error, TrackerError):
        return str(error), error.exit_code
    if isinstance(error, ModuleNotFoundError) and (error.name or "").partition(".")[0] not in ("tracker", "engines"):
        return f"the Python package {error.name!r} is missing; `tracker doctor` tells more", 1
    reason = mendable_reason(error) if isinstance(error, OSError) else None
    return None if reason is None else (reason, 1)


_COMMAND: Final = CommandLine("tracker", VERBS, _OVERVIEW, _explain, __version__)
main = _COMMAND.main
parser_of = _COMMAND.parser_of
