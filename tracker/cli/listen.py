"""``tracker listen``: what a tracker publishes, on the screen, as JSON lines, or into a take."""

from __future__ import annotations

import argparse
import sys
import time
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tracker.cli.terminal import say
from tracker.errors import ConfigError, PublishError
from tracker.publishing.config import DEFAULT_BIND, DEFAULT_LATEST, is_local, parse_endpoint

if TYPE_CHECKING:
    from rich.live import Live

    from tracker.face_model import FaceModel
    from tracker.publishing.client import Message, Subscriber
    from tracker.recording import TakeWriter

HELP = "subscribe to a tracker and show or save what it sends"

_PATIENCE_S: Final = 0.5
_SCREEN_PERIOD_S: Final = 0.1
_LOG_PERIOD_S: Final = 1.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--connect", metavar="ENDPOINT",
        help=f"the tracker's --bind: tcp://HOST:PORT, HOST:PORT or PORT (default: {DEFAULT_BIND}; --latest: {DEFAULT_LATEST})",
    )  # fmt: skip
    parser.add_argument(
        "--latest", action="store_true", help="use the tracker's --bind-latest: only ever the newest frame, frames may be skipped"
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print frames as JSON lines instead of the view")
    parser.add_argument("--all", action="store_true", help="with --json: also schema, identities, events and status")
    parser.add_argument(
        "--save", type=Path, metavar="TAKE", help="also write a take: .npz, .jsonl, .csv, .parquet or .mcap"
    )
    parser.add_argument("--force", action="store_true", help="overwrite the take if it exists")
    parser.add_argument(
        "--face-model", metavar="NAME|PATH",
        help="for --save: the face model of the stream (default: the built-in or imported one that it names)",
    )  # fmt: skip
    parser.add_argument("--count", type=int, metavar="N", help="leave after N frames")
    parser.add_argument("--until-end", action="store_true", help="leave when the tracker ends its stream")
    parser.add_argument(
        "--timeout", type=float, metavar="S", help="leave after S seconds without a message; exit code 1 if none came at all"
    )  # fmt: skip
    parser.add_argument("--curve-keys", type=Path, metavar="DIR", help="our key folder, for a tracker that encrypts")
    parser.add_argument("--quiet", action="store_true", help="no view and no notes")
    parser.epilog = """examples:
  tracker listen                                        watch the tracker on this machine
  tracker listen --json | jq '.faces[0].arkit.jawOpen'  one number a frame
  tracker listen --save take.npz --until-end            keep what comes
  tracker listen --json --count 1 --timeout 5           is anybody there? (exit code 1 if not)
  tracker listen --connect 192.168.1.20:5556 --curve-keys ~/.tracker-keys

It may be started before the tracker and survives its restart. The latency shown is from capture to here and needs both to
be on one machine. docs/wire.md describes the stream for programs in other languages.
"""


def run(args: argparse.Namespace) -> int:
    """Listen until Ctrl-C (130), ``--count``, ``--until-end`` or ``--timeout``."""
    endpoint = parse_endpoint(args.connect or (DEFAULT_LATEST if args.latest else DEFAULT_BIND), "--connect")
    _check(args)
    from tracker.publishing.client import Subscriber

    with ExitStack() as stack:
        subscriber = stack.enter_context(Subscriber(endpoint, latest=args.latest, curve_keys=args.curve_keys))
        note = _note_nothing if args.quiet else say
        sinks: list[Callable[[Message], None]] = []
        if args.save is not None:
            sinks.append(stack.enter_context(_TakeSink(args, subscriber)))
        if args.json:
            sinks.append(_JsonSink(subscriber, everything=args.all))
        elif not args.quiet:
            sinks.append(stack.enter_context(_View(endpoint, subscriber)))
        try:
            _listen(args, subscriber, sinks, note)
        except KeyboardInterrupt:
            return 130
    return 0


def _check(args: argparse.Namespace) -> None:
    if args.count is not None and args.count < 1:
        raise ConfigError(f"--count must be at least 1, got {args.count}")
    if args.timeout is not None and not args.timeout > 0:
        raise ConfigError(f"--timeout must be above 0, got {args.timeout:g}")
    if args.all and not args.json:
        raise ConfigError("--all adds to what --json prints: pass both")
    if args.latest and args.save is not None:
        raise ConfigError("--latest skips frames and a take should not: leave out one of --latest and --save")
    if args.latest and (args.all or args.until_end):
        raise ConfigError(f"--latest carries frames only: leave out {'--all' if args.all else '--until-end'}")


def _listen(
    args: argparse.Namespace,
    subscriber: Subscriber,
    sinks: list[Callable[[Message], None]],
    note: Callable[[str], None],
) -> None:
    from tracker.publishing import wire

    frames, last_s, received, waiting = 0, time.monotonic(), False, False
    stream: str | None = None
    while args.count is None or frames < args.count:
        message = subscriber.receive(_PATIENCE_S if args.timeout is None else min(_PATIENCE_S, args.timeout))
        silent_s = time.monotonic() - last_s
        if message is None:
            if args.timeout is not None and silent_s >= args.timeout:
                if received:
                    return
                raise PublishError(
                    f"nothing came from {subscriber.endpoint} within {args.timeout:g} s: start a tracker there with "
                    "'tracker run', or name its endpoint with --connect"
                )
            if not waiting and silent_s >= (2.5 if received else _PATIENCE_S):
                waiting = True
                note(f"waiting for a tracker at {subscriber.endpoint} (Ctrl-C leaves)")
            continue
        last_s, received, waiting = time.monotonic(), True, False
        if stream not in (None, message.payload["stream"]):
            note("the tracker was restarted")
            if args.save is not None:
                note(f"{args.save} ends here: a take holds one stream")
                return
        stream = message.payload["stream"]
        # Without its schema a frame has nameless numbers. It comes with the subscription, before the first frame.
        if message.topic == wire.TOPIC_FRAME and (args.latest or subscriber.schema is not None):
            frames += 1
        elif message.topic == wire.TOPIC_FRAME:
            continue
        for sink in sinks:
            sink(message)
        if message.topic == wire.TOPIC_EVENT and message.payload["event"] == "ended":
            note("the tracker has ended its stream")
            if args.until_end:
                return


def _note_nothing(text: str) -> None:
    """Nothing, for --quiet."""


class _JsonSink:
    """JSON lines on stdout."""

    def __init__(self, subscriber: Subscriber, *, everything: bool) -> None:
        self._subscriber = subscriber
        self._everything = everything

    def __call__(self, message: Message) -> None:
        from tracker.publishing import wire
        from tracker.publishing.text import json_line

        if self._everything or message.topic == wire.TOPIC_FRAME:
            sys.stdout.write(json_line(message, self._subscriber.schema) + "\n")
            sys.stdout.flush()


class _TakeSink:
    """Frames into a take, which begins with the first frame. A context manager."""

    def __init__(self, args: argparse.Namespace, subscriber: Subscriber) -> None:
        from tracker.face_model import load_face_model

        self._args, self._subscriber = args, subscriber
        # What a typing mistake can spoil comes before the waiting.
        self._model: FaceModel | None = None if args.face_model is None else load_face_model(args.face_model)
        self._writer: TakeWriter | None = None

    def __enter__(self) -> _TakeSink:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._writer is not None:
            self._writer.close(complete=kind is None)
            if not self._args.quiet:
                say(
                    f"saved {self._writer.frame_count} frames to {self._args.save}, {self._subscriber.dropped} lost on the way"
                )

    def __call__(self, message: Message) -> None:
        from tracker.publishing import wire
        from tracker.publishing.results import to_frame_result

        schema = self._subscriber.schema
        if message.topic != wire.TOPIC_FRAME or schema is None:
            return
        if self._writer is None:
            self._writer = self._begin(schema)
        self._writer.write(to_frame_result(message.payload, schema, self._subscriber.identities))

    def _begin(self, schema: dict[str, Any]) -> TakeWriter:
        from tracker.face_model import load_told_model
        from tracker.publishing.describe import check_stream_model
        from tracker.recording import open_writer

        contents = schema.get("contents", {})
        model = self._model or load_told_model(schema["model"])
        check_stream_model(schema, model)
        return open_writer(
            self._args.save,
            model=model,
            meta={"source": self._subscriber.endpoint, "stream": schema.get("stream", "")},
            raw=bool(contents.get("raw")),
            landmarks=bool(contents.get("landmarks")),
            appearance=bool(schema["regions"]),
            overwrite=self._args.force,
        )


class _View:
    """A line for the stream and one for each face, rewritten on a terminal, once a second elsewhere. A context manager."""

    def __init__(self, endpoint: str, subscriber: Subscriber) -> None:
        self._subscriber = subscriber
        self._same_machine = is_local(endpoint)
        self._arrivals: deque[tuple[float, float]] = deque(maxlen=120)
        self._next_s = 0.0
        self._live: Live | None = None

    def __enter__(self) -> _View:
        if sys.stdout.isatty():
            from rich.live import Live

            self._live = Live(auto_refresh=False)
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def __call__(self, message: Message) -> None:
        from tracker.publishing import wire

        if message.topic != wire.TOPIC_FRAME:
            return
        now_s = message.t_receive_ns * 1e-9
        self._arrivals.append((now_s, self._latency_ms(message)))
        if now_s < self._next_s:
            return
        if self._live is not None:
            from rich.text import Text

            self._next_s = now_s + _SCREEN_PERIOD_S
            self._live.update(Text("\n".join(self._lines(message)), no_wrap=True, overflow="ellipsis"), refresh=True)
        else:
            self._next_s = now_s + _LOG_PERIOD_S
            sys.stdout.write("  |  ".join(self._lines(message)) + "\n")
            sys.stdout.flush()

    def _latency_ms(self, message: Message) -> float:
        frame = message.payload
        if frame["clock"] == "CLOCK_MONOTONIC":
            return float(message.t_receive_ns - frame["t_capture"]) * 1e-6
        return float(time.time_ns() - frame["t_unix"]) * 1e-6

    def _lines(self, message: Message) -> list[str]:
        from tracker.publishing.text import face_line

        span_s = self._arrivals[-1][0] - self._arrivals[0][0]
        fps = (len(self._arrivals) - 1) / span_s if span_s > 0 else 0.0
        latency = sorted(latency for _, latency in self._arrivals)[len(self._arrivals) // 2]
        head = f"frame {message.payload['frame']}  {fps:5.1f} fps  dropped {self._subscriber.dropped}"
        if self._same_machine:
            head += f"  latency {latency:.1f} ms"
        faces = [face_line(face, self._subscriber.identities.get(face["id"])) for face in message.payload["faces"]]
        return [head, *(faces or ["no face"])]
