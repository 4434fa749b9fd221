"""The control socket: one JSON request, one JSON answer (docs/wire.md, "Control").

A request is a map with ``cmd`` and the arguments of that verb. The answer is the handler's map, or a map with
one line under ``error``.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Final

import zmq

import tracker
from tracker.errors import PublishError, TrackerError, mendable_reason
from tracker.publishing.schema import WIRE_VERSION
from tracker.publishing.security import ServerSecurity
from tracker.publishing.sockets import bind
from tracker.publishing.wire import plain

logger = logging.getLogger(__name__)

Handler = Callable[[dict[str, Any]], Mapping[str, Any]]
"""Takes the request (``cmd`` included), returns the answer; a TrackerError becomes ``{"error": its text}``."""

MAX_REQUEST_BYTES: Final = 1 << 16
_LINGER_MS: Final = 500


class ControlServer:
    """Answers control requests on a thread of its own until closed.

    The verbs ``time`` (clock echo) and ``version`` are always there; ``handlers`` adds others. Handlers run on the server's
    thread, one at a time, so they should hand long work to somebody else and answer at once.

    Args:
        endpoint: where to bind, for example ``tcp://127.0.0.1:5557``; port 0 picks a free one, see ``endpoint``.
        handlers: verb -> handler.
        security: as of the publisher of the same process; plain when not given.

    Raises:
        PublishError: the endpoint cannot be bound.
    """

    def __init__(
        self, endpoint: str, handlers: Mapping[str, Handler], *, security: ServerSecurity | None = None
    ) -> None:
        self._handlers: dict[str, Handler] = {"time": _answer_time, "version": _answer_version, **handlers}
        self._security = security or ServerSecurity()
        self._owns_security = security is None
        # Clients use REQ. A REP here would block for ever in recv after bytes that are not ZMTP (an HTTP request is
        # enough, libzmq 4.3.5), so a ROUTER takes the envelopes apart itself.
        socket = self._security.context.socket(zmq.ROUTER)
        # The answer to `stop` should still leave while the program is on its way out.
        socket.linger = _LINGER_MS
        socket.set(zmq.MAXMSGSIZE, MAX_REQUEST_BYTES)
        try:
            self.endpoint = bind(socket, endpoint, "--bind-control", self._security)
        except PublishError:
            if self._owns_security:
                self._security.close()
            raise
        self._wake = self._security.context.socket(zmq.PAIR)
        self._wake.bind(f"inproc://control-{id(self)}")
        woken = self._security.context.socket(zmq.PAIR)
        woken.connect(f"inproc://control-{id(self)}")
        self._closed = False
        self._thread = threading.Thread(target=self._serve, args=(socket, woken), name="control", daemon=True)
        self._thread.start()

    def __enter__(self) -> ControlServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def verbs(self) -> list[str]:
        """The verbs that are answered, sorted."""
        return sorted(self._handlers)

    def register(self, verb: str, handler: Handler) -> None:
        """Answer another verb from now on."""
        self._handlers[verb] = handler

    def close(self) -> None:
        """Stop answering. An answer that is on its way is sent. May be called twice, but not from a handler."""
        if self._closed:
            return
        self._closed = True
        self._wake.send(b"")
        self._thread.join()
        self._wake.close(linger=0)
        if self._owns_security:
            self._security.close()

    def _serve(self, socket: zmq.Socket[bytes], woken: zmq.Socket[bytes]) -> None:
        poller = zmq.Poller()
        poller.register(socket, zmq.POLLIN)
        poller.register(woken, zmq.POLLIN)
        while True:
            ready = dict(poller.poll())
            if woken in ready:
                break
            try:
                peer, *envelope = socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                continue
            t_host_ns = time.monotonic_ns()
            if not envelope or envelope[0]:
                logger.debug("ignored a message without REQ's empty delimiter")
                continue
            socket.send_multipart([peer, b"", self._answer(envelope[1:], t_host_ns)], zmq.NOBLOCK)
        woken.close(linger=0)
        socket.close()

    def _answer(self, parts: list[bytes], t_host_ns: int) -> bytes:
        try:
            request = _parse(parts)
            verb = request.get("cmd")
            handler = self._handlers.get(verb) if isinstance(verb, str) else None
            if handler is None:
                raise PublishError(f"unknown cmd {verb!r}: expected one of {', '.join(self.verbs)}")
            answer = plain({**handler({**request, "t_host": t_host_ns})})
            return json.dumps(answer, ensure_ascii=False).encode()
        except TrackerError as error:
            return json.dumps({"error": str(error)}).encode()
        except OSError as error:
            return json.dumps({"error": mendable_reason(error) or _defect(error)}).encode()
        # A handler's defect must reach the log and the asker, and must not end the control of a running tracker.
        except Exception as error:
            return json.dumps({"error": _defect(error)}).encode()


def _defect(error: Exception) -> str:
    logger.error("a control request failed", exc_info=error)
    return f"internal error: {type(error).__name__}: {error}"


def _parse(parts: list[bytes]) -> dict[str, Any]:
    if len(parts) != 1:
        raise PublishError(f"a control request is one message part, got {len(parts)}")
    try:
        request = json.loads(parts[0])
    # RecursionError: thousands of opening brackets.
    except (ValueError, RecursionError) as error:
        raise PublishError('a control request is JSON like {"cmd": "version"}; this one cannot be parsed') from error
    if not isinstance(request, dict):
        raise PublishError(f'a control request is a map like {{"cmd": "version"}}, got a JSON {type(request).__name__}')
    return request


def _answer_time(request: dict[str, Any]) -> dict[str, Any]:
    t1 = request.get("t1")
    if not isinstance(t1, int) or isinstance(t1, bool):
        raise PublishError(f"time takes t1, the asker's clock as an integer of nanoseconds, got {t1!r:.40}")
    return {"t1": t1, "t_host": request["t_host"]}


def _answer_version(request: dict[str, Any]) -> dict[str, Any]:
    return {"tracker": tracker.__version__, "v": WIRE_VERSION}
