"""Reading arrays out of pickles without running what is in them.

A pickle is a program that may call anything that can be imported. Model files are pickles of dictionaries of arrays, so
this unpickler knows array types only, each as a holder of its own that keeps the state and runs nothing: numpy's arrays are put
together here from their raw bytes, scipy's sparse matrices and chumpy's objects are read without either package. Whatever else
a file names is refused by name.
"""

from __future__ import annotations

import codecs
import io
import pickle
import pickletools
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tracker.errors import FaceModelError

_MOST_OPCODES: Final = 200_000
"""FLAME's files have a few hundred."""
_MOST_MEMO: Final = 1_000_000
_DEEPEST: Final = 32
_FORBIDDEN_OPCODES: Final = {
    "PERSID": "a persistent id", "BINPERSID": "a persistent id",
    "EXT1": "an extension code", "EXT2": "an extension code", "EXT4": "an extension code",
    "INST": "an old-style class", "OBJ": "an old-style class",
    "NEXT_BUFFER": "an out-of-band buffer", "READONLY_BUFFER": "an out-of-band buffer",
}  # fmt: skip


class UnreadablePickleError(FaceModelError):
    """A pickle holds something other than arrays, or is damaged."""


def read_pickle(path: Path) -> object:
    """The content of a pickle of arrays, written by Python 2 or 3.

    Returns:
        Dictionaries, lists, tuples, text, numbers and numpy arrays; sparse matrices as dense ones.

    Raises:
        UnreadablePickleError: the file names a class or function that is not an array type, or is no pickle.
    """
    try:
        blob = path.read_bytes()
    except OSError as error:
        raise UnreadablePickleError(f"cannot read {path}: {error.strerror or error}") from error
    return load_arrays(blob, str(path))


def load_arrays(blob: bytes, name: str) -> object:
    """The same for a pickle in memory; ``name`` stands in the messages."""
    _scan(blob, name)
    try:
        return _Walk().plain(_ArrayUnpickler(blob, name).load())
    except UnreadablePickleError as error:
        # Those raised on the way down say what, this one adds where.
        message = str(error)
        raise error if message.startswith(name) else UnreadablePickleError(f"{name}: {message}") from None
    except MemoryError:
        raise UnreadablePickleError(f"{name} asks for more memory than there is; fetch the file again") from None
    except Exception as error:  # a hostile file can provoke almost any of them inside the unpickler
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise UnreadablePickleError(
            f"{name}: expected a pickle of arrays, found a damaged one ({reason}); fetch the file again"
        ) from error


def _scan(blob: bytes, name: str) -> None:
    """Refuse before anything is built what the unpickler itself would act on or allocate for."""
    count = 0
    try:
        for opcode, argument, _ in pickletools.genops(blob):
            count += 1
            if opcode.name in _FORBIDDEN_OPCODES:
                raise UnreadablePickleError(
                    f"{name} is refused: it holds {_FORBIDDEN_OPCODES[opcode.name]}, which a model file has no use for"
                )
            if opcode.name in ("PUT", "BINPUT", "LONG_BINPUT") and not 0 <= int(argument or 0) < _MOST_MEMO:
                raise UnreadablePickleError(f"{name} is refused: it asks for a memo of {argument} entries")
            if count > _MOST_OPCODES:
                raise UnreadablePickleError(f"{name} is refused: it has more than {_MOST_OPCODES} instructions")
    except FaceModelError:
        raise
    except Exception as error:  # genops raises ValueError mostly, but decodes whatever is there
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise UnreadablePickleError(
            f"{name}: expected a pickle of arrays, found a damaged one or none ({reason}); fetch the file again"
        ) from error


