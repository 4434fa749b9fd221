"""A view that is open: what is logged, and where it goes (a viewer, a file, both)."""

from __future__ import annotations

import os
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from tracker.errors import ConfigError
from tracker.face_model import FaceModel
from tracker.view.layout import Contents, layout
from tracker.view.log import APPLICATION, ViewLog
from tracker.view.viewer import Shown, Viewer, ViewError, open_viewer, require_display, require_viewer

SUFFIX = ".rrd"
_FLUSH_S = 5.0
_FAREWELL_S = 1.0


@dataclass(frozen=True, slots=True)
class ViewOptions:
    """Where a view goes."""

    shown: Shown | None = "window"
    """None: only into the file."""
    save: Path | None = None
    port: int | None = None
    """Of the page; None: 9090 if it is free."""
    overwrite: bool = False

    def check(self) -> None:
        """Raise ``ConfigError`` or ``ViewError`` for what can be told beforehand."""
        require_viewer()
        if self.shown == "window":
            require_display()
        if self.save is None:
            return
        if self.save.suffix.lower() != SUFFIX:
            raise ConfigError(f"--save {self.save}: the view is kept as a Rerun recording, a name ending in {SUFFIX}")
        if self.save.exists() and not self.overwrite:
            raise ConfigError(f"{self.save} exists; --force overwrites it")
        if not self.save.absolute().parent.is_dir():
            raise ConfigError(f"--save: there is no folder {self.save.absolute().parent}")


def view_options(where: str, *, overwrite: bool = False) -> ViewOptions:
    """What ``window``, ``web`` or the name of an .rrd file asks for.

    Raises:
        ConfigError: it is none of these.
    """
    if where == "window":
        return ViewOptions("window")
    if where == "web":
        return ViewOptions("page")
    if where.lower().endswith(SUFFIX):
        return ViewOptions(None, Path(where), overwrite=overwrite)
    raise ConfigError(f"--view takes nothing (a window), web (a page) or a file ending in {SUFFIX}, not {where!r}")


class Display:
    """An open view; a context manager. Not to be shared between threads.

    Args:
        options: where it goes.
        model: the face model of what is shown.
        contents: what there will be to show.

    Raises:
        ViewError, ConfigError: it cannot be opened.
    """

    def __init__(self, options: ViewOptions, model: FaceModel, contents: Contents) -> None:
        options.check()
        # What goes wrong in there comes back from flushing.
        os.environ.setdefault("RUST_LOG", "off")
        import rerun as rr

        with ExitStack() as stack:
            self.viewer: Viewer | None = None
            sinks: list[rr.FileSink | rr.GrpcSink] = []
            if options.shown is not None:
                self.viewer = stack.enter_context(open_viewer(options.shown, port=options.port, live=contents.live))
                sinks.append(rr.GrpcSink(self.viewer.data_url))
            if options.save is not None:
                sinks.append(_file_sink(options.save))
            self._recording = rr.RecordingStream(APPLICATION)
            self._recording.set_sinks(*sinks, default_blueprint=layout(contents))
            self._stack = stack.pop_all()
        self.log = ViewLog(self._recording, model)
        self._closed = False

    @property
    def address(self) -> str | None:
        """The page to open in a browser, if it is one."""
        return None if self.viewer is None else self.viewer.address

    @property
    def alive(self) -> bool:
        """False once the user has closed the window."""
        return self.viewer is None or self.viewer.alive

    def arrange(self, contents: Contents) -> None:
        """Lay the view out anew, for other contents."""
        self._recording.send_blueprint(layout(contents), make_active=True)

    def flush(self) -> None:
        """Wait until everything has been handed to the viewer or the file.

        Raises:
            ViewError: the viewer does not take it any more.
        """
        try:
            self._recording.flush(timeout_sec=_FLUSH_S)
        except Exception as error:  # the binding's own type, which differs between versions
            # A window that is being closed stops listening a moment before its process ends.
            deadline_s = time.monotonic() + _FAREWELL_S
            while self.alive and time.monotonic() < deadline_s:
                time.sleep(0.02)
            if self.alive:
                raise ViewError(f"the viewer takes nothing any more: {error}") from error

    def wait_until_closed(self) -> None:
        """Wait until the user closes the window (or, for a page, for Ctrl-C)."""
        while self.alive:
            time.sleep(0.2)

    def close(self) -> None:
        """Finish the file and end the viewer. May be called twice."""
        if self._closed:
            return
        self._closed = True
        try:
            if self.alive:
                self.flush()
            self._recording.disconnect()
        finally:
            self._stack.close()

    def __enter__(self) -> Display:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _file_sink(path: Path) -> object:
    import rerun as rr

    try:
        with path.open("wb"):
            pass
    except OSError as error:
        raise ViewError(f"cannot write {path}: {error.strerror or error}") from error
    return rr.FileSink(path)
