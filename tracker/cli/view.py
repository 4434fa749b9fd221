"""``tracker view``: look at a running tracker, at a camera or clip tracked on the spot, or at a take."""

from __future__ import annotations

import argparse
import math
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tracker.cli.signals import ending_like_ctrl_c, stopping_on_signals
from tracker.cli.terminal import say
from tracker.config import add_tracking_arguments, tracking_config
from tracker.errors import ConfigError
from tracker.publishing.config import DEFAULT_BIND, PublishConfig, parse_endpoint

if TYPE_CHECKING:
    from tracker.face_model import FaceModel
    from tracker.publishing.client import Subscriber
    from tracker.view.display import Display, ViewOptions

HELP = "look at a running tracker, at a camera or clip tracked on the spot, or at a take"

_PATIENCE_S: Final = 0.5
_EPILOG: Final = """\
examples:
  tracker view                                  watch the tracker that runs on this machine
  tracker view --connect 192.168.1.20:5556      or another one
  tracker view --source webcam                  track yourself and watch, with video
  tracker view take.npz --video clip.mp4        a take with its video, on a timeline
  tracker view take.npz --save view.rrd         keep the view in a file, to share; opens nothing
  tracker view view.rrd                         open such a file
  tracker view --source webcam --web            a page for the browser instead of a window
  tracker run --source webcam --view            publish and watch at once

Needs the extra `view`: pip install 'facestream-tracker[view]'. What a stream sends has no video in it; --source and takes
with --video show it. The view runs in a process of its own and never holds up tracking: when it is slow, it leaves frames out.
Nothing is sent anywhere: the viewer's usage statistics are off, and its sockets are on this machine only. Over ssh forward both
ports that --web names: ssh -L 9090:127.0.0.1:9090 -L 9876:127.0.0.1:9876 HOST. docs/view.md tells more.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = _EPILOG
    parser.add_argument(
        "take",
        nargs="?",
        type=Path,
        metavar="TAKE",
        help="a take (.npz, .jsonl, .csv), or a view kept with --save (.rrd)",
    )
    what = parser.add_argument_group("what to look at, instead of a take")
    what.add_argument(
        "--connect", metavar="ENDPOINT",
        help=f"a tracker's --bind: tcp://HOST:PORT, HOST:PORT or PORT (default {DEFAULT_BIND})",
    )  # fmt: skip
    what.add_argument("--curve-keys", type=Path, metavar="DIR", help="our key folder, for a tracker that encrypts")
    what.add_argument("--until-end", action="store_true", help="leave when the tracker ends its stream")
    what.add_argument("--source", metavar="SPEC", help="track this here: webcam, webcam:1, a video file, test …")
    what.add_argument(
        "--speed", type=float, default=1.0, metavar="X", help="files play at X times their speed; 0: at full"
    )
    what.add_argument("--frames", type=int, metavar="N", help="leave after N frames")
    parser.add_argument("--video", metavar="FILE", help="the video that the take was made from")
    where = parser.add_argument_group("where to")
    add_view_arguments(where)
    where.add_argument(
        "--save", type=Path, metavar="FILE.rrd", help="keep the view in a file; no window unless --window"
    )
    where.add_argument("--force", action="store_true", help="overwrite the file if it exists")
    where.add_argument("--window", action="store_true", help="with --save: open a window too")
    parser.add_argument("--quiet", action="store_true", help="no notes")
    add_tracking_arguments(parser)


def add_view_arguments(group: argparse.ArgumentParser | argparse._ArgumentGroup) -> None:
    """Declare ``--web``."""
    group.add_argument(
        "--web",
        nargs="?",
        const=0,
        type=int,
        metavar="PORT",
        help="serve a page for the browser of this machine (port 9090)",
    )


def run(args: argparse.Namespace) -> int:
    """Show until the window is closed, the source ends or Ctrl-C (130)."""
    _check(args)
    from tracker.view.display import SUFFIX

    options = _options(args)
    if args.take is not None and args.take.suffix.lower() == SUFFIX:
        return _open_recording(args, options)
    if args.source is not None:
        return _track(args, options)
    try:
        with ending_like_ctrl_c():
            if args.take is not None:
                _show_take(args, options)
            else:
                _show_stream(args, options)
    except KeyboardInterrupt:
        return 130
    return 0


def _check(args: argparse.Namespace) -> None:
    given = [
        name
        for name, value in (("TAKE", args.take), ("--connect", args.connect), ("--source", args.source))
        if value is not None
    ]
    if len(given) > 1:
        raise ConfigError(
            f"{' and '.join(given)}: the view shows one of TAKE, --connect or --source; leave out the others"
        )
    if args.video is not None and args.take is None:
        raise ConfigError("--video goes with a take; to track a video and watch, pass it as --source")
    if args.frames is not None and args.frames < 1:
        raise ConfigError(f"--frames must be at least 1, got {args.frames}")
    if not (math.isfinite(args.speed) and args.speed >= 0):
        raise ConfigError(f"--speed must be 0 (as fast as possible) or a positive number, got {args.speed:g}")
    if args.web is not None and not 0 <= args.web <= 65535:
        raise ConfigError(f"--web takes a port up to 65535, got {args.web}")
    if args.web is not None and args.window:
        raise ConfigError("--web and --window: leave out one of them")


def _options(args: argparse.Namespace) -> ViewOptions:
    from tracker.view.display import ViewOptions

    if args.web is not None:
        return ViewOptions("page", args.save, args.web or None, args.force)
    return ViewOptions("window" if args.window or args.save is None else None, args.save, None, args.force)


def _open_recording(args: argparse.Namespace, options: ViewOptions) -> int:
    from tracker.view.viewer import ViewError, open_viewer

    if args.save is not None or args.video is not None:
        raise ConfigError(f"{args.take} is a view that was kept: it takes neither --save nor --video")
    if not args.take.is_file():
        raise ViewError(f"there is no file {args.take}")
    with open_viewer(options.shown or "window", (args.take,), options.port) as viewer:
        _say_address(args, viewer.address)
        try:
            while viewer.alive:
                time.sleep(0.2)
        except KeyboardInterrupt:
            return 130
    return 0


def _show_take(args: argparse.Namespace, options: ViewOptions) -> None:
    from tracker.recording import read_take
    from tracker.view.display import Display
    from tracker.view.layout import Contents
    from tracker.view.takes import show_take

    take = read_take(args.take)
    options.check()
    take.check_frames()
    model = take.load_model(args.face_model)
    contents = Contents(args.video is not None, False, bool(take.meta.get("appearance")), live=False)
    with Display(options, model, contents) as display:
        _say_address(args, display.address)
        shown = show_take(take, args.video, display, args.frames, quiet=args.quiet)
        if args.save is not None:
            _say(args, f"{args.save}: {shown} frames")
        if display.viewer is not None:
            display.wait_until_closed()


def _show_stream(args: argparse.Namespace, options: ViewOptions) -> None:
    from tracker.face_model import load_told_model
    from tracker.publishing.client import Subscriber
    from tracker.publishing.describe import check_stream_model

    endpoint = parse_endpoint(args.connect or DEFAULT_BIND, "--connect")
    options.check()
    with ExitStack() as stack:
        subscriber = stack.enter_context(Subscriber(endpoint, curve_keys=args.curve_keys))
        schema = _wait_for_schema(args, subscriber, endpoint)
        model = load_told_model(schema["model"], args.face_model)
        check_stream_model(schema, model)
        display = stack.enter_context(_open_display(args, options, model, schema))
        _follow(args, subscriber, display, model)


def _wait_for_schema(args: argparse.Namespace, subscriber: Subscriber, endpoint: str) -> dict[str, Any]:
    waiting = False
    while subscriber.schema is None:
        if subscriber.receive(2 * _PATIENCE_S) is None and not waiting:
            waiting = True
            _say(args, f"waiting for a tracker at {endpoint} (Ctrl-C leaves)")
    return subscriber.schema


def _open_display(args: argparse.Namespace, options: ViewOptions, model: FaceModel, schema: dict[str, Any]) -> Display:
    from tracker.view.display import Display
    from tracker.view.layout import Contents

    display = Display(options, model, Contents(False, True, bool(schema.get("regions")), live=True))
    _say_address(args, display.address)
    return display


def _follow(args: argparse.Namespace, subscriber: Subscriber, display: Display, model: FaceModel) -> None:
    """Show messages; frames that queued up meanwhile are left out."""
    from tracker.publishing import wire
    from tracker.publishing.describe import check_stream_model
    from tracker.publishing.results import to_frame_result
    from tracker.view.layout import Contents

    shown, stream = 0, None
    appearance = bool((subscriber.schema or {}).get("regions"))
    while display.alive and (args.frames is None or shown < args.frames):
        newest = None
        message = subscriber.receive(_PATIENCE_S)
        while message is not None:
            if message.topic == wire.TOPIC_FRAME:
                newest = message
            elif message.topic == wire.TOPIC_STATUS:
                display.log.status(message.payload)
            elif message.topic == wire.TOPIC_SCHEMA:
                check_stream_model(message.payload, model)
                if bool(message.payload.get("regions")) != appearance:
                    appearance = not appearance
                    display.arrange(Contents(False, True, appearance, live=True))
            elif message.topic == wire.TOPIC_EVENT:
                kind = message.payload["event"]
                if kind not in ("tracked", "lost"):
                    display.log.event(kind, _event_text(message.payload))
                if kind == "ended":
                    _say(args, "the tracker has ended its stream")
                    if args.until_end:
                        return
            message = subscriber.receive(0.0)
        if newest is None or subscriber.schema is None:
            continue
        if stream not in (None, newest.payload["stream"]):
            display.log.restart()
        stream = newest.payload["stream"]
        display.log.frame(to_frame_result(newest.payload, subscriber.schema, subscriber.identities))
        display.flush()
        shown += 1


def _event_text(payload: dict[str, Any]) -> str:
    known = ("v", "stream", "seq", "t_publish", "t_unix", "event")
    return str(payload.get("text") or ", ".join(f"{key} {value}" for key, value in payload.items() if key not in known))


def _track(args: argparse.Namespace, options: ViewOptions) -> int:
    from tracker.publishing.describe import describe_model
    from tracker.publishing.publisher import Publisher
    from tracker.session import LiveSession
    from tracker.sources.open import open_source
    from tracker.sources.paced import PacedSource
    from tracker.tracking import FrameTracker
    from tracker.view.feed import ViewFeed
    from tracker.view.layout import Contents

    config = tracking_config(args)
    options.check()
    with ExitStack() as stack:
        source = stack.enter_context(
            open_source(args.source, on_event=lambda kind, text: _say(args, f"{kind}: {text}"))
        )
        live = source.live or args.speed != 0
        if not source.live and args.speed != 0:
            source = PacedSource(source, args.speed)
        ended: list[str] = []

        def on_end(line: str) -> None:
            ended.append(line)
            _say(args, line)
            session.stop()

        contents = Contents(True, True, config.appearance, live)
        feed = stack.enter_context(ViewFeed(options, config.flame or config.face_model, contents, on_end))
        tracker = FrameTracker(config)
        # Nobody is told of this port: the session wants a stream to publish to, and people who want one use `tracker run`.
        quiet = PublishConfig(bind="tcp://127.0.0.1:0", latest=None, control=None)
        publisher = stack.enter_context(Publisher(quiet, describe_model(tracker.model)))
        session = LiveSession(source, tracker, publisher, forward=feed, on_frame=feed.remember)
        feed.open()
        _say_address(args, feed.address)
        _say(args, f"tracking {source.name}" + (f", into {args.save}" if args.save else ""))
        with stopping_on_signals(session.stop) as interrupted:
            status = session.run(
                args.frames,
                lambda status: feed.status(status.to_message()),
                lambda notice: feed.event(notice.kind, str(notice.fields.get("text", ""))),
            )
        feed.status(status.to_message())
    _say(args, f"{status.frames} frames, {feed.shown} shown, capture to result p95 {status.latency_p95_ms:.1f} ms")
    return 130 if interrupted.is_set() and not ended else 0


def _say_address(args: argparse.Namespace, address: str | None) -> None:
    if address is not None:
        # What --quiet is not for: without it nobody finds the page.
        say(f"open {address}")


def _say(args: argparse.Namespace, text: str) -> None:
    if not args.quiet:
        say(text)
