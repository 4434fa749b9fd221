"""``tracker replay``: a take back onto the wire."""

from __future__ import annotations

import argparse
import sys
import threading
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tracker.cli.signals import stopping_on_signals
from tracker.publishing.config import add_arguments as add_publishing_arguments
from tracker.publishing.config import from_args as publishing_config

if TYPE_CHECKING:
    from tracker.publishing.publisher import Publisher
    from tracker.recording import Take
    from tracker.recording.replay import ReplayStatus

# Subscribers that are already waiting knock ten times a second; they should get the first frame too.
_GATHERING_S = 0.3

HELP = "send a recorded take over ZeroMQ again, at its own pace"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "take",
        type=Path,
        metavar="TAKE",
        help="a take of any format, or the .part that a recording which was cut off has left",
    )
    parser.add_argument(
        "--speed", type=float, default=1.0, metavar="X",
        help="play at X times the speed it was recorded at (default 1)",
    )  # fmt: skip
    parser.add_argument("--loop", action="store_true", help="begin again at the end, until Ctrl-C")
    parser.add_argument("--quiet", action="store_true", help="no status line")
    add_publishing_arguments(parser)
    parser.epilog = """examples:
  tracker replay take.npz                     to whoever listens; see `tracker listen` in another terminal
  tracker replay take.npz --loop              a face to build a client against, without a camera
  tracker replay take.npz --speed 0.25        slow motion
  tracker replay take.npz.part                what a recording that was cut off has saved

Subscribers see what `tracker run` sent: the same frames with the clock "media", in a stream of their own. With --loop, times
and frame numbers go on growing and faces get new ids in every round. Ctrl-C or `tracker control stop` ends it.
"""


def run(args: argparse.Namespace) -> int:
    """Replay until the take ends, Ctrl-C or `tracker control stop`; 130 after Ctrl-C."""
    publishing = publishing_config(args)
    from tracker.publishing.control import ControlServer
    from tracker.publishing.publisher import Publisher
    from tracker.recording import read_take
    from tracker.recording.replay import check_contents, check_speed, describe_take_model, replay, skin_uv

    check_speed(args.speed)
    take = read_take(args.take)
    check_contents(take, publishing)
    stop = threading.Event()
    status = _StatusLine(args.quiet)
    with ExitStack() as stack:
        regions = take.header.regions or ()
        description = describe_take_model(take)
        publisher = stack.enter_context(Publisher(publishing, description, regions=regions))
        places = skin_uv(take)
        if places is not None:
            publisher.set_model(description, regions, places)
        if publishing.control is not None:
            handlers = {"schema": lambda request: publisher.schema, "stop": lambda request: _stop(stop)}
            stack.enter_context(ControlServer(publishing.control, handlers, security=publisher.security))
        interrupted = stack.enter_context(stopping_on_signals(stop.set))
        status.say(_announcement(take, publisher))
        stop.wait(_GATHERING_S)
        sent = replay(take, publisher, speed=args.speed, loop=args.loop, stop=stop, on_status=status.update)
        status.say(f"sent {sent} frames")
    return 130 if interrupted.is_set() else 0


def _announcement(take: Take, publisher: Publisher) -> str:
    times = take["timestamps_ns"]
    seconds = (int(times[-1]) - int(times[0])) * 1e-9 if len(times) else 0.0
    unfinished = "" if take.complete else " (incomplete: its recording ended early)"
    return f"replaying {take.path}{unfinished}: {len(take)} frames, {seconds:.1f} s, publishing on {publisher.endpoint}"


def _stop(stop: threading.Event) -> Mapping[str, Any]:
    stop.set()
    return {"ok": True}


class _StatusLine:
    """One line that is rewritten on a terminal; elsewhere only what ``say`` is told."""

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet
        self._open = False

    def update(self, status: ReplayStatus) -> None:
        if self._quiet or not sys.stderr.isatty():
            return
        again = f"  round {status.round}" if status.round > 1 else ""
        sys.stderr.write(f"\r\x1b[K{status.fps:5.1f} frames/s  frame {status.frame} of {status.frames}{again}")
        sys.stderr.flush()
        self._open = True

    def say(self, text: str) -> None:
        if not self._quiet:
            sys.stderr.write(("\n" if self._open else "") + text + "\n")
            sys.stderr.flush()
            self._open = False
