"""Carrying out steps that may be impossible on this machine, and telling about them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
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


@dataclass(slots=True)
class Report:
    """All steps, written anew after each: a run that is cut off leaves what it had."""

    folder: Path
    deadline_s: float
    """Seconds after the start from which on no further step is begun."""
    outcomes: list[Outcome] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)

    def step(self, name: str, work: Callable[[Outcome], None]) -> Outcome:
        """Carry out ``work``, which fills the outcome it is given."""
        outcome = Outcome(name, "done")
        begun = time.monotonic()
        if begun - self.started > self.deadline_s:
            outcome.state, outcome.reason = "skipped", f"more than {self.deadline_s:.0f} s have passed"
        else:
            print(f"{name} …", flush=True)
            try:
                work(outcome)
            except SkippedError as error:
                outcome.state, outcome.reason = "skipped", str(error)
            except (EngineError, TrackerError) as error:
                outcome.state, outcome.reason = "failed", str(error)
                outcome.facts |= (
                    {"in its own words": " / ".join(notes)} if (notes := getattr(error, "__notes__", [])) else {}
                )
            except Exception as error:  # one step's surprise must not cost the others
                outcome.state, outcome.reason = "failed", f"{type(error).__name__}: {error}"[:500]
        outcome.seconds = round(time.monotonic() - begun, 2)
        self.outcomes.append(outcome)
        print(
            f"{name}: {outcome.state}{f' ({outcome.reason})' if outcome.reason else ''}, {outcome.seconds} s",
            flush=True,
        )
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
