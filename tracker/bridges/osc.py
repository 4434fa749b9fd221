"""OSC messages with fixed addresses, packed in one go.

A frame of 52 weights is 52 messages. Only their numbers change, so addresses, type tags and sizes are laid out once and a frame
costs one ``struct`` call. Bundles stay under the network's packet size: larger datagrams are split by routers and lost together.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

LARGEST_DATAGRAM = 1400
"""Bytes; leaves room for headers in an Ethernet packet of 1500."""
_BUNDLE = b"#bundle\0" + struct.pack(">Q", 1)  # time tag 1: do it now
_LETTERS = {"f": "f", "i": "i", "T": "", "F": ""}


@dataclass(frozen=True, slots=True)
class OscMessage:
    """A message whose address and strings stay the same; its numbers come later, in order."""

    address: str
    numbers: str = ""
    """One letter per argument that follows: ``f`` float32, ``i`` int32; ``T`` true and ``F`` false take no number."""
    name: str | None = None
    """A string argument in front of the numbers."""

    @property
    def constant(self) -> bytes:
        """Address, type tags and string, padded."""
        tags = "," + ("s" if self.name is not None else "") + self.numbers
        text = b"" if self.name is None else _padded(self.name)
        return _padded(self.address) + _padded(tags) + text

    @property
    def layout(self) -> str:
        """The numbers as ``struct`` letters."""
        return "".join(_LETTERS[letter] for letter in self.numbers)

    @property
    def size(self) -> int:
        """Bytes of the whole message."""
        return len(self.constant) + 4 * len(self.layout)


class OscBundle:
    """Messages that go out together in one datagram.

    Raises:
        ValueError: they do not fit into one datagram.
    """

    def __init__(self, messages: Sequence[OscMessage]) -> None:
        layout, constants = ">", []
        pending = _BUNDLE
        for message in messages:
            pending += struct.pack(">i", message.size) + message.constant
            layout += f"{len(pending)}s"
            constants.append(pending)
            layout += message.layout
            pending = b""
        self._struct = struct.Struct(layout)
        if self._struct.size > LARGEST_DATAGRAM:
            raise ValueError(f"an OSC bundle of {self._struct.size} bytes does not fit into one datagram")
        self._arguments: list[bytes | float] = []
        self._slots: list[int] = []
        for constant, message in zip(constants, messages, strict=True):
            self._arguments.append(constant)
            self._slots.extend(range(len(self._arguments), len(self._arguments) + len(message.layout)))
            self._arguments.extend([0.0] * len(message.layout))
        self.count = len(self._slots)
        """Numbers that a frame gives."""

    def pack(self, numbers: Sequence[float]) -> bytes:
        """The datagram with ``numbers`` (``count`` of them) in the order of the messages."""
        arguments = self._arguments
        for slot, number in zip(self._slots, numbers, strict=True):
            arguments[slot] = number
        return self._struct.pack(*arguments)


def bundles(messages: Sequence[OscMessage], last: Sequence[OscMessage] = ()) -> list[OscBundle]:
    """``messages`` in as few datagrams as hold them, in order; ``last`` ends the last one."""
    room = LARGEST_DATAGRAM - len(_BUNDLE)
    groups: list[list[OscMessage]] = [[]]
    used = 0
    for message in (*messages, *last):
        cost = 4 + message.size
        if groups[-1] and used + cost > room:
            groups.append([])
            used = 0
        groups[-1].append(message)
        used += cost
    return [OscBundle(group) for group in groups if group]


def message_bytes(message: OscMessage, numbers: Sequence[float] = ()) -> bytes:
    """One message outside of a bundle."""
    return message.constant + struct.pack(f">{message.layout}", *numbers)


def _padded(text: str) -> bytes:
    data = text.encode() + b"\0"
    return data + b"\0" * (-len(data) % 4)


def pack_all(parts: Sequence[OscBundle], numbers: Sequence[float]) -> list[bytes]:
    """One datagram a bundle; ``numbers`` are those of all their messages, in order."""
    ends = list(accumulate(bundle.count for bundle in parts))
    return [bundle.pack(numbers[end - bundle.count : end]) for bundle, end in zip(parts, ends, strict=True)]
