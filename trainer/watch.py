"""Whoever looks on while a run goes: the command line's progress bar, a notebook, a test."""

from __future__ import annotations

from collections.abc import Mapping

from trainer.method import Table


class Watcher:
    """Told what happens, in the first process only. Does nothing by itself."""

    def started(self, step: int, steps: int) -> None:
        """Training begins, or goes on after ``step`` steps."""

    def stepped(self, step: int, fraction: float, eta_s: float | None) -> None:
        """After every step: how far the run has come, 0..1, and how long the rest will take."""

    def logged(self, step: int, values: Mapping[str, float]) -> None:
        """Losses and rates, averaged since the last time."""

    def evaluated(self, step: int, table: Table, best: bool) -> None:
        """Metrics, and whether they are the best so far."""

    def said(self, text: str) -> None:
        """One line worth showing."""
