"""Pickles: arrays come out, everything else is refused by name, and nothing a file says is run."""

from __future__ import annotations

import os
import pickle
import struct
from pathlib import Path
from typing import Any

import numpy as np
import numpy.f2py
import pytest

from tools.structured_models.python2_pickle import Published, write_python2_pickle
from tracker.face_model.importing import pickles
from tracker.face_model.importing.pickles import UnreadablePickleError, load_arrays, read_pickle


class Calls:
    """Pickles as a call of ``function`` with ``arguments``."""

    def __init__(self, function: Any, *arguments: object) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


def refused(blob: bytes, message: str) -> None:
    with pytest.raises(UnreadablePickleError, match=message) as caught:
        load_arrays(blob, "model.pkl")
    text = str(caught.value)
    assert text.startswith("model.pkl") and "\n" not in text and len(text) < 400


@pytest.mark.parametrize("protocol", range(6))
def test_numbers_text_and_containers(protocol: int) -> None:
    content = {
        "matrix": np.arange(6.0).reshape(2, 3),
        "fortran": np.asfortranarray(np.arange(6, dtype=np.uint32).reshape(2, 3)),
        "big_endian": np.arange(3, dtype=">f8"),
        "scalar": np.float32(0.5),
        "empty": np.zeros((0, 3)),
        "names": np.array(["a", "bc"]),
        "object": np.array({"inner": 1}, dtype=object),
        "bytes": b"\xff\x00",
        "list": [1, 2.5, "text", None, True, (1, 2)],
    }
    read = load_arrays(pickle.dumps(content, protocol), "x")
    assert isinstance(read, dict)
    for key in ("matrix", "fortran", "big_endian", "empty", "names"):
        assert np.array_equal(read[key], content[key]), key  # type: ignore[arg-type]
    assert read["scalar"] == 0.5 and read["object"] == {"inner": 1} and read["bytes"] == b"\xff\x00"
    assert read["list"] == [1, 2.5, "text", None, True, (1, 2)]


@pytest.mark.parametrize("layout", ["csc", "csr", "coo"])
@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_sparse_matrices_of_todays_scipy(layout: str, protocol: int) -> None:
    sparse = pytest.importorskip("scipy.sparse", reason="scipy writes the matrices of this test")
    dense = np.array([[0.0, 1.5, 0.0], [2.0, 0.0, -1.0]])
    read = load_arrays(pickle.dumps(getattr(sparse, f"{layout}_matrix")(dense), protocol), "x")
    assert np.array_equal(np.asarray(read), dense)


def test_chumpy_without_chumpy(tmp_path: Path) -> None:
    path = tmp_path / "old.pkl"
    whole = np.arange(12.0)
    inner = Published("chumpy.ch", "Ch", {"x": whole, "_dirty_vars": {1, 2}})
    state: dict[str, object] = {"a": inner, "idxs": np.array([3, 4, 5, 0]), "preferred_shape": (2, 2)}
    write_python2_pickle(path, {"plain": inner, "part": Published("chumpy.reordering", "Select", state)})
    read = read_pickle(path)
    assert isinstance(read, dict)
    assert np.array_equal(read["plain"], whole) and np.array_equal(read["part"], [[3.0, 4.0], [5.0, 0.0]])
    blob = path.read_bytes()
    assert b"cchumpy.ch\nCh\n" in blob and b"cnumpy.core.multiarray\n_reconstruct\n" in blob


