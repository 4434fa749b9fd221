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

HELP = "ask a running tracker for its version or schema, recentre or calibrate it, stop it"

_VERBS: Final = {
    "time": "how far its clock is from ours, and how long an answer takes",
    "version": "which tracker is running",
    "schema": "names, units and sizes of what it publishes",
    "recenter": "make the present head pose the neutral one",
    "calibrate": "look relaxed into the camera for two seconds: that becomes the neutral face; `calibrate off` ends it",
    "stop": "end it; a take it records is closed properly",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "cmd", metavar="REQUEST", help=f"{', '.join(_VERBS)}, or another verb that the tracker knows (docs/wire.md)"
    )
    parser.add_argument(
        "fields", nargs="*", metavar="KEY=VALUE", help="what the request takes besides; values are JSON or else text"
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
        fields: dict[str, object] = {}
        words = args.fields
        if args.cmd == "calibrate" and words[:1] in (["off"], ["status"]):
            fields["mode"], words = words[0], words[1:]
        for field in words:
            key, equals, text = field.partition("=")
            if not equals or key in ("", "cmd"):
                raise ConfigError(f"a request takes KEY=VALUE, got {field!r}")
            try:
                fields[key] = json.loads(text)
            except ValueError:
                fields[key] = text
        ask = partial(request, endpoint, args.cmd, timeout_s=args.timeout, curve_keys=args.curve_keys)
        answer = ask(fields=fields)
        if args.cmd == "calibrate" and answer.get("state") == "calibrating" and "mode" not in fields:
            answer = _outcome(ask, answer["ticket"])
            if answer["state"] != "calibrated":
                raise PublishError(f"not calibrated: {answer.get('reason', 'it was ended')}")
    sys.stdout.write(json.dumps(answer, indent=2, ensure_ascii=False) + "\n")
    return 0


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
