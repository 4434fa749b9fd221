"""``tracker run``: the live tracker. Source in, faces out over ZeroMQ, a take on the side."""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tracker.cli.bridge import add_to_argument
from tracker.cli.live_report import LiveReport
from tracker.cli.signals import stopping_on_signals
from tracker.config import TrackerConfig, add_tracking_arguments, tracking_config
from tracker.errors import ConfigError, RecordingError, TrackerError
from tracker.publishing.config import PublishConfig
from tracker.publishing.config import add_arguments as add_publishing_arguments
from tracker.publishing.config import from_args as publishing_config
from tracker.sources.decoding import DecoderName, add_decoder_argument, decoder_for

if TYPE_CHECKING:
    from tracker.bridges import BridgeHub
    from tracker.face_model import FaceModel
    from tracker.publishing.control import ControlServer
    from tracker.publishing.osc_input import OscInput
    from tracker.publishing.publisher import Publisher
    from tracker.recording import TakeWriter
    from tracker.recording.switch import TakeSwitch
    from tracker.session import LiveSession
    from tracker.sources.base import FrameSource
    from tracker.types import FrameResult
    from tracker.view.feed import ViewFeed

HELP = "track a camera, a video or a stream live and publish the faces over ZeroMQ"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    source = parser.add_argument_group("source")
    source.add_argument(
        "--source", default="webcam", metavar="SPEC",
        help="webcam, webcam:1, a video file, rtsp:// or http:// address, image folder or pattern, or 'test': a moving "
        "synthetic face (default: webcam)",
    )  # fmt: skip
    source.add_argument("--size", type=_size, metavar="WxH", help="picture size to ask the camera for, e.g. 1280x720")
    source.add_argument(
        "--fps", type=float, metavar="N", help="frame rate to ask the camera for, or of an image folder"
    )
    source.add_argument(
        "--speed", type=float, default=1.0, metavar="X",
        help="files play at X times their own speed; 0: as fast as they can be tracked (default 1)",
    )  # fmt: skip
    source.add_argument("--frames", type=int, metavar="N", help="stop after N frames")
    add_decoder_argument(source)
    add_tracking_arguments(parser)
    add_publishing_arguments(parser)
    output = parser.add_argument_group("output")
    add_to_argument(output)
    output.add_argument(
        "--osc-in", type=_osc_address, metavar="[HOST:]PORT",
        help="listen for OSC: /tracker/recenter, /tracker/calibrate and EyeTrackVR's addresses (VRChat sends to 9001)",
    )  # fmt: skip
    output.add_argument(
        "--record", type=Path, metavar="TAKE", help="also write a take: .npz, .jsonl, .csv, .parquet or .mcap"
    )
    output.add_argument("--force", action="store_true", help="overwrite the take if it exists")
    output.add_argument(
        "--view", nargs="?", const="window", metavar="web|FILE.rrd",
        help="also show video, mesh, curves and timings: in a window, as a page (web) or into a file; see `tracker view`",
    )  # fmt: skip
    output.add_argument("--quiet", action="store_true", help="no status line")
    parser.epilog = """examples:
  tracker run --source webcam                        track yourself; see `tracker listen` in another terminal
  tracker run --source webcam:1 --size 1280x720 --fps 60
  tracker run --source clip.mp4 --record take.npz    play a video, publish it, keep the parameters
  tracker run --source test --max-faces 2            no camera needed
  tracker run --to livelink --to vmc                 also drive Unreal Engine and VSeeFace (`tracker bridge --list`)
  tracker run --source webcam --view                 and watch video, mesh and curves in a window
  tracker run --bind 0.0.0.0:5556 --curve-keys keys  to other machines, encrypted
  tracker run --identity me.npz                      as enrolled with `tracker enroll`: known from the first frame

While it runs: `tracker control recenter` makes the present head pose the neutral one, `tracker control calibrate` the
present face, `tracker control record start take.npz` begins a take, `tracker control open webcam:1` changes the source,
`tracker control stop` ends it (so does Ctrl-C; a take is closed properly). A live source never queues up: when the machine is
too slow the newest frame wins and the status line counts what was dropped.
"""


