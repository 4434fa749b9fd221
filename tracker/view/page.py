"""The viewer's page, handed on with a policy that keeps the browser on this machine."""

from __future__ import annotations

import http.client
import shutil
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import quote

_HOST: Final = "127.0.0.1"
_HEADERS: Final = ("Content-Type", "Content-Length", "Content-Encoding")
_HOSTS: Final = ("127.0.0.1", "localhost")


class PageServer:
    """Serves the files of Rerun's own web server, on loopback, under a Content-Security-Policy.

    The page otherwise reports its use and asks other hosts for a font, examples and newer versions; the policy makes the
    browser refuse all of it.

    Args:
        inner_port: where Rerun's web server listens.
        data_port: where the page gets its data from.
        port: where to serve.
    """

    def __init__(self, inner_port: int, data_port: int, port: int) -> None:
        policy = (
            "default-src 'none'; script-src 'self' 'unsafe-inline' 'wasm-unsafe-eval'; style-src 'self' 'unsafe-inline'; "
            "img-src 'self' data: blob:; font-src 'self' data:; worker-src 'self' blob:; "
            f"connect-src 'self' http://{_HOST}:{data_port}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )
        start = f"/?url={quote(f'rerun+http://{_HOST}:{data_port}/proxy', safe='')}&hide_welcome_screen=1"

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.headers.get("Host", "").rpartition(":")[0] not in _HOSTS:
                    self.send_error(403)
                elif self.path == "/":
                    self.send_response(302)
                    self.send_header("Location", start)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                else:
                    self._hand_on()

            def _hand_on(self) -> None:
                inner = http.client.HTTPConnection(_HOST, inner_port, timeout=10)
                try:
                    inner.request(
                        "GET", self.path, headers={"Accept-Encoding": self.headers.get("Accept-Encoding", "")}
                    )
                    answer = inner.getresponse()
                    self.send_response(answer.status)
                    for name in _HEADERS:
                        if (value := answer.getheader(name)) is not None:
                            self.send_header(name, value)
                    self.send_header("Content-Security-Policy", policy)
                    self.send_header("Referrer-Policy", "no-referrer")
                    self.end_headers()
                    shutil.copyfileobj(answer, self.wfile)
                except OSError:
                    self.close_connection = True  # the viewer or the browser has gone
                finally:
                    inner.close()

            def log_message(self, format: str, *args: Any) -> None:
                """Nothing: requests are no news."""

        self._server = ThreadingHTTPServer((_HOST, port), Handler)
        self.address = f"http://{_HOST}:{port}"
        threading.Thread(target=self._server.serve_forever, name="view-page", daemon=True).start()

    def close(self) -> None:
        """Stop serving. May be called twice."""
        self._server.shutdown()
        self._server.server_close()
