"""The Rerun viewer as a process of ours: a window, or a page for the browser, that reaches nothing but this machine.

Left to itself the viewer sends usage statistics, asks for newer versions and listens on all network interfaces; its page loads a
font, too. None of it happens here: the process gets a configuration of its own with statistics off (and is not started if it does
not honour that), a proxy that leads nowhere, and loopback addresses; the page comes with a Content-Security-Policy by which the
browser itself refuses every other host.
"""

from __future__ import annotations

import importlib.util
import json
import os
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Literal

from tracker.cache import ensure_cache_dir
from tracker.errors import ConfigError, TrackerError
from tracker.view.page import PageServer

Shown = Literal["window", "page"]

GRPC_PORT: Final = 9876
PAGE_PORT: Final = 9090
_HOST: Final = "127.0.0.1"
_NOWHERE: Final = "http://127.0.0.1:9"
_WINDOW_MEMORY: Final = "1GB"
_LIVE_MEMORY: Final = "64MB"
"""What a page that is opened late gets of the past."""
_WHOLE_MEMORY: Final = "50%"
_START_TIMEOUT_S: Final = 20.0


class ViewError(TrackerError):
    """The view cannot be shown."""


def require_viewer() -> Path:
    """The viewer's program file.

    Raises:
        ViewError: the package is not installed.
    """
    found = importlib.util.find_spec("rerun_cli") if importlib.util.find_spec("rerun") else None
    if found is None or not found.submodule_search_locations:
        raise ViewError("the view needs the Python package rerun-sdk: pip install 'facestream-tracker[view]'")
    return Path(found.submodule_search_locations[0]) / ("rerun.exe" if sys.platform == "win32" else "rerun")


def require_display() -> None:
    """Raise ``ViewError`` when no window can be opened here."""
    headless = sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
    if headless:
        raise ViewError(
            "no display to open a window on: --web serves a page for a browser, --save view.rrd keeps the view for later"
        )


@dataclass(frozen=True, slots=True)
class Viewer:
    """A running viewer. A context manager that ends it."""

    process: subprocess.Popen[bytes]
    data_url: str
    """Where the SDK sends what is logged."""
    page: PageServer | None

    @property
    def address(self) -> str | None:
        """What to open in a browser; None for a window."""
        return None if self.page is None else self.page.address

    @property
    def alive(self) -> bool:
        """False once the window was closed or the process has ended."""
        return self.process.poll() is None

    def close(self) -> None:
        """End the process. May be called twice."""
        if self.page is not None:
            self.page.close()
        if self.alive:
            self.process.terminate()
            try:
                self.process.wait(5.0)
            except subprocess.TimeoutExpired:
                self.process.kill()

    def __enter__(self) -> Viewer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_viewer(shown: Shown, files: tuple[Path, ...] = (), port: int | None = None, *, live: bool = False) -> Viewer:
    """Start the viewer.

    Args:
        shown: ``window`` or ``page``.
        files: recordings (.rrd) to open.
        port: of the page; None: 9090 if it is free, else another one.
        live: the newest data count, older ones may be forgotten.

    Raises:
        ViewError: the package is missing, there is no display, the viewer insists on statistics or does not start.
        ConfigError: ``port`` is taken.
    """
    program, environment = require_viewer(), private_environment()
    if shown == "window":
        require_display()
    _check_silent(program, environment)
    data_port = _free_port(GRPC_PORT)
    command = [str(program), "--bind", _HOST, "--port", str(data_port), "--hide-welcome-screen"]
    page = None
    if shown == "window":
        memory = _WINDOW_MEMORY if live else _WHOLE_MEMORY
        command += ["--memory-limit", memory, "--expect-data-soon", *map(str, files)]
        process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL)
    else:
        inner_port = _free_port(0)
        command += ["--serve-web", "--web-viewer-port", str(inner_port)]
        command += (
            ["--server-memory-limit", _LIVE_MEMORY, "--newest-first"]
            if live
            else ["--server-memory-limit", _WHOLE_MEMORY]
        )
        process = subprocess.Popen([*command, *map(str, files)], env=environment, stdin=subprocess.DEVNULL)
        try:
            _wait_for(inner_port, process)
            page = PageServer(inner_port, data_port, _page_port(port))
        except BaseException:
            process.kill()
            raise
    viewer = Viewer(process, f"rerun+http://{_HOST}:{data_port}/proxy", page)
    try:
        _wait_for(data_port, process)
    except BaseException:
        viewer.close()
        raise
    return viewer


def private_environment() -> dict[str, str]:
    """Environment variables for the viewer under which it has no use for the network."""
    folder = ensure_cache_dir("rerun")
    for config in (folder / "config" / "rerun", folder / "Library" / "Application Support" / "rerun"):
        config.mkdir(parents=True, exist_ok=True)
        file = config / "analytics.json"
        setting = {
            "analytics_enabled": False, "analytics_id": "", "metadata": {},
            "config_file_path": str(file), "data_dir_path": str(folder / "data"),
        }  # fmt: skip
        file.write_text(json.dumps(setting), encoding="utf-8")
    environment = {
        **os.environ,
        "XDG_CONFIG_HOME": str(folder / "config"),
        "XDG_DATA_HOME": str(folder / "data"),
        "NO_PROXY": f"{_HOST},localhost",
        "no_proxy": f"{_HOST},localhost",
        "RUST_LOG": os.environ.get("RUST_LOG", "error"),
    }
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        environment[name] = environment[name.lower()] = _NOWHERE
    if sys.platform == "darwin":
        environment["HOME"] = str(folder)
    return environment


def _check_silent(program: Path, environment: dict[str, str]) -> None:
    """Raise ViewError unless the viewer itself says that its statistics are off."""
    try:
        done = subprocess.run(
            [str(program), "analytics", "config"], env=environment, capture_output=True, timeout=_START_TIMEOUT_S
        )
        silent = json.loads(done.stdout)["analytics_enabled"] is False
    except OSError as error:
        raise ViewError(f"cannot start {program}: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError, subprocess.TimeoutExpired):
        silent = False
    if not silent:
        raise ViewError(
            f"Rerun's usage statistics are on and nothing shall be sent from here: run `{program} analytics disable`, then again"
        )


def _page_port(wanted: int | None) -> int:
    if wanted is None:
        return _free_port(PAGE_PORT)
    if _free_port(wanted) != wanted:
        raise ConfigError(f"--web: port {wanted} is taken; name another one or none")
    return wanted


def _free_port(wanted: int) -> int:
    """``wanted`` if nobody listens there, else any free one."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            try:
                if sys.platform != "win32":
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((_HOST, port))
            except OSError:
                continue
            free: int = probe.getsockname()[1]
            return free
    raise ViewError("no free port on this machine")


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline_s = time.monotonic() + _START_TIMEOUT_S
    while process.poll() is None and time.monotonic() < deadline_s:
        try:
            with socket.create_connection((_HOST, port), timeout=0.5):
                return
        except OSError:
            time.sleep(0.05)
    process.kill()
    raise ViewError("the Rerun viewer did not start; it may need a graphics driver: --web serves a page instead")