def run(args: argparse.Namespace) -> int:
    """Track until the source ends, ``--frames`` are done, Ctrl-C or `tracker control stop`."""
    config, publishing = tracking_config(args), publishing_config(args)
    if not (math.isfinite(args.speed) and args.speed >= 0):
        raise ConfigError(f"--speed must be 0 (as fast as possible) or a positive number, got {args.speed:g}")
    if args.frames is not None and args.frames < 1:
        raise ConfigError(f"--frames must be at least 1, got {args.frames}")
    with ExitStack() as stack:
        report = LiveReport(args.quiet)
        # What a typing mistake can spoil comes first, the networks (the slow part) last.
        source = stack.enter_context(_open(args, args.source, report.event))
        present = _Present(args.source, source)
        model = _load_model(config.face_model)
        published = model if config.flame is None else _load_model(config.flame)
        publisher = stack.enter_context(_open_publisher(publishing, published))
        report.publisher = publisher
        takes = stack.enter_context(_open_takes(args, published, present, config, report))
        hub = stack.enter_context(_open_bridges(args.to, report, published))
        feed = _open_view(args, config, source, report, stack)
        report.say(f"loading networks ({config.encoder}) ...")
        started = time.monotonic()
        session = _open_session(
            source, config, model, publisher, takes, hub, lambda spec: present.change(args, spec, report.event), feed
        )
        if publishing.control:
            stack.enter_context(_open_control(publishing.control, session, publisher))
        if args.osc_in is not None:
            stack.enter_context(_open_osc_input(args, session, report))
        report.say(
            f"ready in {time.monotonic() - started:.1f} s: tracking {source.name}, publishing on {publisher.endpoint}"
        )
        if feed is not None:
            feed.open()
            report.say(f"view: {feed.address or args.view}")
        with stopping_on_signals(session.stop) as interrupted:
            status = session.run(args.frames, report.status, report.notice)
        report.end(status)
        if takes.path is not None:
            report.say(f"recorded {takes.frame_count} frames to {takes.path}")
    if interrupted.is_set():
        return 130
    return 1 if takes.failed else 0


@dataclass(slots=True)
class _Present:
    """What is being tracked now."""

    spec: str
    source: FrameSource

    def change(self, args: argparse.Namespace, spec: str, on_event: Callable[[str, str], None]) -> FrameSource:
        """Open another source; a size and a rate that were asked for go on to cameras."""
        self.source = _open(args, spec, on_event)
        self.spec = spec
        return self.source


def _open(args: argparse.Namespace, spec: str, on_event: Callable[[str, str], None]) -> FrameSource:
    from tracker.sources.open import open_source
    from tracker.sources.paced import PacedSource

    takes_wishes = spec == args.source or spec.partition(":")[0] in ("webcam", "test")
    size, fps = (args.size, args.fps) if takes_wishes else (None, None)
    # What a remote control opens later may be no file.
    wanted: DecoderName = "auto" if args.decoder == "nvdec" and spec != args.source else args.decoder
    decoder = decoder_for(wanted, args.engine)
    source = open_source(spec, size=size, fps=fps, decoder=decoder, on_event=on_event)
    return source if source.live or args.speed == 0 else PacedSource(source, args.speed)


def _load_model(name: str) -> FaceModel:
    from tracker.face_model import load_face_model

    return load_face_model(name)


def _open_publisher(publishing: PublishConfig, model: FaceModel) -> Publisher:
    from tracker.publishing.describe import describe_model
    from tracker.publishing.publisher import Publisher

    return Publisher(publishing, describe_model(model))


