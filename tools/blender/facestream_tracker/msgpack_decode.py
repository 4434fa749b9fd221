"""Decoding msgpack, all of the specification but extension types, which the stream never uses."""

from __future__ import annotations

import struct
from typing import Any

_MAX_DEPTH = 32
_NUMBERS = {
    0xCA: struct.Struct(">f"), 0xCB: struct.Struct(">d"), 0xCC: struct.Struct(">B"), 0xCD: struct.Struct(">H"),
    0xCE: struct.Struct(">I"), 0xCF: struct.Struct(">Q"), 0xD0: struct.Struct(">b"), 0xD1: struct.Struct(">h"),
    0xD2: struct.Struct(">i"), 0xD3: struct.Struct(">q"),
}  # fmt: skip
_CONSTANTS: dict[int, Any] = {0xC0: None, 0xC2: False, 0xC3: True}
_BINARY = {0xC4: 1, 0xC5: 2, 0xC6: 4}
_TEXT = {0xD9: 1, 0xDA: 2, 0xDB: 4}
_LISTS = {0xDC: 2, 0xDD: 4}
_MAPS = {0xDE: 2, 0xDF: 4}


def unpack(data: bytes) -> Any:
    """One object from the whole of ``data``: maps as dicts, blobs as bytes.

    Raises:
        ValueError: it is truncated, followed by more, nested too deeply, or not msgpack.
    """
    reader = _Reader(data)
    value = reader.value(0)
    if reader.position != len(data):
        raise ValueError(f"{len(data) - reader.position} bytes follow the object")
    return value


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.position = 0

    def take(self, count: int) -> bytes:
        start = self.position
        if count > len(self.data) - start:
            raise ValueError(f"truncated: {count} bytes wanted at {start} of {len(self.data)}")
        self.position = start + count
        return self.data[start : self.position]

    def value(self, depth: int) -> Any:
        if depth > _MAX_DEPTH:
            raise ValueError("nested too deeply")
        code = self.take(1)[0]
        if code < 0x80:
            return code
        if code >= 0xE0:
            return code - 0x100
        if 0xA0 <= code < 0xC0:
            return self.text(code & 0x1F)
        if code < 0x90:
            return self.map(code & 0x0F, depth)
        if code < 0xA0:
            return self.list(code & 0x0F, depth)
        if code in _CONSTANTS:
            return _CONSTANTS[code]
        if code in _NUMBERS:
            number = _NUMBERS[code]
            return number.unpack(self.take(number.size))[0]
        if code in _BINARY:
            return self.take(self.length(_BINARY[code]))
        if code in _TEXT:
            return self.text(self.length(_TEXT[code]))
        if code in _LISTS:
            return self.list(self.length(_LISTS[code]), depth)
        if code in _MAPS:
            return self.map(self.length(_MAPS[code]), depth)
        raise ValueError(f"type {code:#04x} at {self.position - 1} is not known")

    def length(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def text(self, count: int) -> str:
        return self.take(count).decode("utf-8")

    def list(self, count: int, depth: int) -> list[Any]:
        self.check(count)
        return [self.value(depth + 1) for _ in range(count)]

    def map(self, count: int, depth: int) -> dict[str, Any]:
        self.check(2 * count)
        result: dict[str, Any] = {}
        for _ in range(count):
            key = self.value(depth + 1)
            if not isinstance(key, str):
                raise ValueError(f"a map has a key of type {type(key).__name__}; expected text")
            result[key] = self.value(depth + 1)
        return result

    def check(self, items: int) -> None:
        # Every item takes a byte at least: a damaged length must not cost memory.
        if items > len(self.data) - self.position:
            raise ValueError(f"truncated: {items} items announced at {self.position} of {len(self.data)}")
