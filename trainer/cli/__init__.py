"""The ``trainer`` command (how commands work: ``engines/command_line.py``)."""

from __future__ import annotations

from typing import Final

from engines.command_line import CommandLine
from tracker import __version__
from tracker.errors import TrackerError, mendable_reason

VERBS: Final[dict[str, str]] = {
    "list": "the methods, with their presets and settings",
    "prepare": "make and fetch the data that a method trains on",
    "fit": "train a network: a new run",
    "resume": "go on with a run, exactly where it stopped",
    "evaluate": "measure a run's network on its validation data",
    "report": "a run as one page: curves, sample pictures, tables, cost (every run that ends writes it)",
    "export": "write a run's network as ONNX, checked against torch",
}
"""Verb -> one line for the overview."""

_OVERVIEW: Final = """\
trainer {version}: makes the networks that the tracker runs

usage: trainer [-v] VERB [options]

{verbs}

first steps:
  trainer list                                              what can be trained
  trainer fit dense_landmarks --preset smoke                a minute on any CPU
  trainer fit dense_landmarks --preset gpu --set optimiser.lr=3e-4 --minutes 25
  trainer resume runs/dense_landmarks/20260101-120000-run   after Ctrl-C
  trainer export dense_landmarks -o landmarks.onnx          its newest run

options:
  -v, --verbose  log what happens, show tracebacks (-vv: more)
  --version      print the version
  -h, --help     this text; `trainer VERB --help` teaches a verb
"""


def _explain(error: Exception) -> tuple[str, int] | None:
    if isinstance(error, TrackerError):
        return str(error), error.exit_code
    if isinstance(error, ModuleNotFoundError):
        if (error.name or "").partition(".")[0] in ("tracker", "engines", "trainer"):
            return None
        return f"training needs the Python package {error.name}: pip install 'facestream-tracker[train]'", 1
    reason = mendable_reason(error) if isinstance(error, OSError) else None
    return None if reason is None else (reason, 1)


_COMMAND: Final = CommandLine("trainer", VERBS, _OVERVIEW, _explain, __version__, "{name}.cli.{verb}_verb")
main = _COMMAND.main
parser_of = _COMMAND.parser_of