def _open_takes(
    args: argparse.Namespace, model: FaceModel, present: _Present, config: TrackerConfig, report: LiveReport
) -> TakeSwitch:
    from tracker.recording import open_writer, source_signature
    from tracker.recording.switch import TakeSwitch

    def begin(path: Path, overwrite: bool) -> TakeWriter:
        meta = {
            "source": source_signature(present.spec),
            "rate": str(present.source.rate) if present.source.rate else None,
            "settings": config.to_dict(),
        }
        return open_writer(
            path,
            model=model,
            meta=meta,
            raw=args.with_raw,
            landmarks=args.with_landmarks,
            overwrite=overwrite,
            appearance=config.appearance,
        )

    def ended(path: Path, error: TrackerError | None) -> None:
        report.event("recorded", str(path) if error is None else str(error))

    def given_up(error: RecordingError) -> None:
        report.event("recording_failed", f"{error} (tracking goes on)")

    return TakeSwitch(begin, begin(args.record, args.force) if args.record is not None else None, ended, given_up)


def _open_session(
    source: FrameSource,
    config: TrackerConfig,
    model: FaceModel,
    publisher: Publisher,
    takes: TakeSwitch,
    hub: BridgeHub,
    open_source: Callable[[str], FrameSource],
    feed: ViewFeed | None,
) -> LiveSession:
    from tracker.session import LiveSession
    from tracker.tracking import FrameTracker

    tracker = FrameTracker(config, model)
    if tracker.skin_points is not None:
        from tracker.publishing.describe import describe_model

        publisher.set_model(describe_model(model), model.region_names, tracker.skin_points.uv)
    if feed is None:
        return LiveSession(source, tracker, publisher, takes, hub, open_source)

    def forward(result: FrameResult) -> None:
        hub(result)
        feed(result)

    return LiveSession(source, tracker, publisher, takes, forward, open_source, feed.remember)


def _open_view(
    args: argparse.Namespace, config: TrackerConfig, source: FrameSource, report: LiveReport, stack: ExitStack
) -> ViewFeed | None:
    if args.view is None:
        return None
    from tracker.view.display import view_options
    from tracker.view.feed import ViewFeed
    from tracker.view.layout import Contents

    contents = Contents(video=True, timings=True, appearance=config.appearance, live=source.live or args.speed > 0)
    feed = ViewFeed(
        view_options(args.view, overwrite=args.force), config.flame or config.face_model, contents, report.say
    )  # fmt: skip
    report.feed = stack.enter_context(feed)
    return feed


def _open_bridges(specs: list[str], report: LiveReport, model: FaceModel) -> BridgeHub:
    from tracker.bridges import BridgeHub, BridgeSpec

    hub = BridgeHub([BridgeSpec.parse(text) for text in specs], lambda line: report.event("bridge", line), model)
    for worker in hub.workers:
        report.say(f"sending {worker.target}")
    return hub


def _open_control(endpoint: str, session: LiveSession, publisher: Publisher) -> ControlServer:
    from tracker.publishing.control import ControlServer

    return ControlServer(endpoint, session.handlers(), security=publisher.security)


def _open_osc_input(args: argparse.Namespace, session: LiveSession, report: LiveReport) -> OscInput:
    from tracker.publishing.config import is_local
    from tracker.publishing.osc_input import OscInput

    host, port = args.osc_in
    if not (args.insecure_lan or is_local(f"tcp://{f'[{host}]' if ':' in host else host}:{port}")):
        raise ConfigError(
            f"--osc-in {host}:{port} is reachable from other machines: add --insecure-lan to let anybody there recentre and "
            "calibrate, or leave the host away"
        )
    osc = OscInput(host, port, session.handlers())
    report.say(f"listening for OSC on {host}:{osc.port}")
    return osc


def _osc_address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not (port.isascii() and port.isdigit() and int(port) <= 65535):
        raise argparse.ArgumentTypeError(f"expected PORT or HOST:PORT, got '{text}'")
    return host.strip("[]") or "127.0.0.1", int(port)


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.lower().partition("x")
    if not (width.isdigit() and height.isdigit() and int(width) and int(height)):
        raise argparse.ArgumentTypeError(f"expected WIDTHxHEIGHT such as 1280x720, got '{text}'")
    return int(width), int(height)
