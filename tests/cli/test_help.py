"""The examples that ``--help`` prints: all of them are understood, and those that need no camera or listener run as printed."""

from __future__ import annotations

import argparse
import re
import shlex
import shutil
from pathlib import Path

import pytest

import engines.cli
import tracker.cli

PROGRAMS = {"tracker": tracker.cli, "engines": engines.cli}
ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
EXAMPLE = re.compile(r"^  (?:tracker|engines) .*$", re.MULTILINE)


def examples(program: str, verb: str) -> list[list[str]]:
    """The commands that a verb's help prints, as words."""
    found = []
    for line in EXAMPLE.findall(PROGRAMS[program].parser_of(verb).epilog or ""):
        command = re.split(r" {2,}| \| ", line.strip())[0]
        found.append(shlex.split(command, comments=True))
    return found


def all_examples() -> list[list[str]]:
    return [words for name, program in PROGRAMS.items() for verb in program.VERBS for words in examples(name, verb)]


@pytest.mark.parametrize("words", all_examples(), ids=" ".join)
def test_every_example_is_understood(words: list[str]) -> None:
    program, verb, *arguments = words
    PROGRAMS[program].parser_of(verb).parse_args(arguments)


def test_every_verb_has_examples() -> None:
    lacking = [
        f"{name} {verb}" for name, program in PROGRAMS.items() for verb in program.VERBS if not examples(name, verb)
    ]
    assert lacking == []


def options_of(parser: argparse.ArgumentParser) -> set[str]:
    """All options, those of subcommands included."""
    found = set(parser._option_string_actions)
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            found = found.union(*map(options_of, action.choices.values()))
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_in_documents_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    mentioned = re.findall(r"`((?:tracker|engines) [a-z][^`\n]*)`", text)
    mentioned += re.findall(r"^ *(?:\.venv/bin/|\$ )?((?:tracker|engines) [a-z][^\n]*)$", text, re.MULTILINE)
    wrong = []
    for line in mentioned:
        program, verb, *words = re.split(r" {2,}| \| | #", line)[0].split()
        if verb not in PROGRAMS[program].VERBS:
            wrong.append(line)
            continue
        known = options_of(PROGRAMS[program].parser_of(verb))
        wrong += [f"{line}: {word}" for word in words if word.startswith("--") and word.split("=")[0] not in known]
    assert wrong == []


@pytest.fixture(scope="module")
def desk(short_clip: Path, networks: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the examples name: a clip, folders of clips and frames, takes."""
    import cv2

    from tracker.sources.open import open_source

    folder = tmp_path_factory.mktemp("desk")
    for name in ("clip.mp4", "interviews/a.mp4", "corpus/day/b.mp4"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(short_clip, folder / name)
    (folder / "frames").mkdir()
    with open_source(str(short_clip)) as source:
        for frame, _ in zip(source, range(4), strict=False):
            cv2.imwrite(str(folder / "frames" / f"{frame.index:02}.png"), frame.image[..., ::-1])
    return folder


RUNNABLE = ("process", "convert", "render", "replay", "models", "samples", "doctor")
NOT_HERE = re.compile(
    "|".join([
        "two-pass", "albedo", "relight", "jobs",  # slow, and tested on their own
        "import", "info flame", "remove flame", "fetch",  # files that people bring, downloads
        "--loop", "--json", "--sound", r"\$\(",
        "short.npz", "--frame 40",  # what the short clip lacks
    ])
)  # fmt: skip


def test_what_needs_no_camera_runs_as_printed(desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the order of the verbs, so that each finds what those before it have made."""
    monkeypatch.chdir(desk)
    ran = []
    for verb in RUNNABLE:
        for words in examples("tracker", verb):
            line = " ".join(words)
            if NOT_HERE.search(line):
                continue
            _, said, *arguments = words
            arguments = [
                name for word in arguments for name in (sorted(map(str, desk.glob(word))) if "*" in word else [word])
            ]
            if said == "replay":
                arguments += ["--bind", "0", "--bind-latest", "none", "--bind-control", "none"]
            if "take.npz.part" in arguments:
                (shutil.move if said == "convert" else shutil.copy)("take.npz", "take.npz.part")
            assert tracker.cli.main([said, *arguments]) == 0, line
            ran.append(line)
    assert len(ran) >= 18, ran
