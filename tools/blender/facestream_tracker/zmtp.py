"""A ZeroMQ peer in plain Python: ZMTP 3.0 with the NULL mechanism over TCP or a local socket, never blocking.

Blender brings no ZeroMQ. Its wheels would have to be shipped for every platform and every Python that a Blender comes with;
what a subscriber needs of the protocol is this file (rfc.zeromq.org/spec/23, /29 for SUB, /28 for REQ). Encrypted endpoints
(CURVE) are refused by name: the standard library has none of their ciphers.
"""

from __future__ import annotations

import errno
import select
import socket
import struct
import threading
import time

GREETING = b"\xff" + bytes(8) + b"\x7f" + b"\x03\x00" + b"NULL".ljust(20, b"\0") + b"\0" + bytes(31)
MAX_FRAME_BYTES = 1 << 26
RETRY_S = 0.5
SILENCE_S = 6.0
"""The tracker sends its status every second, so this long without a byte means that the connection is dead."""

_MORE, _LONG, _COMMAND = 1, 2, 4
_PENDING = (errno.EINPROGRESS, errno.EWOULDBLOCK, errno.EAGAIN, getattr(errno, "WSAEWOULDBLOCK", errno.EWOULDBLOCK))


class ProtocolError(Exception):
    """The other side does not speak what this file speaks; the text says what it seems to be."""


def parse_endpoint(endpoint: str) -> tuple[str, int | None]:
    """``tcp://host:port`` -> (host, port), ``ipc://path`` -> (path, None).

    Raises:
        ValueError: it is neither.
    """
    scheme, _, rest = endpoint.strip().partition("://")
    if scheme == "ipc" and rest:
        if not hasattr(socket, "AF_UNIX"):
            raise ValueError(f"{endpoint}: this system has no local sockets; use tcp://127.0.0.1:5556")
        return rest, None
    host, _, port = rest.rpartition(":")
    if scheme != "tcp" or not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise ValueError(f"'{endpoint}' is no endpoint; expected one like tcp://127.0.0.1:5556")
    return host.strip("[]"), int(port)


def pack_frame(body: bytes, *, more: bool = False, command: bool = False) -> bytes:
    """One ZMTP frame."""
    flags = (_MORE if more else 0) | (_COMMAND if command else 0)
    if len(body) > 255:
        return struct.pack(">BQ", flags | _LONG, len(body)) + body
    return struct.pack("BB", flags, len(body)) + body


