"""The ``tracker`` command: finds the verb, runs it, and turns what goes wrong into one line and an exit code.

A verb is a module of this package with ``HELP``, ``add_arguments(parser)`` and ``run(args) -> int``. It is imported
only when it is asked for, so that ``tracker --help`` and the start of every verb stay quick.

Exit codes: 0 well, 1 something the user can mend (or a failed check), 2 wrong usage, 70 a defect of ours, 130 Ctrl-C.
"""

from __future__ import annotations

import argparse
import difflib
import importlib
import logging
import os
import sys
import traceback
from collections.abc import Sequence
from typing import Final, NoReturn

from tracker import __version__
from tracker.errors import TrackerError, mendable_reason

VERBS: Final[dict[str, str]] = {
    "run": "track a camera, a video or a stream live and publish the faces over ZeroMQ",
    "process": "turn video files into takes: parameter streams on disk",
    "listen": "subscribe to a tracker and show or save what it sends",
    "replay": "send a recorded take over ZeroMQ again, at its own pace",
    "convert": "turn takes into other formats: Live Link CSV, glTF, USD, BVH, FBX, Parquet, MCAP, and back",
    "render": "draw a take over its video, for the eye: mesh, landmarks, skin, light, another light",
    "bridge": "send a running tracker's faces on to Unreal, VSeeFace, VRChat, VTube Studio and others",
    "view": "look at a running tracker, at a camera or clip tracked on the spot, or at a take",
    "hello": "first run: are camera, light and distance good, and what would be better?",
    "enroll": "get to know one person from a clip or the camera, for --identity",
    "control": "ask a running tracker for its version or schema, recentre, calibrate, record, change its source, stop it",
    "bench": "measure speed and latency on this machine",
    "cameras": "list the cameras of this machine with their formats",
    "models": "fetch and list the neural networks; import, list and remove face models",
    "samples": "fetch clips and stills to try the tracker with",
    "doctor": "say what this machine can do, what is missing, and how to mend it",
}
"""Verb -> one line for the overview."""

EXIT_USAGE: Final = 2
EXIT_DEFECT: Final = 70
EXIT_INTERRUPTED: Final = 130
EXIT_BROKEN_PIPE: Final = 141

_OVERVIEW: Final = """\
tracker {version}: real-time 3D face tracking

usage: tracker [-v] VERB [options]

{verbs}

first steps:
  tracker doctor                            is everything here?
  tracker models fetch                      bring the neural networks, once
  tracker hello                             are camera, light and distance good?
  tracker run --source webcam               track yourself
  tracker process clip.mp4 -o take.npz      or a video
  tracker listen                            in another terminal: see what is published

options:
  -v, --verbose  log what happens, show tracebacks (-vv: more)
  --version      print the version
  -h, --help     this text; `tracker VERB --help` teaches a verb
"""


class _Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(EXIT_USAGE, f"{self.prog}: {message}; see `{self.prog} --help`\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Args:
        argv: arguments without the program's name; ``sys.argv[1:]`` by default.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    verbosity, verb, rest = _split(arguments)
    try:
        code = _dispatch(verbosity, verb, rest)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read our output has gone (`tracker listen | head`). Python would complain once more at exit, when it
        # flushes stdout, so give it somewhere to flush to.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_BROKEN_PIPE
    return code


def _split(arguments: list[str]) -> tuple[int, str | None, list[str]]:
    """Separate what stands before the verb from the verb and its own arguments."""
    verbosity = 0
    for position, argument in enumerate(arguments):
        if argument in ("-v", "--verbose"):
            verbosity += 1
        elif argument == "-vv":
            verbosity += 2
        else:
            return verbosity, argument, arguments[position + 1 :]
    return verbosity, None, []


def _dispatch(verbosity: int, verb: str | None, rest: list[str]) -> int:
    if verb is None or verb in ("-h", "--help", "help"):
        if verb == "help" and rest:
            return _run_verb(verbosity, rest[0], ["--help"])
        verbs = "\n".join(f"  {name:<10}{line}" for name, line in VERBS.items())
        sys.stdout.write(_OVERVIEW.format(version=__version__, verbs=verbs))
        return 0
    if verb in ("--version", "-V"):
        sys.stdout.write(f"tracker {__version__}\n")
        return 0
    return _run_verb(verbosity, verb, rest)


def _run_verb(verbosity: int, verb: str, rest: list[str]) -> int:
    if verb not in VERBS:
        kind = "option" if verb.startswith("-") else "verb"
        return _complain(f"unknown {kind} {verb!r}{_nearest(verb, VERBS)}; see `tracker --help`", EXIT_USAGE)
    try:
        module, parser = importlib.import_module(f"tracker.cli.{verb}"), parser_of(verb)
        args, unknown = parser.parse_known_args(rest)
        if unknown:
            options = [option for action in parser._actions for option in action.option_strings]
            parser.error(f"unknown argument {unknown[0]!r}{_nearest(unknown[0].split('=')[0], options)}")
        verbosity += args.verbose
        _set_up_logging(verbosity)
        code: int = module.run(args)
        return code
    except SystemExit as leaving:  # argparse: --help and wrong usage
        return leaving.code if isinstance(leaving.code, int) else EXIT_USAGE
    except KeyboardInterrupt:
        sys.stderr.write("\n")
        return EXIT_INTERRUPTED
    except TrackerError as error:
        return _complain(str(error), error.exit_code, verbosity)
    except BrokenPipeError:
        raise
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in ("tracker", "engines"):
            return _defect(verb, error, verbosity)
        return _complain(f"the Python package {error.name!r} is missing; `tracker doctor` tells more", 1, verbosity)
    except OSError as error:
        reason = mendable_reason(error)
        return _defect(verb, error, verbosity) if reason is None else _complain(reason, 1, verbosity)
    except Exception as error:
        return _defect(verb, error, verbosity)


def parser_of(verb: str) -> argparse.ArgumentParser:
    """What reads the arguments of a verb, one of ``VERBS``."""
    module = importlib.import_module(f"tracker.cli.{verb}")
    parser = _Parser(
        prog=f"tracker {verb}",
        description=module.HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    module.add_arguments(parser)
    parser.add_argument(
        "-v", "--verbose", action="count", default=0, help="log what happens, show tracebacks (-vv: more)"
    )
    return parser


def _nearest(word: str, known: Sequence[str] | dict[str, str]) -> str:
    close = difflib.get_close_matches(word, list(known), n=1)
    return f", did you mean {close[0]!r}?" if close else ""


def _complain(message: str, exit_code: int, verbosity: int = 0) -> int:
    if verbosity and sys.exc_info()[0] is not None:
        traceback.print_exc()
    sys.stderr.write(f"tracker: {' '.join(message.split())}\n")
    return exit_code


def _defect(verb: str, error: Exception, verbosity: int) -> int:
    message = f"defect: {type(error).__name__}: {error}"
    if not verbosity:
        message += f" (please report it with the traceback that `tracker -v {verb} …` shows)"
    return _complain(message, EXIT_DEFECT, verbosity)


def _set_up_logging(verbosity: int) -> None:
    level = (logging.WARNING, logging.INFO, logging.DEBUG)[min(verbosity, 2)]
    logging.basicConfig(level=logging.WARNING, format="tracker: %(levelname)s: %(message)s", force=True)
    logging.getLogger("tracker").setLevel(level)
    logging.getLogger("engines").setLevel(level)
