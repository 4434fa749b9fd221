"""The ``engines`` command: finds the verb, runs it, and turns what goes wrong into one line and an exit code.

A verb is a module of this package with ``HELP``, ``add_arguments(parser)`` and ``run(args) -> int``, imported only when
it is asked for. Exit codes: 0 well, 1 something the user can mend or a failed check, 2 wrong usage, 70 a defect of ours,
130 Ctrl-C.
"""

from __future__ import annotations

import argparse
import difflib
import errno
import importlib
import logging
import os
import sys
import traceback
from collections.abc import Sequence
from typing import Final, NoReturn

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

EXIT_USAGE: Final = 2
EXIT_DEFECT: Final = 70
EXIT_INTERRUPTED: Final = 130
EXIT_BROKEN_PIPE: Final = 141

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


class _Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(EXIT_USAGE, f"{self.prog}: {message}; see `{self.prog} --help`\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Args:
        argv: arguments without the program's name; ``sys.argv[1:]`` by default.
    """
    # The verb `list` is a module of this package: once imported, it hides the builtin of that name here.
    rest = [*(sys.argv[1:] if argv is None else argv)]
    verbosity = 0
    while rest and rest[0] in ("-v", "--verbose", "-vv"):
        verbosity += 2 if rest.pop(0) == "-vv" else 1
    try:
        code = _dispatch(verbosity, rest)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read our output has gone. Python would complain once more when it flushes stdout at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_BROKEN_PIPE
    return code


def _dispatch(verbosity: int, rest: list[str]) -> int:
    if not rest or rest[0] in ("-h", "--help"):
        verbs = "\n".join(f"  {name:<8}{line}" for name, line in VERBS.items())
        sys.stdout.write(_OVERVIEW.format(verbs=verbs))
        return 0
    verb = rest[0]
    if verb not in VERBS:
        kind = "option" if verb.startswith("-") else "verb"
        return _complain(f"unknown {kind} {verb!r}{_nearest(verb, [*VERBS])}; see `engines --help`", EXIT_USAGE)
    try:
        return _run_verb(verb, rest[1:], verbosity)
    except SystemExit as leaving:  # argparse: --help and wrong usage
        return leaving.code if isinstance(leaving.code, int) else EXIT_USAGE
    except KeyboardInterrupt:
        sys.stderr.write("\n")
        return EXIT_INTERRUPTED
    except EngineError as error:
        return _complain(str(error), 1, verbosity)
    except BrokenPipeError:
        raise
    except OSError as error:
        if error.errno in _FULL:
            return _complain(f"{error.strerror}: {error.filename or ''}", 1, verbosity)
        return _defect(verb, error, verbosity)
    except Exception as error:
        return _defect(verb, error, verbosity)


def _run_verb(verb: str, rest: list[str], verbosity: int) -> int:
    module, parser = importlib.import_module(f"engines.cli.{verb}"), parser_of(verb)
    args, unknown = parser.parse_known_args(rest)
    if unknown:
        options = [option for action in parser._actions for option in action.option_strings]
        parser.error(f"unknown argument {unknown[0]!r}{_nearest(unknown[0].split('=')[0], options)}")
    level = (logging.WARNING, logging.INFO, logging.DEBUG)[min(verbosity + args.verbose, 2)]
    logging.basicConfig(level=logging.WARNING, format="engines: %(message)s", force=True)
    logging.getLogger("engines").setLevel(level)
    code: int = module.run(args)
    return code


def parser_of(verb: str) -> argparse.ArgumentParser:
    """What reads the arguments of a verb, one of ``VERBS``."""
    module = importlib.import_module(f"engines.cli.{verb}")
    parser = _Parser(
        prog=f"engines {verb}",
        description=module.HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    module.add_arguments(parser)
    parser.add_argument("-v", "--verbose", action="count", default=0, help="log what happens, show tracebacks")
    return parser


def _nearest(word: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1)
    return f", did you mean {close[0]!r}?" if close else ""


def _complain(message: str, exit_code: int, verbosity: int = 0) -> int:
    if verbosity and sys.exc_info()[0] is not None:
        traceback.print_exc()
    sys.stderr.write(f"engines: {' '.join(message.split())}\n")
    return exit_code


def _defect(verb: str, error: Exception, verbosity: int) -> int:
    message = f"defect: {type(error).__name__}: {error}"
    if not verbosity:
        message += f" (please report it with the traceback that `engines -v {verb} …` shows)"
    return _complain(message, EXIT_DEFECT, verbosity)
