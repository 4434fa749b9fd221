"""The ``trainer`` command. Exit codes as ``tracker``'s: 0 well, 1 the user's to mend, 2 wrong usage, 70 a defect, 130 Ctrl-C."""

from __future__ import annotations

import argparse
import importlib
import sys
import traceback
from collections.abc import Sequence
from typing import Final, NoReturn

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

_EXAMPLES: Final = """\
first steps:
  trainer list                                              what can be trained
  trainer fit dense_landmarks --preset smoke                a minute on any CPU
  trainer fit dense_landmarks --preset gpu --set optimiser.lr=3e-4 --minutes 25
  trainer resume runs/dense_landmarks/20260101-120000-run   after Ctrl-C
  trainer export dense_landmarks -o landmarks.onnx          its newest run
"""


class _Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see `{self.prog} --help`\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Args:
        argv: arguments without the program's name; ``sys.argv[1:]`` by default.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    overview = _Parser(
        prog="trainer",
        description="trainer: makes the networks that the tracker runs",
        epilog="\n".join(f"  {verb:<10}{line}" for verb, line in VERBS.items()) + f"\n\n{_EXAMPLES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    overview.add_argument("--version", action="version", version=f"trainer {__version__}")
    overview.add_argument("verb", choices=VERBS, metavar="VERB")
    verbose = False
    try:
        if not arguments:
            overview.print_help()
            return 0
        verb: str = overview.parse_args(arguments[:1]).verb
        module = importlib.import_module(f"trainer.cli.{verb}_verb")
        parser = _Parser(
            prog=f"trainer {verb}", description=VERBS[verb], formatter_class=argparse.RawDescriptionHelpFormatter
        )
        module.add_arguments(parser)
        parser.add_argument("-v", "--verbose", action="store_true", help="show tracebacks")
        args = parser.parse_args(arguments[1:])
        verbose = args.verbose
        code: int = module.run(args)
        return code
    except SystemExit as leaving:  # argparse: --help and wrong usage
        return leaving.code if isinstance(leaving.code, int) else 2
    except KeyboardInterrupt:
        sys.stderr.write("\n")
        return 130
    except TrackerError as error:
        return _complain(str(error), error.exit_code, verbose)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in ("tracker", "engines", "trainer"):
            return _complain(f"defect: {error}", 70, verbose)
        return _complain(
            f"training needs the Python package {error.name}: pip install 'facestream-tracker[train]'", 1, verbose
        )
    except Exception as error:
        reason = mendable_reason(error) if isinstance(error, OSError) else None
        if reason is not None:
            return _complain(reason, 1, verbose)
        hint = "" if verbose else f" (please report it with the traceback that `trainer {arguments[0]} -v …` shows)"
        return _complain(f"defect: {type(error).__name__}: {error}{hint}", 70, verbose)


def _complain(message: str, exit_code: int, verbose: bool) -> int:
    if verbose:
        traceback.print_exc()
    sys.stderr.write(f"trainer: {' '.join(message.split())}\n")
    return exit_code
