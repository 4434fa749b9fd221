"""A run as one self-contained page."""

from __future__ import annotations

from trainer.report.page import write_report

__all__ = ["write_report"]
