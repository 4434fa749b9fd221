from __future__ import annotations

import threading

import pytest


class Events(list[tuple[str, str]]):
    """An ``on_event`` that remembers; texts must be one line each."""

    def __init__(self) -> None:
        super().__init__()
        self._changed = threading.Condition()

    def __call__(self, kind: str, text: str) -> None:
        assert "\n" not in text
        with self._changed:
            self.append((kind, text))
            self._changed.notify_all()

    @property
    def kinds(self) -> list[str]:
        return [kind for kind, _ in self]

    def wait_for(self, kind: str, timeout_s: float = 5.0) -> str:
        """Wait until an event of this kind has come; gives its text."""
        with self._changed:
            assert self._changed.wait_for(lambda: kind in self.kinds, timeout_s), f"no {kind}, only {self.kinds}"
        return next(text for this, text in self if this == kind)


@pytest.fixture
def events() -> Events:
    return Events()