class FrameParser:
    """Bytes as they come -> whole frames, as (flags, body)."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """Take more bytes; the frames that are complete now.

        Raises:
            ProtocolError: a frame has reserved flags or an impossible size.
        """
        buffer = self._buffer
        buffer += data
        frames: list[tuple[int, bytes]] = []
        start = 0
        while len(buffer) - start >= 2:
            flags = buffer[start]
            if flags & ~(_MORE | _LONG | _COMMAND):
                raise ProtocolError(f"the peer sent a frame with unknown flags {flags:#04x}")
            header = 9 if flags & _LONG else 2
            if len(buffer) - start < header:
                break
            size = int.from_bytes(buffer[start + 1 : start + header], "big")
            if size > MAX_FRAME_BYTES:
                raise ProtocolError(f"the peer announced a frame of {size} bytes")
            if len(buffer) - start < header + size:
                break
            frames.append((flags, bytes(buffer[start + header : start + header + size])))
            start += header + size
        del buffer[:start]
        return frames


class Peer:
    """One connection that is made, kept and made again by calling ``poll``; nothing here waits.

    Args:
        endpoint: see ``parse_endpoint``.
        kind: ``SUB`` or ``REQ``.
        topics: what a SUB subscribes to.

    Raises:
        ValueError: the endpoint is unusable.
    """

    def __init__(self, endpoint: str, kind: str = "SUB", topics: tuple[bytes, ...] = ()) -> None:
        self.endpoint = endpoint
        self.ready = False
        """The handshake is done."""
        self.problem = ""
        """Why there is no connection, in a line; empty while there is nothing to say."""
        self._host, self._port = parse_endpoint(endpoint)
        self._kind = kind.encode()
        self._topics = topics
        self._socket: socket.socket | None = None
        self._lookup: _Lookup | None = None
        self._retry_at = 0.0
        self._waiting = bytearray()
        self._reset()

    def _reset(self) -> None:
        self.ready = False
        self._greeting = bytearray()
        self._parser = FrameParser()
        self._parts: list[bytes] = []
        self._out = bytearray()
        self._connecting = False
        self._heard_at = time.monotonic()

    def send(self, *parts: bytes) -> None:
        """Queue a message; it leaves with the next ``poll`` after the handshake."""
        queue = self._out if self.ready else self._waiting
        for index, part in enumerate(parts):
            queue += pack_frame(part, more=index + 1 < len(parts))

    def poll(self) -> list[list[bytes]]:
        """Do what can be done now; the whole messages that have come since the last call, oldest first."""
        try:
            if self._socket is None and not self._open():
                return []
            if self._connecting and not self._connected():
                return []
            messages = self._receive()
            self._flush()
        except ProtocolError as error:
            self._drop(str(error))
            return []
        except OSError as error:
            self._drop(f"nothing to be heard at {self.endpoint} ({error.strerror or error})")
            return []
        if time.monotonic() - self._heard_at > SILENCE_S:
            self._drop(f"{self.endpoint} has fallen silent")
        return messages

    def close(self) -> None:
        """Give the socket back. Closing twice is fine."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        self._reset()

    def _drop(self, problem: str) -> None:
        self.close()
        self.problem = problem
        self._retry_at = time.monotonic() + RETRY_S

    def _open(self) -> bool:
        if time.monotonic() < self._retry_at:
            return False
        self._reset()
        if self._port is None:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            address: object = self._host
        else:
            if self._lookup is None:
                self._lookup = _Lookup(self._host, self._port)
            found = self._lookup.result()
            if found is None:
                return False
            self._lookup = None
            family, address = found
            self._socket = socket.socket(family, socket.SOCK_STREAM)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.setblocking(False)
        code = self._socket.connect_ex(address)  # type: ignore[arg-type]
        if code not in (0, *_PENDING):
            raise OSError(code, _reason(code))
        self._connecting = True
        return True

    def _connected(self) -> bool:
        assert self._socket is not None
        # Windows reports a refused connection in the third list only.
        _, writable, failed = select.select([], [self._socket], [self._socket], 0)
        if not writable and not failed:
            if time.monotonic() - self._heard_at > SILENCE_S:
                raise OSError(errno.ETIMEDOUT, "no answer")
            return False
        code = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise OSError(code, _reason(code))
        self._connecting = False
        self._out += GREETING
        return True

    def _receive(self) -> list[list[bytes]]:
        assert self._socket is not None
        messages: list[list[bytes]] = []
        while True:
            try:
                data = self._socket.recv(1 << 18)
            except (BlockingIOError, InterruptedError):
                return messages
            if not data:
                raise OSError(errno.ECONNRESET, "closed by the other side")
            self._heard_at = time.monotonic()
            if len(self._greeting) < 64:
                data = self._greet(data)
            for flags, body in self._parser.feed(data):
                if flags & _COMMAND:
                    self._command(body)
                    continue
                self._parts.append(body)
                if not flags & _MORE:
                    messages.append(self._parts)
                    self._parts = []

    def _greet(self, data: bytes) -> bytes:
        count = 64 - len(self._greeting)
        self._greeting += data[:count]
        if self._greeting[0] != 0xFF or (len(self._greeting) > 9 and not self._greeting[9] & 1):
            raise ProtocolError(f"what answers at {self.endpoint} is not ZeroMQ; is that the tracker's port?")
        if len(self._greeting) < 64:
            return b""
        if self._greeting[10] < 3:
            raise ProtocolError(f"{self.endpoint} speaks ZMTP {self._greeting[10]}; version 3 is needed")
        mechanism = bytes(self._greeting[12:32]).rstrip(b"\0").decode("ascii", "replace")
        if mechanism != "NULL":
            raise ProtocolError(f"{self.endpoint} wants {mechanism} encryption, which this add-on does not have")
        ready = b"\x05READY" + b"\x0bSocket-Type" + struct.pack(">I", len(self._kind)) + self._kind
        ready += b"\x08Identity" + struct.pack(">I", 0)
        self._out += pack_frame(ready, command=True)
        for topic in self._topics:
            self._out += pack_frame(b"\x01" + topic)
        return data[count:]

    def _command(self, body: bytes) -> None:
        if body.startswith(b"\x05READY"):
            self.ready, self.problem = True, ""
            self._out += self._waiting
            self._waiting.clear()
        elif body.startswith(b"\x05ERROR"):
            raise ProtocolError(f"{self.endpoint} refused the connection: {body[7:].decode('ascii', 'replace')}")
        elif body.startswith(b"\x04PING"):
            # Two bytes of time to live, then a context that comes back.
            self._out += pack_frame(b"\x04PONG" + body[7:], command=True)

    def _flush(self) -> None:
        assert self._socket is not None
        while self._out:
            try:
                sent = self._socket.send(self._out)
            except (BlockingIOError, InterruptedError):
                return
            del self._out[:sent]


class _Lookup:
    """A host name's address. Names that are no numbers are looked up in a thread: a lookup can take seconds."""

    def __init__(self, host: str, port: int) -> None:
        # Where localhost is ::1 first, nothing listens: the tracker binds 127.0.0.1.
        self._host, self._port = "127.0.0.1" if host == "localhost" else host, port
        self._found: tuple[socket.AddressFamily, object] | None = None
        self._error: OSError | None = None
        try:
            self._find(socket.AI_NUMERICHOST)
            self._thread = None
        except OSError:
            self._thread = threading.Thread(target=self._run, name="facestream lookup", daemon=True)
            self._thread.start()

    def result(self) -> tuple[socket.AddressFamily, object] | None:
        if self._thread is not None and self._thread.is_alive():
            return None
        if self._error is not None:
            raise self._error
        return self._found

    def _run(self) -> None:
        try:
            self._find(0)
        except OSError as error:
            self._error = error

    def _find(self, flags: int) -> None:
        family, _, _, _, address = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM, flags=flags)[0]
        self._found = family, address


def _reason(code: int) -> str:
    return "nobody listens there" if code in (errno.ECONNREFUSED, errno.ENOENT, 10061) else f"error {code}"