@pytest.mark.parametrize(
    ("thing", "name"),
    [
        (Calls(os.system, "touch OWNED"), "posix.system|nt.system"),
        (Calls(eval, "open('OWNED', 'w')"), r"(__builtin__|builtins)\.eval"),
        (Calls(exec, "open('OWNED', 'w')"), r"(__builtin__|builtins)\.exec"),
        (Calls(getattr, "x", "upper"), r"(__builtin__|builtins)\.getattr"),
        (Calls(__import__, "os"), r"(__builtin__|builtins)\.__import__"),
        (Calls(open, "OWNED", "w"), r"(_?io|builtins)\.open"),
        (Calls(np.load, "OWNED"), "numpy.*load"),
        (Calls(np.fromfile, "OWNED"), "numpy.*fromfile"),
        (Calls(np.memmap, "OWNED"), "numpy.memmap"),
        (Calls(np.f2py.run_main, ["OWNED"]), r"numpy\.f2py\.f2py2e\.run_main"),
        (Path("x"), "pathlib"),
        (np.dtype, "refers|type|damaged|holds"),
        (np.random.default_rng(0), "numpy.random"),
    ],
)
def test_hostile_calls_are_refused_by_name(
    thing: object, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for protocol in (0, 2, 4):
        refused(pickle.dumps({"v_template": thing}, protocol), name)
    assert list(tmp_path.iterdir()) == []


def test_python2_names_are_refused_too() -> None:
    refused(b"cposix\nsystem\n(S'touch OWNED'\ntR.", "'posix.system'")
    refused(b"c__builtin__\neval\n(S'1'\ntR.", "'__builtin__.eval'")
    refused(b"cnumpy.core.multiarray\nfromfile\n.", "'numpy.core.multiarray.fromfile'")
    # A dotted name must not reach through an admitted one, nor hide the terminal from what it prints.
    refused(b"\x80\x04\x8c\x05numpy\x8c\x15ndarray.__class__.mro\x93.", r"'numpy\.ndarray\.__class__\.mro'")
    refused(b"\x80\x04\x8c\x05numpy\x8c\x05\x1b[2Jx\x93.", "'numpy.\\[2Jx'")


@pytest.mark.parametrize(
    ("blob", "message"),
    [
        (b"P1234\n.", "a persistent id"),
        (b"\x80\x02K\x01Q.", "a persistent id"),
        (b"\x80\x02\x82\x01.", "an extension code"),
        (b"(ios\nsystem\n.", "an old-style class"),
        (b"\x80\x05\x97.", "an out-of-band buffer"),
        (b"\x80\x02Nr\xff\xff\xff\x7f.", "a memo of 2147483647 entries"),
        (b"", "a damaged one or none"),
        (b"not a pickle at all", "a damaged one or none"),
        (b"\x80\x02", "a damaged one or none"),
        (b"\x80\x02.", "damaged"),
        (b"\x80\x09N.", "damaged"),
        (b"\x80\x02]" + b"\x8e" + struct.pack("<Q", 1 << 60) + b"x.", "a damaged one or none"),
        (b"\x80\x02T" + struct.pack("<i", 2_000_000_000) + b"x.", "a damaged one or none"),
        (b"\x80\x02" + b"]" * 90_000 + b"a" * 89_999 + b".", "nested more than"),
        (b"\x80\x02]q\x00h\x00a.", "refers to itself"),
        (b"\x80\x02N" + b"0N" * 150_000 + b".", "more than 200000 instructions"),
    ],
)
def test_damaged_and_devious_pickles(blob: bytes, message: str) -> None:
    refused(blob, message)


def test_references_cannot_blow_up() -> None:
    """Ten lists of ten references each to the next: 10^10 elements in a few hundred bytes."""
    level: list[object] = [1.0]
    for _ in range(10):
        level = [level] * 10
    refused(pickle.dumps(level, 2), "nested more than|refers to itself")
    array = np.zeros(1000)
    read = load_arrays(pickle.dumps([array] * 100, 2), "x")
    assert isinstance(read, list) and all(item is read[0] for item in read)


def _array_state(shape: object, dtype: object, raw: object) -> bytes:
    return pickle.dumps({"v": _Array(shape, dtype, raw)}, 2)


class _Array:
    def __init__(self, shape: object, dtype: object, raw: object) -> None:
        self.state = (1, shape, dtype, False, raw)

    def __reduce__(self) -> Any:
        return np._core.multiarray._reconstruct, (np.ndarray, (0,), b"b"), self.state  # type: ignore[attr-defined]


def test_arrays_whose_state_lies() -> None:
    f8 = np.dtype("f8")
    refused(_array_state((1 << 40, 1 << 40), f8, b"12345678"), "does not have 8 bytes")
    refused(_array_state((-1,), f8, b"12345678"), "does not have")
    refused(_array_state((2,), f8, b"12345678"), "does not have 8 bytes")
    refused(_array_state("xy", f8, b"12345678"), "without shape")
    refused(_array_state((1,), "f8", b"12345678"), "without shape or number type")
    refused(_array_state((1,), np.dtype([("a", "f8")]), b"12345678"), "plain numbers|without")
    refused(_array_state((1,), f8, 12), "not bytes")
    refused(pickle.dumps(Calls(np.dtype, "V8"), 2), "plain numbers|holds")


def test_a_sparse_matrix_that_lies() -> None:
    def published(**changes: object) -> bytes:
        state: dict[str, object] = {
            "_shape": (5, 4), "data": np.ones(2), "indices": np.array([0, 1]), "indptr": np.array([0, 1, 2, 2, 2]), **changes,
        }  # fmt: skip
        folder = Path(os.environ.get("PYTEST_TMP", "/tmp"))
        path = folder / f"sparse{os.getpid()}.pkl"
        write_python2_pickle(path, Published("scipy.sparse.csc", "csc_matrix", state))
        blob = path.read_bytes()
        path.unlink()
        return blob

    assert np.asarray(load_arrays(published(), "x")).sum() == 2.0
    refused(published(_shape=(1 << 20, 1 << 20)), "is not a joint regressor")
    refused(published(_shape=None), "without its shape")
    refused(published(indices=np.array([0, 9])), "does not fit its shape")
    refused(published(indices=np.array([-1, 0])), "does not fit its shape")
    refused(published(indptr=np.array([0, 1])), "does not fit its shape")
    refused(published(indptr=np.array([0, 5, 5, 5, 5])), "does not fit")


def test_nothing_stays_behind_on_our_own_classes() -> None:
    """BUILD sets attributes on whatever is on the stack; a class or function of ours must not keep them."""
    # numpy.dtype (a class here), a state with a slot part, BUILD.
    blob = b"\x80\x02cnumpy\ndtype\n}q\x00U\x05buildq\x01K\x01sb."
    with pytest.raises(UnreadablePickleError):
        load_arrays(blob, "model.pkl")
    slots = b"\x80\x02cnumpy\ndtype\nN}q\x00U\x05buildq\x01K\x01s\x86b."
    with pytest.raises(UnreadablePickleError):
        load_arrays(slots, "model.pkl")
    assert callable(pickles._Dtype.build)
    function = b"\x80\x02c_codecs\nencode\nN}q\x00U\x0c__defaults__q\x01K\x01\x85s\x86b."
    refused(function, "change a function|damaged|no attribute")
    assert pickles._encode.__defaults__ == ("latin1",)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UnreadablePickleError, match=r"cannot read .*nothing\.pkl: No such file"):
        read_pickle(tmp_path / "nothing.pkl")


def test_every_truncation_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "small.pkl"
    write_python2_pickle(path, {"a": Published("chumpy.ch", "Ch", {"x": np.arange(4.0)}), "b": np.float32(1)})
    blob = path.read_bytes()
    assert isinstance(load_arrays(blob, "x"), dict)
    for length in range(len(blob)):
        with pytest.raises(UnreadablePickleError):
            load_arrays(blob[:length], "model.pkl")


def test_flipped_bytes_give_arrays_or_one_line(tmp_path: Path) -> None:
    path = tmp_path / "small.pkl"
    write_python2_pickle(path, {"a": Published("chumpy.ch", "Ch", {"x": np.arange(4.0)}), "b": np.float32(1)})
    blob = bytearray(path.read_bytes())
    rng = np.random.default_rng(0)
    for _ in range(1500):
        damaged = bytearray(blob)
        for place in rng.integers(0, len(blob), 3):
            damaged[place] = rng.integers(0, 256)
        try:
            load_arrays(bytes(damaged), "model.pkl")
        except UnreadablePickleError as error:
            assert "\n" not in str(error)
