"""``tracker bridge``: a running tracker's stream in the protocols of other tools."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tracker.errors import ConfigError, PublishError
from tracker.publishing.config import DEFAULT_BIND, parse_endpoint

if TYPE_CHECKING:
    from tracker.bridges import BridgeHub
    from tracker.face_model import FaceModel

HELP = "send a running tracker's faces on to Unreal, VSeeFace, VRChat, VTube Studio and others"

_PATIENCE_S = 0.5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_to_argument(parser, required=False)
    parser.add_argument("--list", action="store_true", help="list the protocols with their ports and options")
    parser.add_argument(
        "--connect", metavar="ENDPOINT", default=DEFAULT_BIND,
        help=f"the tracker's --bind: tcp://HOST:PORT, HOST:PORT or PORT (default {DEFAULT_BIND})",
    )  # fmt: skip
    parser.add_argument("--curve-keys", type=Path, metavar="DIR", help="our key folder, for a tracker that encrypts")
    parser.add_argument("--until-end", action="store_true", help="leave when the tracker ends its stream")
    parser.add_argument("--quiet", action="store_true", help="no notes")
    parser.epilog = """examples:
  tracker bridge --list                               what there is
  tracker bridge --to livelink                        Unreal Engine on this machine
  tracker bridge --to vmc --to livelink=192.168.1.5   two receivers at once
  tracker bridge --to 'vmc?presets=vrm1&neck=0.5'     options follow a question mark; quote them in the shell
  tracker run --source webcam --to livelink           the same inside the tracker, without a second process

docs/bridges.md tells how to set the receivers up. It may be started before the tracker and survives its restart.
"""


def add_to_argument(parser: argparse.ArgumentParser | argparse._ArgumentGroup, *, required: bool = False) -> None:
    """Declare ``--to``, the same for every verb."""
    parser.add_argument(
        "--to", action="append", default=[], required=required, metavar="NAME[=HOST[:PORT]]",
        help="send to another tool too, repeatable; `tracker bridge --list` names the protocols",
    )  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Forward until Ctrl-C (130) or, with ``--until-end``, until the tracker ends its stream."""
    if args.list:
        sys.stdout.write(listing())
        return 0
    if not args.to:
        raise ConfigError("say where to send: --to NAME[=HOST[:PORT]] (`tracker bridge --list` names the protocols)")
    from tracker.bridges import BridgeHub, BridgeSpec

    endpoint = parse_endpoint(args.connect, "--connect")
    specs = [BridgeSpec.parse(text) for text in args.to]

    def note(line: str) -> None:
        if not args.quiet:
            sys.stderr.write(line + "\n")
            sys.stderr.flush()

    with BridgeHub(specs, note) as hub:
        for worker in hub.workers:
            note(f"sending {worker.target}")
        try:
            _forward(args, endpoint, hub, note)
        except KeyboardInterrupt:
            return 130
    return 0


def _forward(args: argparse.Namespace, endpoint: str, hub: BridgeHub, note: Callable[[str], None]) -> None:
    from tracker.publishing import wire
    from tracker.publishing.client import Subscriber
    from tracker.publishing.results import to_frame_result

    with Subscriber(endpoint, curve_keys=args.curve_keys) as subscriber:
        last_s, waiting, known = time.monotonic(), False, None
        while True:
            try:
                message = subscriber.receive(_PATIENCE_S)
            except PublishError as error:
                note(str(error))
                continue
            if message is None:
                if not waiting and time.monotonic() - last_s > 2 * _PATIENCE_S:
                    waiting = True
                    note(f"waiting for a tracker at {endpoint} (Ctrl-C leaves)")
                continue
            last_s, waiting = time.monotonic(), False
            if hub.needs_model and subscriber.schema is not None and subscriber.schema["model"]["sha256"] != known:
                known = subscriber.schema["model"]["sha256"]
                hub.model = _find_model(subscriber.schema["model"])
            if message.topic == wire.TOPIC_FRAME and subscriber.schema is not None:
                hub(to_frame_result(message.payload, subscriber.schema, subscriber.identities))
            elif message.topic == wire.TOPIC_EVENT and message.payload["event"] == "ended" and args.until_end:
                return


def _find_model(announced: Mapping[str, Any]) -> FaceModel | None:
    """The face model of the stream, if it is on this machine."""
    from tracker.errors import FaceModelError
    from tracker.face_model import load_named_model

    try:
        model = load_named_model(announced["name"], announced["sha256"])
    except FaceModelError:
        return None
    return model if model.sha256 == announced["sha256"] else None


def listing() -> str:
    """The protocols as a table of lines."""
    from tracker.bridges.registry import BRIDGES

    lines = []
    for entry in BRIDGES.values():
        address = f"{entry.host}:{entry.port}" if entry.port else "whole network"
        lines.append(f"{entry.name:14}{address:<18}{entry.reads}")
        lines.extend(f"{'':14}  ?{option}=…  {text}" for option, text in entry.options.items())
    return "\n".join(lines) + "\n"
