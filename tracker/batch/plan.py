"""Which inputs are still to be processed: takes that are there and were made the same way are not made again."""

from __future__ import annotations

import glob
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import tracker
from tracker.batch.clip import Job, TakeOptions
from tracker.config import TrackerConfig
from tracker.errors import ConfigError

_NOT_A_SETTING: Final = "threads"
"""How many threads compute a take changes nothing in it."""

State = Literal["wanted", "done", "changed"]
Recipe = dict[str, Any]


def make_jobs(inputs: Sequence[str], output: Path, kind: str) -> list[Job]:
    """What to process into which file. Raises ConfigError and RecordingError for outputs that cannot be."""
    from tracker.recording import take_paths

    sources = [path for text in inputs for path in _expand(text)]
    paths = take_paths(output, sources, suffix=f".{kind}")
    return [Job(source, path) for source, path in zip(sources, paths, strict=True)]


def _expand(text: str) -> list[str]:
    """A pattern of videos stands for one input each; a pattern of images is one input, which the source reads in order."""
    if not any(c in text for c in "*?[") or Path(text).exists():
        return [text]
    from tracker.sources.images import SUFFIXES

    found = sorted(glob.glob(text, recursive=True))
    if not found:
        raise ConfigError(f"nothing matches '{text}'")
    return [text] if all(Path(path).suffix.lower() in SUFFIXES for path in found) else found


def recipe(config: TrackerConfig, options: TakeOptions, model_sha256: str) -> Recipe:
    """How takes are made: everything that changes what is in them."""
    settings = {name: value for name, value in config.to_dict().items() if name != _NOT_A_SETTING}
    return {
        **settings,
        "with_raw": options.raw,
        "with_landmarks": options.landmarks,
        "two_pass": options.two_pass,
        "model_sha256": model_sha256,
    }


def recipe_of(meta: Mapping[str, Any]) -> Recipe:
    """How a take was made, by its ``meta_json``. Settings that it does not know had their default."""
    settings = {**TrackerConfig().to_dict(), **(meta.get("settings") or {})}
    settings.pop(_NOT_A_SETTING)
    return {
        **settings,
        "with_raw": bool(meta.get("with_raw")),
        "with_landmarks": bool(meta.get("with_landmarks")),
        "two_pass": bool(meta.get("two_pass")),
        "model_sha256": meta["model"]["sha256"],
    }


def fingerprint(made: Recipe) -> str:
    """Twelve hexadecimal digits that are the same for takes made the same way."""
    return hashlib.sha256(json.dumps(made, sort_keys=True).encode()).hexdigest()[:12]


@dataclass(frozen=True, slots=True)
class Found:
    """What lies where the take of a job would go."""

    state: State
    difference: str = ""
    """Of a take that was made in another way: the first thing that differs."""
    tool: str = ""
    """Of a finished take: the program that made it."""


def look(job: Job, wanted: Recipe) -> Found:
    """Whether the finished take of a job is already there, made in the way that is ``wanted``.

    Raises:
        ConfigError: something else lies where the take would go.
    """
    from tracker.recording import source_signature, take_state
    from tracker.recording.outputs import read_meta

    state = take_state(job.output, source_signature(job.source))
    if state == "other":
        raise ConfigError(
            f"{job.output} exists and is not a take of {job.source}; give another output, or --force to replace it"
        )
    if state != "complete":
        return Found("wanted")
    meta = read_meta(job.output)
    made = recipe_of(meta)
    for name, value in wanted.items():
        if made.get(name) != value:
            return Found("changed", f"{name.replace('_', ' ')} {_said(made.get(name))}, now {_said(value)}")
    return Found("done", tool=str(meta.get("tool", "")))


def this_tool() -> str:
    """What takes of this program say of it."""
    return f"tracker {tracker.__version__}"


def _said(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return "none" if value is None else str(value)[:24]
