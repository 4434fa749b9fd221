"""What people see of a live session on the terminal; the view and the subscribers hear of its events too."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Final

from tracker.cli.terminal import say

if TYPE_CHECKING:
    from tracker.publishing.publisher import Publisher
    from tracker.session import SessionStatus
    from tracker.types import Notice
    from tracker.view.feed import ViewFeed

_LOG_PERIOD_S: Final = 10.0


class LiveReport:
    """What the user sees: one status line that is rewritten on a terminal, a line now and then elsewhere."""

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet
        self._terminal = sys.stderr.isatty()
        self._next_s = 0.0
        self._line_open = False
        self.publisher: Publisher | None = None
        self.feed: ViewFeed | None = None

    def say(self, text: str) -> None:
        """A line, unless people asked for quiet."""
        if not self._quiet:
            self._write(text)

    def event(self, kind: str, text: str) -> None:
        """Something the source wants people to know; it goes to subscribers too."""
        self._write(f"{kind}: {text}")
        if self.publisher is not None:
            self.publisher.event(kind, text=text)
        if self.feed is not None:
            self.feed.event(kind, text)

    def notice(self, notice: Notice) -> None:
        """Something the tracker itself has published as an event."""
        if self.feed is not None:
            self.feed.event(notice.kind, str(notice.fields.get("text", "")))
        if notice.kind == "other_person" and notice.fields["enrolled"]:
            self._write(f"warning: {notice.fields['text']}")
        elif notice.kind == "calibration_failed":
            self.say(f"not calibrated: {notice.fields['reason']}")
        elif notice.kind in ("calibrated", "recentered"):
            self.say(notice.kind)

    def status(self, status: SessionStatus) -> None:
        """How the session goes; comes every half second."""
        if self.feed is not None:
            self.feed.status(status.to_message())
        now_s = time.monotonic()
        if self._quiet or now_s < self._next_s:
            return
        self._next_s = now_s + (0.0 if self._terminal else _LOG_PERIOD_S)
        line = (
            f"{status.fps:5.1f} frames/s  {_count(status.faces, 'face')}  latency {status.latency_p50_ms:.0f} ms "
            f"(p95 {status.latency_p95_ms:.0f})  dropped {status.dropped}"
        )
        if status.state != "running":
            line += f"  source {status.state}"
        if self._terminal:
            sys.stderr.write(f"\r\x1b[K{line}")
            sys.stderr.flush()
            self._line_open = True
        else:
            self._write(line)

    def end(self, status: SessionStatus) -> None:
        """What the session was."""
        stages = "  ".join(f"{name} {times['p50']:.1f}/{times['p95']:.1f}" for name, times in status.stages.items())
        self.say(
            f"{status.frames} frames, {status.dropped} dropped, capture to publish p50 {status.latency_p50_ms:.1f} ms, "
            f"p95 {status.latency_p95_ms:.1f} ms"
        )
        self.say(f"stages in ms, p50/p95: {stages}")

    def _write(self, text: str) -> None:
        if self._line_open:
            sys.stderr.write("\n")
            self._line_open = False
        say(text)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
