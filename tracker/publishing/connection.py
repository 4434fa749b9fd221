"""The client's end of a connection: its keys, and words for a handshake that fails where ZeroMQ would just stay silent."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import zmq
from zmq.utils.monitor import parse_monitor_message

from tracker.errors import PublishError
from tracker.publishing.security import apply_client_keys
from tracker.publishing.sockets import set_heartbeats

_HANDSHAKE_EVENTS: Final = (
    zmq.EVENT_HANDSHAKE_SUCCEEDED
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
)
_TOLERATED_FAILURES: Final = 3
"""Handshakes cut off in a row before we call it a failure: a tracker that restarts cuts off one."""


class Connection:
    """A socket of its own context, connected to one endpoint, which may come into being later.

    Args:
        kind: the socket type, for example ``zmq.SUB``.
        endpoint: ``tcp://HOST:PORT`` or ``ipc://PATH``.
        curve_keys: the client's key folder, see ``security``; None connects in the clear.
        prepare: sets socket options before the connection is made.

    Raises:
        PublishError: the endpoint or the keys are unusable.
    """

    def __init__(
        self,
        kind: int,
        endpoint: str,
        curve_keys: Path | None = None,
        prepare: Callable[[zmq.Socket[bytes]], None] | None = None,
    ) -> None:
        self.endpoint = endpoint
        self._curve_keys = curve_keys
        self._failures = 0
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.socket = self._context.socket(kind)
        self._monitor = self.socket.get_monitor_socket(_HANDSHAKE_EVENTS)
        try:
            set_heartbeats(self.socket)
            if curve_keys is not None:
                apply_client_keys(self.socket, curve_keys)
            if prepare is not None:
                prepare(self.socket)
            self.socket.connect(endpoint)
        except zmq.ZMQError as error:
            self.close()
            raise PublishError(f"cannot connect to {endpoint!r}: {error.strerror}; expected tcp://HOST:PORT") from error
        except PublishError:
            self.close()
            raise
        self._poller = zmq.Poller()
        self._poller.register(self.socket, zmq.POLLIN)
        self._poller.register(self._monitor, zmq.POLLIN)

    def wait(self, timeout_s: float | None) -> bool:
        """Wait for a message; False when none came in time. None waits for ever.

        Raises:
            PublishError: the other side refuses to talk to us.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            remaining_ms = None if deadline is None else max(0, round((deadline - time.monotonic()) * 1e3))
            ready = dict(self._poller.poll(remaining_ms))
            if self._monitor in ready:
                self._note_handshake()
            if self.socket in ready:
                return True
            if not ready:
                return False

    def close(self) -> None:
        """Disconnect; what was not sent is dropped. May be called twice."""
        if self._context.closed:
            return
        self.socket.disable_monitor()
        self._monitor.close(linger=0)
        self.socket.close(linger=0)
        self._context.term()

    def _note_handshake(self) -> None:
        event = parse_monitor_message(self._monitor.recv_multipart())["event"]
        if event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
            self._failures = 0
            return
        self._failures += 1
        keys = self._curve_keys
        if event == zmq.EVENT_HANDSHAKE_FAILED_AUTH and keys is not None:
            raise PublishError(
                f"the tracker at {self.endpoint} does not know this client: copy {keys / 'client.key'} "
                "into the clients/ folder of its --curve-keys, then connect again"
            )
        if event == zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL:
            raise PublishError(
                f"the tracker at {self.endpoint} encrypts: pass --curve-keys DIR"
                if keys is None
                else f"the tracker at {self.endpoint} does not encrypt: leave out --curve-keys"
            )
        # Whichever side notices a mismatch first hangs up; when it was the other one, we only see the line go dead.
        if self._failures >= _TOLERATED_FAILURES:
            raise PublishError(
                f"{self.endpoint} breaks off every connection: probably a tracker that encrypts: pass --curve-keys DIR"
                if keys is None
                else f"{self.endpoint} breaks off every connection: {keys / 'server.key'} is not that tracker's key, "
                "or it does not encrypt: leave out --curve-keys"
            )
