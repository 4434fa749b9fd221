"""Carrying out steps that may be impossible on this machine, and telling about them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from engines.errors import EngineError
from tracker.errors import TrackerError

Row = dict[str, Any]


class SkippedError(Exception):
    """A step cannot be done here; the message says why."""


@dataclass(slots=True)
class Outcome:
    """What came of one step."""

    name: str
    state: str
    """``done``, ``skipped`` or ``failed``."""
    reason: str = ""
    seconds: float = 0.0
    facts: dict[str, Any] = field(default_factory=dict)
    tables: dict[str, list[Row]] = field(default_factory=dict)


def carry_out(name: str, work: Callable[[Outcome], None]) -> Outcome:
    """Carry out ``work``, which fills the outcome it is given; whatever it raises becomes the reason."""
    outcome = Outcome(name, "done")
    begun = time.monotonic()
    try:
        work(outcome)
    except SkippedError as error:
        outcome.state, outcome.reason = "skipped", str(error)
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        ours = missing in ("engines", "tools", "tracker", "trainer")
        outcome.state, outcome.reason = ("failed", str(error)) if ours else ("skipped", f"{missing} is not installed")
    except (EngineError, TrackerError) as error:
        outcome.state, outcome.reason = "failed", str(error)
        outcome.facts |= {"in its own words": " / ".join(notes)} if (notes := getattr(error, "__notes__", [])) else {}
    except Exception as error:  # one step's surprise must not cost the others
        outcome.state, outcome.reason = "failed", f"{type(error).__name__}: {error}"[:500]
    outcome.seconds = round(time.monotonic() - begun, 2)
    return outcome


class Child:
    """A step in a process of its own, which can be stopped; it writes its outcome to a file."""

    def __init__(self, name: str, command: list[str], result: Path, environment: Mapping[str, str]) -> None:
        self._name, self._result = name, result
        self._begun = time.monotonic()
        self._log = result.with_suffix(".log").open("w+")
        self._process = subprocess.Popen(
            command, env=dict(environment), stdout=self._log, stderr=subprocess.STDOUT, process_group=0
        )

    def outcome(self, limit_s: float) -> Outcome:
        """Wait for it until ``limit_s`` seconds after its start, then stop it and all that it started."""
        late = False
        try:
            self._process.wait(max(0.1, limit_s - (time.monotonic() - self._begun)))
        except subprocess.TimeoutExpired:
            late = True
        finally:
            self.stop()
        self._log.seek(0)
        said = self._log.read().strip().splitlines()
        self._log.close()
        taken = round(time.monotonic() - self._begun, 2)
        if late:
            return Outcome(self._name, "failed", f"stopped after {limit_s:.0f} s", taken)
        try:
            outcome = Outcome(**json.loads(self._result.read_text()))
        except (OSError, ValueError):
            reason = f"its process ended with {self._process.returncode}: {said[-1] if said else 'nothing said'}"
            return Outcome(self._name, "failed", reason, taken)
        return outcome

    def stop(self) -> None:
        """End the process and its children."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


@dataclass(slots=True)
class Report:
    """All steps, written anew after each: a run that is cut off leaves what it had."""

    folder: Path
    outcomes: list[Outcome] = field(default_factory=list)

    def add(self, outcome: Outcome) -> Outcome:
        """Tell about a step, and write."""
        self.outcomes.append(outcome)
        why = f" ({outcome.reason})" if outcome.reason else ""
        print(f"{outcome.name}: {outcome.state}{why}, {outcome.seconds} s", flush=True)
        self.write()
        return outcome

    def write(self) -> None:
        """``gpu_check.json`` and ``gpu_check.md``."""
        self.folder.mkdir(parents=True, exist_ok=True)
        plain = [asdict(outcome) for outcome in self.outcomes]
        (self.folder / "gpu_check.json").write_text(json.dumps(plain, indent=1, default=str) + "\n")
        (self.folder / "gpu_check.md").write_text(self.markdown())

    def markdown(self) -> str:
        """The report for people."""
        lines = ["# GPU check", "", "| step | state | seconds | why |", "|---|---|---|---|"]
        lines += [f"| {o.name} | {o.state} | {o.seconds} | {o.reason.replace('|', '/')} |" for o in self.outcomes]
        for outcome in self.outcomes:
            if not outcome.facts and not outcome.tables:
                continue
            lines += ["", f"## {outcome.name}", ""]
            lines += [f"- {name}: {_text(value)}" for name, value in outcome.facts.items()]
            for title, rows in outcome.tables.items():
                lines += ["", f"{title}:", "", *_table(rows)]
        return "\n".join(lines) + "\n"


def _table(rows: list[Row]) -> list[str]:
    if not rows:
        return ["nothing measured"]
    names = list(dict.fromkeys(name for row in rows for name in row))
    lines = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    return lines + ["| " + " | ".join(_text(row.get(name, "")) for name in names) + " |" for row in rows]


def _text(value: Any) -> str:
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return text.replace("\n", " ").replace("|", "/")
