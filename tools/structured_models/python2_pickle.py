"""Pickles as Python 2 wrote them, with the class names that the published files carry."""

from __future__ import annotations

import pickle
import struct
from io import BytesIO
from pathlib import Path
from typing import Any, ClassVar

_PYTHON2_MODULES = {
    "builtins": "__builtin__",
    "copyreg": "copy_reg",
    "numpy._core.multiarray": "numpy.core.multiarray",
}


class Published:
    """An object whose pickle names a class of a package that need not be installed.

    ``Published("chumpy.ch", "Ch", {"x": array})`` is written as an instance of ``chumpy.ch.Ch`` with that state.
    """

    def __init__(self, module: str, name: str, state: dict[str, object]) -> None:
        self.module, self.name, self.state = module, name, state


class _Python2Pickler(pickle._Pickler):  # type: ignore[name-defined,misc] # the one in Python, whose opcodes can be chosen
    """Writes text and bytes as Python 2's ``str``, and modules by their names of that time."""

    dispatch: ClassVar = dict(pickle._Pickler.dispatch)  # type: ignore[attr-defined]

    def save_bytes(self, obj: bytes) -> None:
        self._string(obj, obj)

    def save_str(self, obj: str) -> None:
        self._string(obj, obj.encode("latin1"))

    def save_published(self, obj: Published) -> None:
        """NEWOBJ of the named class, then BUILD with its state: what protocol 2 makes of a plain object."""
        self._global(obj.module, obj.name)
        self.write(pickle.EMPTY_TUPLE + pickle.NEWOBJ)
        self.memoize(obj)
        self.save(obj.state)
        self.write(pickle.BUILD)

    def save_global(self, obj: Any, name: str | None = None) -> None:
        self._global(obj.__module__, name or obj.__qualname__)
        self.memoize(obj)

    def _global(self, module: str, name: str) -> None:
        module = _PYTHON2_MODULES.get(module, module)
        self.write(pickle.GLOBAL + f"{module}\n{name}\n".encode("ascii"))

    def _string(self, obj: object, raw: bytes) -> None:
        if len(raw) < 256:
            self.write(pickle.SHORT_BINSTRING + bytes([len(raw)]) + raw)
        else:
            self.write(pickle.BINSTRING + struct.pack("<i", len(raw)) + raw)
        self.memoize(obj)

    dispatch[bytes] = save_bytes
    dispatch[str] = save_str
    dispatch[Published] = save_published
    dispatch[type] = save_global


def write_python2_pickle(path: Path, content: object) -> None:
    """Write ``content`` with protocol 2 as Python 2 would have: numpy arrays, text, numbers, lists, dicts, ``Published``."""
    buffer = BytesIO()
    _Python2Pickler(buffer, protocol=2).dump(content)
    path.write_bytes(buffer.getvalue())
