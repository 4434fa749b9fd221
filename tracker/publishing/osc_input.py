"""Recentre and calibrate by OSC: a button in VRChat, TouchOSC, a Stream Deck.

Listens for ``/tracker/recenter``, ``/tracker/calibrate`` (an argument ``off`` ends the calibration) and for the two addresses
at which EyeTrackVR listens to VRChat's avatar menus, ``/avatar/parameters/etvr_recenter`` and ``.../etvr_recalibrate``. A false
or zero argument is a button that was let go and does nothing. OSC has no answers: what does not make sense is ignored.
"""

from __future__ import annotations

import logging
import socket
import struct
import threading
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Final

from tracker.errors import PublishError, TrackerError
from tracker.publishing.control import Handler

logger = logging.getLogger(__name__)

Argument = int | float | str | bool
MAX_DATAGRAM_BYTES: Final = 4096
_DEEPEST = 4
_MOST_MESSAGES = 64
_ADDRESSES: Final = {
    "/tracker/recenter": "recenter",
    "/tracker/calibrate": "calibrate",
    "/avatar/parameters/etvr_recenter": "recenter",
    "/avatar/parameters/etvr_recalibrate": "calibrate",
}
_CONSTANTS: Final[dict[str, Argument]] = {"T": True, "F": False}
_NUMBERS: Final = {"i": ">i", "f": ">f", "h": ">q", "d": ">d"}


class OscInput:
    """Listens until closed. A context manager.

    Args:
        host: address to listen on.
        port: UDP port; 0 takes a free one, see ``port``.
        handlers: verbs ``recenter`` and ``calibrate``, as for the control socket.

    Raises:
        PublishError: the port is taken, or the address is not this machine's.
    """

    def __init__(self, host: str, port: int, handlers: Mapping[str, Handler]) -> None:
        self._handlers = handlers
        self._socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self._socket.bind((host, port))
        except (OSError, UnicodeError) as error:
            self._socket.close()
            reason = getattr(error, "strerror", None) or error
            raise PublishError(
                f"cannot listen for OSC on {host}:{port}: {reason}; choose another port with --osc-in"
            ) from error
        self._socket.settimeout(0.25)
        self.port = int(self._socket.getsockname()[1])
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="osc input", daemon=True)
        self._thread.start()

    def __enter__(self) -> OscInput:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop listening. May be called twice."""
        self._closing.set()
        self._thread.join()
        self._socket.close()

    def _listen(self) -> None:
        while not self._closing.is_set():
            try:
                data = self._socket.recv(MAX_DATAGRAM_BYTES)
            except TimeoutError:
                continue
            except OSError as error:  # Windows reports here that an earlier datagram was refused
                logger.debug("OSC input: %s", error)
                continue
            for address, arguments in parse_osc(data):
                self._act(address, arguments)

    def _act(self, address: str, arguments: tuple[Argument, ...]) -> None:
        verb = _ADDRESSES.get(address)
        if verb is None or (arguments and not arguments[0]):
            return
        request: dict[str, Any] = {"cmd": verb}
        if verb == "calibrate" and arguments and isinstance(arguments[0], str):
            request["mode"] = arguments[0]
        try:
            self._handlers[verb](request)
        except TrackerError as error:
            logger.info("OSC %s: %s", address, error)


def parse_osc(data: bytes, depth: int = 0) -> list[tuple[str, tuple[Argument, ...]]]:
    """The messages of a datagram, in order; what cannot be read is left out.

    OSC 1.0: strings end in 1 to 4 zero bytes, everything is aligned to four; a bundle is ``#bundle``, a time of eight
    bytes and elements with a size each. Types i, f, s, h, d, T and F are known; a message with others is left out.
    """
    if data[:8] == b"#bundle\0":
        return _parse_bundle(data, depth)
    try:
        return [_parse_message(data)]
    except (ValueError, struct.error):
        return []


def _parse_bundle(data: bytes, depth: int) -> list[tuple[str, tuple[Argument, ...]]]:
    found: list[tuple[str, tuple[Argument, ...]]] = []
    offset = 16
    while depth < _DEEPEST and offset + 4 <= len(data) and len(found) < _MOST_MESSAGES:
        (size,) = struct.unpack_from(">i", data, offset)
        offset += 4
        if not 0 < size <= len(data) - offset:
            break
        found += parse_osc(data[offset : offset + size], depth + 1)
        offset += size
    return found[:_MOST_MESSAGES]


def _parse_message(data: bytes) -> tuple[str, tuple[Argument, ...]]:
    address, offset = _string(data, 0)
    if not address.startswith("/"):
        raise ValueError("not an OSC address")
    if offset >= len(data):  # old senders leave the types away when there are no arguments
        return address, ()
    tags, offset = _string(data, offset)
    if not tags.startswith(","):
        raise ValueError("no OSC type tags")
    arguments: list[Argument] = []
    for tag in tags[1:]:
        if tag in _CONSTANTS:
            arguments.append(_CONSTANTS[tag])
        elif tag == "s":
            text, offset = _string(data, offset)
            arguments.append(text)
        elif tag in _NUMBERS:
            (number,) = struct.unpack_from(_NUMBERS[tag], data, offset)
            arguments.append(number)
            offset += struct.calcsize(_NUMBERS[tag])
        else:
            raise ValueError(f"OSC type {tag}")
    return address, tuple(arguments)


def _string(data: bytes, offset: int) -> tuple[str, int]:
    """Text at ``offset`` and where the next thing begins. Raises ValueError."""
    end = data.index(b"\0", offset)
    after = (end // 4 + 1) * 4
    if after > len(data):
        raise ValueError("a string that is not padded")
    return data[offset:end].decode("ascii"), after
