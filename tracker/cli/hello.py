"""``tracker hello``: the first run. Looks through the camera and says what would make tracking better."""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tracker.errors import ConfigError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from tracker.checkup.advice import Advice
    from tracker.checkup.observed import Observed
    from tracker.sources.base import FrameSource

HELP = "first run: are camera, light and distance good, and what would be better?"

_MARKS: Final = {"good": ("✓", "green"), "fair": ("!", "yellow"), "bad": ("✗", "red")}
_VERDICTS: Final = {
    "good": "ready: this will track well",
    "fair": "usable, and better with the above",
    "bad": "not good enough yet: see ✗ above",
}
_REFRESH_S: Final = 0.25
_EPILOG: Final = """\
Looks for a few seconds, says what it finds while you move about, and then which command comes next. Exits with 0 when tracking
will work, with 1 when something has to be better first. docs/hello.md tells where the limits come from.

examples:
  tracker hello                        the first camera, 8 seconds
  tracker hello --source webcam:1 --size 1280x720 --fps 60
  tracker hello --seconds 60           take your time to arrange lamp and chair
  tracker hello --source clip.mp4      is a clip good for tracking?
  tracker hello --json                 for programs
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    from tracker.cli.run import _size

    parser.epilog = _EPILOG
    parser.add_argument(
        "--source",
        default="webcam",
        metavar="SPEC",
        help="webcam, webcam:1, a video file, an address, test (default: webcam)",
    )
    parser.add_argument("--size", type=_size, metavar="WxH", help="picture size to ask the camera for, e.g. 1280x720")
    parser.add_argument("--fps", type=float, metavar="N", help="frame rate to ask the camera for")
    parser.add_argument("--seconds", type=float, default=8.0, metavar="S", help="how long to look (default 8)")
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")


def run(args: argparse.Namespace) -> int:
    """Look, advise; 0 when nothing is bad, 1 otherwise, 130 after Ctrl-C."""
    if not (math.isfinite(args.seconds) and args.seconds >= 1.0):
        raise ConfigError(f"--seconds must be at least 1, got {args.seconds:g}")
    from tracker.checkup.advice import judge, verdict

    events: list[str] = []
    with ExitStack() as stack:
        source = stack.enter_context(_open(args, events))
        live = _Panel(source, args.json)
        stack.enter_context(live)
        try:
            seen = _look(source, args, live.show)
        except KeyboardInterrupt:
            return 130
    advice = judge(seen)
    state = verdict(advice)
    if args.json:
        report: dict[str, Any] = {
            "verdict": state, "source": source.name, "size": seen.size, "frames": seen.frames,
            "advice": [asdict(one) for one in advice], "measured": _medians(seen), "events": events,
        }  # fmt: skip
        sys.stdout.write(json.dumps(report, indent=2, ensure_ascii=False) + "\n")
    else:
        _conclude(source, seen, advice, events, _next_command(args))
    return 1 if state == "bad" else 0


def _open(args: argparse.Namespace, events: list[str]) -> FrameSource:
    from tracker.sources.open import open_source

    return open_source(args.source, size=args.size, fps=args.fps, on_event=lambda kind, text: events.append(text))


def _look(source: FrameSource, args: argparse.Namespace, show: Callable[[Observed], None]) -> Observed:
    from tracker.checkup.observed import Observed
    from tracker.config import TrackerConfig
    from tracker.tracking import FrameTracker

    tracker = FrameTracker(TrackerConfig(appearance=True))
    asked = args.fps or (float(source.rate) if source.rate else None)
    seen = Observed(source.live, asked, tracker.model.region_names)
    dropped_before = source.dropped
    first_s: float | None = None
    shown_s = 0.0
    for frame in source:
        time_s = frame.t_capture_ns * 1e-9
        first_s = time_s if first_s is None else first_s
        seen.add(frame, tracker.process(frame))
        seen.dropped = source.dropped - dropped_before
        if time.monotonic() - shown_s > _REFRESH_S:
            shown_s = time.monotonic()
            show(seen)
        if time_s - first_s >= args.seconds:
            break
    if seen.frames == 0:
        from tracker.errors import SourceError

        raise SourceError(
            f"{source.name} delivered no picture; another program may be using it (`tracker cameras` lists them)"
        )
    return seen


class _Panel:
    """The findings so far, rewritten in place on a terminal. A context manager."""

    def __init__(self, source: FrameSource, silent: bool) -> None:
        self._source = source
        self._live: Any = nullcontext()
        self._shows = not silent and sys.stdout.isatty()
        if self._shows:
            from rich.live import Live

            self._live = Live(auto_refresh=False, transient=True)

    def __enter__(self) -> _Panel:
        self._live.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._live.__exit__(*error)

    def show(self, seen: Observed) -> None:
        """Show what is known."""
        if self._shows:
            from tracker.checkup.advice import judge

            self._live.update(_table(self._source, seen, judge(seen)), refresh=True)


def _table(source: FrameSource, seen: Observed, advice: list[Advice]) -> RenderableType:
    from rich.table import Table
    from rich.text import Text

    width, height = seen.size or (0, 0)
    title = f"{Path(source.name).name if Path(source.name).is_file() else source.name}, {width}x{height}"
    table = Table(title=title, title_justify="left", title_style="bold", show_header=False, box=None, padding=(0, 1))
    for one in advice:
        mark, style = _MARKS[one.state]
        words = Text(one.found)
        if one.better:
            words.append(f"\n→ {one.better}", style="cyan")
        table.add_row(Text(mark, style=style), Text(one.subject, style="bold"), words)
    return table


def _conclude(source: FrameSource, seen: Observed, advice: list[Advice], events: list[str], command: str) -> None:
    from rich.console import Console
    from rich.text import Text

    from tracker.checkup.advice import verdict

    console = Console(highlight=False)
    console.print(_table(source, seen, advice))
    for event in events:
        console.print(f"  {event}", style="dim")
    state = verdict(advice)
    console.print(Text.assemble("\n", (_VERDICTS[state], _MARKS[state][1])))
    if state == "bad":
        console.print(Text.assemble("once that is mended: ", ("tracker hello", "cyan"), ", again"))
    else:
        console.print(
            Text.assemble("next: ", (command, "cyan"), "   and in another terminal: ", ("tracker listen", "cyan"))
        )


def _next_command(args: argparse.Namespace) -> str:
    import shlex

    words = ["tracker", "run", "--source", args.source]
    words += ["--size", f"{args.size[0]}x{args.size[1]}"] if args.size else []
    words += ["--fps", f"{args.fps:g}"] if args.fps else []
    return shlex.join(words)


def _medians(seen: Observed) -> dict[str, float | None]:
    from tracker.checkup.measure import FaceMeasure

    names = [
        name for name in FaceMeasure.__dataclass_fields__ if name not in ("background", "covered", "covered_regions")
    ]
    medians: dict[str, float | None] = {}
    if seen.measures:
        medians |= {name: round(seen.median(name), 4) for name in names}
    medians |= {"found_share": round(seen.found_share, 3), "rate": seen.rate, "work_ms": seen.work_ms}
    return medians
