"""``tracker control``: one request to a running tracker."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

from tracker.publishing.config import DEFAULT_CONTROL, parse_endpoint

_LONGEST_TIMEOUT_S: Final = 3600.0
_POLL_S: Final = 0.2
_CAPTURE_S: Final = 10.0
_OPEN_S: Final = 15.0

HELP = "ask a running tracker for its version or schema, recentre, calibrate, record, change its source, stop it"

_VERBS: Final = {
    "time": "how far its clock is from ours, and how long an answer takes",
    "version": "which tracker is running",
    "schema": "names, units and sizes of what it publishes",
    "recenter": "make the present head pose the neutral one",
    "calibrate": "look relaxed into the camera for two seconds: that becomes the neutral face; `calibrate off` ends it",
    "record": "`record start PATH` begins a take, `record stop` ends it, `record` says what is being recorded",
    "cameras": "the cameras of the tracker's machine",
    "open": "`open SOURCE` goes on with another source: webcam:1, a video file ...",
    "stop": "end it; a take it records is closed properly",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "cmd", metavar="REQUEST", help=f"{', '.join(_VERBS)}, or another verb that the tracker knows (docs/wire.md)"
    )
    parser.add_argument(
        "fields",
        nargs="*",
        metavar="WORD|KEY=VALUE",
        help="what the request takes besides; values are JSON or else text",
    )
    parser.add_argument(
        "--connect",
        default=DEFAULT_CONTROL,
        metavar="ENDPOINT",
        help="the tracker's --bind-control (default: %(default)s)",
    )
    parser.add_argument(
        "--timeout", type=float, default=1.0, metavar="S", help="give up after S seconds (default: %(default)g)"
    )
    parser.add_argument("--curve-keys", type=Path, metavar="DIR", help="our key folder, for a tracker that encrypts")
    verbs = "\n".join(f"  {verb:<10}{meaning}" for verb, meaning in _VERBS.items())
    parser.epilog = f"""requests:
{verbs}

examples:
  tracker control version
  tracker control time --connect 192.168.1.20:5557 --curve-keys ~/.tracker-keys
  tracker control schema | python -c "import json, sys; print(json.load(sys.stdin)['model']['name'])"
  tracker control calibrate                             waits for the outcome; gaze=true: also straight ahead
  tracker control calibrate off
  tracker control record start take.npz                 force=true replaces an existing file
  tracker control record stop
  tracker control open webcam:1
  tracker control stop

The answer is printed as JSON. Nobody there, or a tracker that says no: one line on stderr and exit code 1.
"""


def run(args: argparse.Namespace) -> int:
    """Send the request and print the answer."""
    from tracker.errors import ConfigError, PublishError
    from tracker.publishing.client import estimate_clock_offset, request

    endpoint = parse_endpoint(args.connect, "--connect")
    if not 0 < args.timeout <= _LONGEST_TIMEOUT_S:
        raise ConfigError(f"--timeout must be above 0 and at most {_LONGEST_TIMEOUT_S:g} seconds, got {args.timeout:g}")
    if args.cmd == "time":
        offset = estimate_clock_offset(endpoint, timeout_s=args.timeout, curve_keys=args.curve_keys)
        answer: dict[str, object] = {
            "offset_ms": offset.offset_ns * 1e-6,
            "roundtrip_ms": offset.roundtrip_ns * 1e-6,
            "samples": offset.samples,
        }
    else:
        verb, fields, words = _spelled_out(args.cmd, args.fields)
        for field in words:
            key, equals, text = field.partition("=")
            if not equals or key in ("", "cmd"):
                raise ConfigError(f"a request takes KEY=VALUE, got {field!r}")
            try:
                fields[key] = json.loads(text)
            except ValueError:
                fields[key] = text
        # To open a camera takes seconds, and an answer that comes is worth waiting for.
        timeout_s = max(args.timeout, _OPEN_S) if verb in ("camera.open", "cameras.list") else args.timeout
        ask = partial(request, endpoint, verb, timeout_s=timeout_s, curve_keys=args.curve_keys)
        answer = ask(fields=fields)
        if args.cmd == "calibrate" and answer.get("state") == "calibrating" and "mode" not in fields:
            answer = _outcome(ask, answer["ticket"])
            if answer["state"] != "calibrated":
                raise PublishError(f"not calibrated: {answer.get('reason', 'it was ended')}")
    sys.stdout.write(json.dumps(answer, indent=2, ensure_ascii=False) + "\n")
    return 0


def _spelled_out(cmd: str, words: list[str]) -> tuple[str, dict[str, object], list[str]]:
    """The verb, the fields that plain words stand for, and the words that are left."""
    from tracker.errors import ConfigError

    first = words[0] if words and "=" not in words[0] else None
    if cmd == "calibrate" and first in ("off", "status"):
        return cmd, {"mode": first}, words[1:]
    if cmd == "calibrate" and first is not None:
        raise ConfigError(f"calibrate takes off, status or gaze=true, got '{first}'")
    if cmd == "record" and first in (None, "status"):
        return "record.status", {}, words[1:] if first else words
    if cmd == "record" and first == "stop":
        return "record.stop", {}, words[1:]
    if cmd == "record" and first == "start":
        if len(words) < 2 or not words[1]:
            raise ConfigError("say where to: tracker control record start take.npz")
        # The tracker may have been started in another folder.
        return "record.start", {"path": str(Path(words[1]).absolute())}, words[2:]
    if cmd == "record":
        raise ConfigError(f"record takes start PATH, stop or status, got '{first}'")
    if cmd == "cameras":
        return "cameras.list", {}, words
    if cmd == "open":
        if not first:
            raise ConfigError("say what to open: tracker control open webcam:1")
        source = Path(first)
        return "camera.open", {"source": str(source.absolute()) if source.exists() else first}, words[1:]
    return cmd, {}, words


def _outcome(ask: Callable[..., dict[str, Any]], ticket: object) -> dict[str, Any]:
    """How a calibration ended. Raises PublishError when the tracker gets no frames to do it with."""
    from tracker.errors import PublishError

    deadline_s = time.monotonic() + _CAPTURE_S
    while time.monotonic() < deadline_s:
        time.sleep(_POLL_S)
        answer = ask(fields={"mode": "status"})
        if answer["state"] != "calibrating" or answer["ticket"] != ticket:
            return answer
    raise PublishError(f"the calibration is still waiting after {_CAPTURE_S:g} s: does the tracker get pictures?")
