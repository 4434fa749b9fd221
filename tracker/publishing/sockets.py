"""Binding server sockets with the options and error messages that all endpoints share."""

from __future__ import annotations

import errno
from typing import Final

import zmq

from tracker.errors import PublishError
from tracker.publishing.security import ServerSecurity

HEARTBEAT_INTERVAL_MS: Final = 1000
HEARTBEAT_TIMEOUT_MS: Final = 3000


def set_heartbeats(socket: zmq.Socket[bytes]) -> None:
    """Let both ends notice a peer that vanished without closing its connection."""
    socket.set(zmq.HEARTBEAT_IVL, HEARTBEAT_INTERVAL_MS)
    socket.set(zmq.HEARTBEAT_TIMEOUT, HEARTBEAT_TIMEOUT_MS)


def bind(socket: zmq.Socket[bytes], endpoint: str, option: str, security: ServerSecurity) -> str:
    """Bind a socket and return the actual endpoint (port 0 and ``*`` become the port the system chose).

    Args:
        socket: closed again when binding fails.
        endpoint: ``tcp://HOST:PORT`` or ``ipc://PATH``.
        option: the command-line option that changes the endpoint, for the error message.
        security: gives the socket its keys.

    Raises:
        PublishError: the port is taken, the address is not this machine's, or binding is not permitted.
    """
    set_heartbeats(socket)
    security.apply(socket)
    try:
        socket.bind(endpoint)
    except zmq.ZMQError as error:
        socket.close(linger=0)
        raise PublishError(_explain(error, endpoint, option)) from error
    actual: str = socket.get_string(zmq.LAST_ENDPOINT)
    return actual


def _explain(error: zmq.ZMQError, endpoint: str, option: str) -> str:
    address, _, port = endpoint.rpartition(":")
    if error.errno == errno.EADDRINUSE:
        return (
            f"cannot bind {endpoint}: port {port} is taken (is another tracker running?); "
            f"stop that program or choose another port with {option} {address}:PORT"
        )
    if error.errno in (errno.EADDRNOTAVAIL, errno.ENODEV):
        return f"cannot bind {endpoint}: this machine has no such address; use 127.0.0.1, 0.0.0.0 or one of its own with {option}"
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"cannot bind {endpoint}: not permitted; choose a port above 1023 with {option} {address}:PORT"
    return f"cannot bind {endpoint}: {error.strerror or error}; choose another endpoint with {option}"
