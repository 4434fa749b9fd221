"""The msgpack decoder against the library that the tracker packs with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from facestream_tracker.msgpack_decode import unpack

msgpack = pytest.importorskip("msgpack", reason="the reference decoder is not in this Python")
GOLDEN = sorted((Path(__file__).resolve().parents[1] / "golden").glob("wire_*.bin"))


@pytest.mark.parametrize(
    "value",
    [
        None, True, False,
        0, 127, 128, 255, 256, 65535, 65536, 2**32, 2**64 - 1, -1, -32, -33, -129, -32769, -(2**31) - 1, -(2**63),
        0.5, 1e300, "", "a" * 31, "ä" * 40, "x" * 300, "y" * 70000, b"", bytes(300), bytes(70000), [], list(range(20)),
        list(range(70000)), {}, {str(i): i for i in range(20)}, {str(i): i for i in range(70000)}, {"a": {"b": [{"c": b"d"}]}},
    ],
)  # fmt: skip
def test_values_come_back(value: object) -> None:
    assert unpack(msgpack.packb(value)) == value


def test_single_precision_comes_back() -> None:
    assert unpack(msgpack.packb(0.25, use_single_float=True)) == 0.25


@pytest.mark.parametrize("path", [path for path in GOLDEN if "latest" not in path.name], ids=lambda path: path.stem)
def test_golden_packets_decode_alike(path: Path) -> None:
    packet = path.read_bytes()
    assert unpack(packet) == msgpack.unpackb(packet)
    for size in range(len(packet)):
        with pytest.raises(ValueError, match="truncated"):
            unpack(packet[:size])


NONSENSE = (
    b"", b"\xc1", b"\xd4\x01\x02", b"\x01\x02", b"\x81\x01\x02", b"\x91" * 100, b"\xdd\xff\xff\xff\xff", b"\xa1\xff",
)  # fmt: skip


@pytest.mark.parametrize("packet", NONSENSE)
def test_nonsense_is_a_value_error(packet: bytes) -> None:
    with pytest.raises(ValueError):
        unpack(packet)


def test_noise_never_raises_anything_else() -> None:
    rng = np.random.default_rng(3)
    for size in rng.integers(1, 60, 5000):
        try:
            unpack(rng.bytes(int(size)))
        except ValueError:
            continue
