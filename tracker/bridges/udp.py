"""Sending datagrams without ever waiting."""

from __future__ import annotations

import socket
from typing import Any

from tracker.errors import PublishError


def resolve(host: str, port: int) -> tuple[socket.AddressFamily, socket.SocketKind, int, tuple[Any, ...]]:
    """Family, kind, protocol and address of datagrams to a machine. Raises PublishError when it has no address."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
    except (socket.gaierror, UnicodeError) as error:
        raise PublishError(
            f"cannot find a machine called '{host}': {error}; give its name or IP address as NAME=HOST:PORT"
        ) from error
    return family, kind, protocol, address


class UdpSender:
    """A socket that sends to one address. An absent receiver is no error: it may come later.

    Raises:
        PublishError: the host has no address.
    """

    def __init__(self, host: str, port: int) -> None:
        family, kind, protocol, address = resolve(host, port)
        self._address: tuple[Any, ...] = address
        self._socket = socket.socket(family, kind, protocol)
        self._socket.setblocking(False)
        if family == socket.AF_INET:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        self.target = f"{host}:{port}"

    def send(self, datagram: bytes) -> None:
        """Send one datagram, or drop it when the system has no room for it now. Raises OSError when the network refuses."""
        try:
            self._socket.sendto(datagram, self._address)
        except (BlockingIOError, ConnectionRefusedError):
            # No room: the next frame is better than a late one. Refused: nobody listened to an earlier datagram, yet.
            return

    def close(self) -> None:
        """Let go of the socket. May be called twice."""
        self._socket.close()