class _Walk:
    """Turns holders into arrays, all the way down, and gives up on what is too deep or too much."""

    def __init__(self) -> None:
        self._depth = 0
        self._left = _MOST_OPCODES

    def plain(self, value: object) -> object:
        self._left -= 1
        if self._depth > _DEEPEST or self._left < 0:
            raise UnreadablePickleError(f"it is nested more than {_DEEPEST} levels deep, or refers to itself")
        self._depth += 1
        result = self._convert(value)
        self._depth -= 1
        return result

    def _convert(self, value: object) -> object:
        if isinstance(value, _Holder):
            return value.value(self)
        if isinstance(value, dict):
            return {_key(key): self.plain(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.plain(item) for item in value]
        if isinstance(value, tuple):
            return tuple(self.plain(item) for item in value)
        if value is None or isinstance(value, str | bytes | int | float | complex | bool):
            return value
        raise UnreadablePickleError(f"it holds a {type(value).__name__}")


class _Holder:
    """Stands in for an object of another package and keeps what was pickled about it."""

    args: tuple[object, ...]
    state: object
    _built: object
    _made: bool

    def __new__(cls, *args: object) -> _Holder:
        # Not __init__: a pickle makes objects without calling it.
        self = super().__new__(cls)
        self.args, self.state, self._built, self._made = args, None, None, False
        return self

    def __setstate__(self, state: object) -> None:
        self.state = state

    def build(self, walk: _Walk) -> object:
        raise NotImplementedError

    def value(self, walk: _Walk) -> object:
        """What the object stands for; made once, however often the pickle refers to it."""
        if not self._made:
            self._built, self._made = self.build(walk), True
        return self._built


class _Dtype(_Holder):
    """``numpy.dtype``: numbers and text only."""

    def build(self, walk: _Walk) -> np.dtype[Any]:
        code = self.args[0] if self.args else None
        code = code.decode("latin1") if isinstance(code, bytes) else code
        if not isinstance(code, str):
            raise UnreadablePickleError("an array's number type is not given as text")
        if code in ("O", "O8", "O4", "|O"):
            return np.dtype(object)
        dtype = np.dtype(code)
        if dtype.kind not in "biufSU" or dtype.names or dtype.subdtype:
            raise UnreadablePickleError(f"an array of type {code!r} holds no plain numbers")
        order = self.state[1] if isinstance(self.state, tuple) and len(self.state) > 1 else "="
        if order in (">", b">"):
            return dtype.newbyteorder(">")
        return dtype.newbyteorder("<") if order in ("<", b"<") else dtype


class _Array(_Holder):
    """``numpy.ndarray``, put together from the bytes of its state."""

    def build(self, walk: _Walk) -> object:
        if not isinstance(self.state, tuple) or len(self.state) < 5:
            raise UnreadablePickleError("an array came without its numbers")
        shape, dtype, is_fortran, raw = self.state[-4:]
        if not isinstance(dtype, _Dtype) or not isinstance(shape, tuple) or not all(isinstance(n, int) for n in shape):
            raise UnreadablePickleError("an array came without shape or number type")
        kind = dtype.build(walk)
        if kind.kind == "O":
            content = walk.plain(raw)
            return content[0] if shape == () and isinstance(content, list) and len(content) == 1 else content
        return _from_bytes(raw, kind, shape, bool(is_fortran))


class _Scalar(_Holder):
    """``numpy.core.multiarray.scalar``."""

    def build(self, walk: _Walk) -> object:
        dtype, raw = self.args if len(self.args) == 2 else (None, None)
        if not isinstance(dtype, _Dtype):
            raise UnreadablePickleError("a number came without its type")
        return _from_bytes(raw, dtype.build(walk), (), False)[()]


class _Sparse(_Holder):
    """A scipy sparse matrix, turned into a dense one."""

    layout = ""

    def build(self, walk: _Walk) -> NDArray[np.float64]:
        state = {str(key): walk.plain(item) for key, item in _mapping(self.state).items()}
        shape = state.get("_shape")
        data, indices, indptr = (np.asarray(state.get(key, ())) for key in ("data", "indices", "indptr"))
        if not isinstance(shape, tuple) or len(shape) != 2 or data.ndim != 1 or data.shape[0] > 10_000_000:
            raise UnreadablePickleError("a sparse matrix came without its shape or its numbers")
        height, width = (int(n) for n in shape)
        if not 0 < height * width <= 100_000_000:
            raise UnreadablePickleError(f"a sparse matrix of {height} x {width} is not a joint regressor")
        if self.layout == "coo":
            rows, columns = np.asarray(state.get("row", ())), np.asarray(state.get("col", ()))
            if "coords" in state and isinstance(state["coords"], tuple) and len(state["coords"]) == 2:
                rows, columns = (np.asarray(axis) for axis in state["coords"])
        else:
            runs = np.diff(indptr)
            if runs.ndim != 1 or runs.size != (width if self.layout == "csc" else height) or (runs < 0).any():
                raise UnreadablePickleError("a sparse matrix whose index does not fit its shape")
            along = np.repeat(np.arange(runs.size), runs)
            rows, columns = (indices, along) if self.layout == "csc" else (along, indices)
        if not rows.shape == columns.shape == data.shape:
            raise UnreadablePickleError("a sparse matrix whose index does not fit its numbers")
        if data.size and (rows.min() < 0 or rows.max() >= height or columns.min() < 0 or columns.max() >= width):
            raise UnreadablePickleError("a sparse matrix whose index does not fit its shape")
        dense = np.zeros((height, width))
        np.add.at(dense, (rows, columns), data)
        return dense


class _Chumpy(_Holder):
    """``chumpy.ch.Ch``: an array under ``x``."""

    def build(self, walk: _Walk) -> object:
        return walk.plain(_mapping(self.state).get("x"))


class _ChumpySelect(_Holder):
    """``chumpy.reordering.Select``: some entries of another array, in a shape of its own."""

    def build(self, walk: _Walk) -> object:
        state = _mapping(self.state)
        whole = np.asarray(walk.plain(state.get("a"))).ravel()
        chosen = np.asarray(walk.plain(state.get("idxs"))).ravel()
        shape = walk.plain(state.get("preferred_shape"))
        if chosen.dtype.kind not in "iu" or (
            chosen.size and not 0 <= int(chosen.min()) <= int(chosen.max()) < whole.size
        ):
            raise UnreadablePickleError("a selection of an array's entries that are not there")
        picked = whole[chosen]
        return picked.reshape(tuple(int(n) for n in np.ravel(shape))) if shape is not None else picked  # type: ignore[call-overload]


class _Callable:
    """An admitted function. Without ``__dict__``, so that a pickle cannot leave anything on it."""

    __slots__ = ("_function",)
    _function: Callable[..., object]

    def __init__(self, function: Callable[..., object]) -> None:
        object.__setattr__(self, "_function", function)

    def __setattr__(self, name: str, value: object) -> None:
        raise UnreadablePickleError("it tries to change a function")

    def __call__(self, *args: object) -> object:
        return self._function(*args)


class _ArrayUnpickler(pickle.Unpickler):
    def __init__(self, blob: bytes, name: str) -> None:
        # Python 2 wrote raw bytes as text: latin1 keeps every one of them. BytesIO gives no more than there is,
        # however much a damaged length asks for.
        super().__init__(io.BytesIO(blob), fix_imports=False, encoding="latin1")
        self._name = name
        # Made afresh for every file: what one pickle does to these classes ends with it.
        own = {base: type(base.__name__, (base,), {}) for base in (_Array, _Dtype, _Chumpy, _ChumpySelect)}
        sparse = {kind: type(f"_{kind}", (_Sparse,), {"layout": kind}) for kind in ("csc", "csr", "coo")}
        rebuild = _Callable(lambda *args: own[_Array]())
        plain_object = type("_Object", (), {})
        self._admitted: dict[tuple[str, str], object] = {
            ("numpy", "ndarray"): own[_Array],
            ("numpy", "dtype"): own[_Dtype],
            ("numpy.core.numeric", "_frombuffer"): _Callable(_frombuffer),
            ("_codecs", "encode"): _Callable(_encode),
            ("collections", "OrderedDict"): _Callable(_ordered),
            ("chumpy.ch", "Ch"): own[_Chumpy],
            ("chumpy.reordering", "Select"): own[_ChumpySelect],
            ("copyreg", "_reconstructor"): _Callable(_reconstructor),
            ("builtins", "object"): plain_object,
            ("builtins", "set"): _Callable(_ignored_set),
            ("builtins", "frozenset"): _Callable(_ignored_set),
            ("builtins", "bytearray"): _Callable(_bytes),
            ("builtins", "bytes"): _Callable(_bytes),
        }
        for core in ("numpy.core.multiarray", "numpy._core.multiarray"):
            self._admitted[core, "_reconstruct"] = rebuild
            self._admitted[core, "scalar"] = type("_Scalar", (_Scalar,), {})
        self._admitted["numpy._core.numeric", "_frombuffer"] = self._admitted["numpy.core.numeric", "_frombuffer"]
        for kind, holder in sparse.items():
            for module in (f"scipy.sparse.{kind}", f"scipy.sparse._{kind}"):
                self._admitted[module, f"{kind}_matrix"] = holder
                self._admitted[module, f"{kind}_array"] = holder

    def find_class(self, module: str, name: str) -> Any:
        modern = {"__builtin__": "builtins", "copy_reg": "copyreg"}.get(module, module)
        try:
            return self._admitted[modern, name]
        except KeyError:
            shown = "".join(c for c in f"{module}.{name}"[:100] if c.isprintable())
            raise UnreadablePickleError(
                f"{self._name} is refused: it wants '{shown}', and a model file needs array types only; "
                "get it from its publisher again"
            ) from None


def _frombuffer(buffer: object, dtype: object, shape: object, order: object = "C") -> _Array:
    array = _Array()
    array.state = (1, shape, dtype, order == "F", buffer)
    return array


def _encode(text: object, encoding: object = "latin1") -> bytes:
    # How Python 3 writes bytes for protocols that have none.
    if not isinstance(text, str) or not isinstance(encoding, str) or codecs.lookup(encoding).name != "iso8859-1":
        raise UnreadablePickleError("bytes in an unknown encoding")
    return text.encode("latin1")


def _bytes(*args: object) -> bytes:
    if not args:
        return b""
    if isinstance(args[0], bytes):
        return args[0]
    if isinstance(args[0], str):
        return args[0].encode("latin1")
    raise UnreadablePickleError("bytes made of something else than bytes")


def _ordered(*args: object) -> OrderedDict[Any, Any]:
    return OrderedDict(args[0]) if args and isinstance(args[0], list) else OrderedDict()


def _ignored_set(*_: object) -> None:
    """Chumpy keeps sets of what is to be computed again; nothing here needs them."""


def _reconstructor(kind: object, base: object = None, state: object = None) -> object:
    if not isinstance(kind, type) or not issubclass(kind, _Holder):
        raise UnreadablePickleError("an object of no known type")
    return kind()


def _mapping(state: object) -> dict[Any, Any]:
    # Objects with slots are pickled as a pair: dictionary, slots.
    if isinstance(state, tuple) and state and isinstance(state[0], dict):
        return state[0]
    if not isinstance(state, dict):
        raise UnreadablePickleError("an object came without its content")
    return state


def _from_bytes(raw: object, dtype: np.dtype[Any], shape: tuple[int, ...], is_fortran: bool) -> NDArray[Any]:
    if isinstance(raw, str):
        raw = raw.encode("latin1")
    if not isinstance(raw, bytes | bytearray):
        raise UnreadablePickleError("an array's numbers are not bytes")
    count = 1
    for n in shape:
        count *= n
    if any(n < 0 for n in shape) or count * dtype.itemsize != len(raw):
        raise UnreadablePickleError(f"an array of shape {shape} and {dtype} does not have {len(raw)} bytes")
    flat = np.frombuffer(bytes(raw), dtype) if count else np.zeros(0, dtype)
    return flat.reshape(shape, order="F" if is_fortran else "C")


def _key(key: object) -> object:
    if isinstance(key, bytes):
        return key.decode("latin1")
    if isinstance(key, str | int | float | bool) or key is None:
        return key
    raise UnreadablePickleError(f"a dictionary has a {type(key).__name__} for a key")
