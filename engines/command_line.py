"""What the commands ``tracker``, ``engines`` and ``trainer`` share: verbs, one-line errors, exit codes.

A verb is a module with ``add_arguments(parser)`` and ``run(args) -> int``, imported only when it is asked for, so that
``--help`` and the start of every verb stay quick.

Exit codes: 0 well, 1 something the user can mend (or a failed check), 2 wrong usage, 70 a defect of ours, 130 Ctrl-C, 141 a
reader of our output has gone.
"""

from __future__ import annotations

import argparse
import difflib
import importlib
import logging
import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Final, NoReturn

EXIT_USAGE: Final = 2
EXIT_DEFECT: Final = 70
EXIT_INTERRUPTED: Final = 130
EXIT_BROKEN_PIPE: Final = 141


class _Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(EXIT_USAGE, f"{self.prog}: {message}; see `{self.prog} --help`\n")


@dataclass(frozen=True, slots=True)
class CommandLine:
    """One command."""

    name: str
    verbs: Mapping[str, str]
    """Verb -> one line for the overview."""
    overview: str
    """Printed without arguments; ``{verbs}`` and ``{version}`` stand in it."""
    explain: Callable[[Exception], tuple[str, int] | None]
    """What is the user's to mend in an exception, and the exit code; None for a defect of ours."""
    version: str = ""
    """What ``--version`` prints; a command without has no such option."""
    module: str = "{name}.cli.{verb}"
    """The module of a verb."""

    def main(self, argv: Sequence[str] | None = None) -> int:
        """Run the command line and return its exit code.

        Args:
            argv: arguments without the program's name; ``sys.argv[1:]`` by default.
        """
        rest = [*(sys.argv[1:] if argv is None else argv)]
        verbosity = 0
        while rest and rest[0] in ("-v", "--verbose", "-vv"):
            verbosity += 2 if rest.pop(0) == "-vv" else 1
        try:
            code = self._dispatch(verbosity, rest)
            sys.stdout.flush()
        except BrokenPipeError:
            # Whoever read our output has gone (`tracker listen | head`). Python would complain once more at exit, when it
            # flushes stdout, so give it somewhere to flush to.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return EXIT_BROKEN_PIPE
        return code

    def parser_of(self, verb: str) -> argparse.ArgumentParser:
        """What reads the arguments of a verb, one of ``verbs``."""
        module = self._import(verb)
        parser = _Parser(
            prog=f"{self.name} {verb}",
            description=getattr(module, "HELP", self.verbs[verb]),
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        module.add_arguments(parser)
        parser.add_argument(
            "-v", "--verbose", action="count", default=0, help="log what happens, show tracebacks (-vv: more)"
        )
        return parser

    def _import(self, verb: str) -> ModuleType:
        return importlib.import_module(self.module.format(name=self.name, verb=verb))

    def _dispatch(self, verbosity: int, rest: list[str]) -> int:
        verb = rest[0] if rest else "--help"
        if verb == "help" and len(rest) > 1:
            verb, rest = rest[1], [rest[1], "--help"]
        if verb in ("-h", "--help", "help"):
            width = max(map(len, self.verbs)) + 2
            verbs = "\n".join(f"  {name:<{width}}{line}" for name, line in self.verbs.items())
            sys.stdout.write(self.overview.format(version=self.version, verbs=verbs))
            return 0
        if verb in ("-V", "--version") and self.version:
            sys.stdout.write(f"{self.name} {self.version}\n")
            return 0
        if verb not in self.verbs:
            kind = "option" if verb.startswith("-") else "verb"
            return self._complain(
                f"unknown {kind} {verb!r}{_nearest(verb, [*self.verbs])}; see `{self.name} --help`", EXIT_USAGE
            )
        return self._run(verb, rest[1:], verbosity)

    def _run(self, verb: str, rest: list[str], verbosity: int) -> int:
        try:
            parser = self.parser_of(verb)
            args, unknown = parser.parse_known_args(rest)
            if unknown:
                options = [option for action in parser._actions for option in action.option_strings]
                parser.error(f"unknown argument {unknown[0]!r}{_nearest(unknown[0].split('=')[0], options)}")
            verbosity += args.verbose
            self._set_up_logging(verbosity)
            code: int = self._import(verb).run(args)
            return code
        except SystemExit as leaving:  # argparse: --help and wrong usage
            return leaving.code if isinstance(leaving.code, int) else EXIT_USAGE
        except KeyboardInterrupt:
            sys.stderr.write("\n")
            return EXIT_INTERRUPTED
        except BrokenPipeError:
            raise
        except Exception as error:
            explained = self.explain(error)
            if explained is not None:
                return self._complain(*explained, verbosity)
            hint = f" (please report it with the traceback that `{self.name} -v {verb} …` shows)"
            text = f"defect: {type(error).__name__}: {error}{'' if verbosity else hint}"
            return self._complain(text, EXIT_DEFECT, verbosity)

    def _complain(self, message: str, exit_code: int, verbosity: int = 0) -> int:
        if verbosity and sys.exc_info()[0] is not None:
            traceback.print_exc()
        sys.stderr.write(f"{self.name}: {' '.join(message.split())}\n")
        return exit_code

    def _set_up_logging(self, verbosity: int) -> None:
        level = (logging.WARNING, logging.INFO, logging.DEBUG)[min(verbosity, 2)]
        logging.basicConfig(level=logging.WARNING, format=f"{self.name}: %(levelname)s: %(message)s", force=True)
        for package in {self.name, "tracker", "engines"}:
            logging.getLogger(package).setLevel(level)


def _nearest(word: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1)
    return f", did you mean {close[0]!r}?" if close else ""
