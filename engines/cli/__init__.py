"""The ``engines`` command (how commands work: ``engines/command_line.py``)."""

from __future__ import annotations

import errno
from typing import Final

from engines.command_line import CommandLine
from engines.errors import EngineError

VERBS: Final[dict[str, str]] = {
    "build": "compile a network for this machine, or for named GPU generations",
    "list": "list the engines of the cache, and the networks that are known by name",
    "info": "tell all about an engine, a network file, or this machine's backends",
    "check": "compare every backend with fp32 on ONNX Runtime, on real crops",
    "bench": "measure every backend, precision and batch, side by side",
    "prune": "delete engines that are stale, damaged or for other machines",
}
"""Verb -> one line for the overview."""

_OVERVIEW: Final = """\
engines: compile networks for this machine, keep them, check them, measure them

usage: engines [-v] VERB [options]

{verbs}

first steps:
  engines info                                        which backends does this machine have?
  engines build face_landmarks_detector               the fastest engine for the tracker's network
  engines build my.onnx --batch 1:4:16                your own network, up to 16 faces at once
  engines check my.onnx                               does every backend compute the same?
  engines bench my.onnx                               how fast is each?
  engines list                                        what has been built

options:
  -v, --verbose  log what happens, show tracebacks (-vv: more)
  -h, --help     this text; `engines VERB --help` teaches a verb
"""

_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EMFILE)


def _explain(error: Exception) -> tuple[str, int] | None:
    if isinstance(error, EngineError):
        return str(error), 1
    if isinstance(error, OSError) and error.errno in _FULL:
        return f"{error.strerror}: {error.filename or ''}", 1
    return None


_COMMAND: Final = CommandLine("engines", VERBS, _OVERVIEW, _explain)
main = _COMMAND.main
parser_of = _COMMAND.parser_of
