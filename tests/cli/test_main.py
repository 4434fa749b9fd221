"""The command's frame: overview, wrong words, exit codes, broken pipes, defects."""

from __future__ import annotations

import argparse
import errno
import importlib
import subprocess
import sys
from types import ModuleType

import pytest

from engines.command_line import EXIT_BROKEN_PIPE
from tracker import __version__
from tracker.cli import VERBS, main
from tracker.errors import ConfigError, SourceError


def _verb(monkeypatch: pytest.MonkeyPatch, error: BaseException | None = None, output: str = "") -> None:
    """Replace the verb ``bench`` by one that prints, then raises."""

    def run(args: argparse.Namespace) -> int:
        sys.stdout.write(output)
        if error is not None:
            raise error
        return 0

    module = ModuleType("tracker.cli.bench")
    module.HELP = "stands in"  # type: ignore[attr-defined]
    module.add_arguments = lambda parser: parser.add_argument("--seconds", type=int)  # type: ignore[attr-defined]
    module.run = run  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "tracker.cli.bench", module)


@pytest.mark.parametrize("argv", [[], ["-h"], ["--help"], ["help"]])
def test_the_overview_names_every_verb_and_the_first_steps(capsys: pytest.CaptureFixture[str], argv: list[str]) -> None:
    assert main(argv) == 0
    text = capsys.readouterr().out
    assert all(f"  {verb} " in text for verb in VERBS)
    assert "tracker doctor" in text


def test_the_overview_says_what_each_verb_says_of_itself() -> None:
    for verb, line in VERBS.items():
        module = importlib.import_module(f"tracker.cli.{verb}")
        assert line == module.HELP, verb


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_teaches(capsys: pytest.CaptureFixture[str], verb: str) -> None:
    assert main([verb, "--help"]) == 0
    text = capsys.readouterr().out
    assert "example" in text
    assert f"tracker {verb}" in text


def test_the_overview_imports_nothing_heavy() -> None:
    script = (
        "import sys; from tracker.cli import main; main([]); "
        "print([name for name in ('numpy', 'cv2', 'openvino', 'av', 'zmq', 'rich') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"tracker {__version__}\n"


@pytest.mark.parametrize(
    ("argv", "hint"),
    [
        (["rnu"], "did you mean 'run'?"),
        (["--vrbose"], "unknown option '--vrbose'"),
        (["doctor", "--jsn"], "did you mean '--json'?"),
        (["bench", "--seconds", "many"], "invalid int value: 'many'"),
    ],
)
def test_wrong_words_are_one_line_and_exit_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], argv: list[str], hint: str
) -> None:
    _verb(monkeypatch)
    assert main(argv) == 2
    said = capsys.readouterr().err
    assert hint in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (SourceError("no file clip.mp4; check the path"), 1, "tracker: no file clip.mp4; check the path\n"),
        (ConfigError("max_faces must be 1..16, got 0"), 2, "tracker: max_faces must be 1..16, got 0\n"),
        (SourceError("two\nlines"), 1, "tracker: two lines\n"),
        (KeyboardInterrupt(), 130, "\n"),
        (OSError(errno.ENOSPC, "No space left on device", "out.npz"), 1, "tracker: No space left on device: out.npz\n"),
        (
            OSError(errno.ENAMETOOLONG, "File name too long", "x" * 500),
            1,
            f"tracker: File name too long: {'x' * 120}…\n",
        ),
        (ModuleNotFoundError("No module named 'av'", name="av"), 1, None),
    ],
)
def test_what_a_user_can_cause_is_one_line(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    code: int,
    said: str | None,
) -> None:
    _verb(monkeypatch, error)
    assert main(["bench"]) == code
    shown = capsys.readouterr().err
    assert "Traceback" not in shown
    assert shown == said if said is not None else "'av' is missing" in shown


def test_a_defect_is_one_line_with_the_way_to_its_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _verb(monkeypatch, ZeroDivisionError("division by zero"))
    assert main(["bench"]) == 70
    shown = capsys.readouterr().err
    assert "ZeroDivisionError" in shown
    assert "tracker -v bench" in shown
    assert shown.count("\n") == 1
    for argv in (["-v", "bench"], ["bench", "-v"], ["-vv", "bench"]):
        assert main(argv) == 70
        assert "Traceback" in capsys.readouterr().err


def test_a_reader_that_goes_away_ends_the_command_quietly() -> None:
    script = (
        "import sys, tracker.cli as cli; "
        "from tracker.cli import doctor; "
        "doctor.run = lambda args: [sys.stdout.write('line\\n') for _ in range(100_000)] and 0; "
        "sys.exit(cli.main(['doctor']))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as command:
        assert command.stdout is not None
        assert command.stderr is not None
        assert command.stdout.readline() == "line\n"
        command.stdout.close()
        assert command.stderr.read() == ""
    assert command.returncode == EXIT_BROKEN_PIPE


def test_the_module_runs_like_the_command() -> None:
    done = subprocess.run([sys.executable, "-m", "tracker", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"tracker {__version__}\n"
