from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest

from tracker.errors import ConfigError
from trainer.run_settings import RunSettings
from trainer.settings import Settings, merge, ranged, read_assignments, read_file


@dataclass(frozen=True)
class Inner(Settings):
    sizes: tuple[int, ...] = ranged((1, 2), 1, 9)
    kind: Literal["a", "b"] = "a"


@dataclass(frozen=True)
class Outer(Settings):
    count: int
    rate: float = ranged(0.5, 0.0, 1.0)
    limit: float | None = ranged(None, 1.0, 2.0)
    on: bool = False
    name: str = ""
    inner: Inner = field(default_factory=Inner)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "count must be given"),
        ({"count": 1.5}, "count must be a whole number, got 1.5"),
        ({"count": True}, "count must be a whole number, got True"),
        ({"count": 1, "rate": 2}, "rate must be a number in 0..1, got 2"),
        ({"count": 1, "rate": float("nan")}, "rate must be a number in 0..1, got nan"),
        ({"count": 1, "limit": 0.5}, "limit must be a number in 1..2, got 0.5"),
        ({"count": 1, "on": 1}, "on must be true or false, got 1"),
        ({"count": 1, "name": 3}, "name must be text, got 3"),
        ({"count": 1, "inner": 3}, "inner must be a table of settings, got 3"),
        ({"count": 1, "inner": {"kind": "c"}}, "inner.kind must be one of a, b; got 'c'"),
        ({"count": 1, "inner": {"sizes": [1, 99]}}, "inner.sizes[1] must be a whole number in 1..9, got 99"),
        ({"count": 1, "inner": {"sizes": "12"}}, "inner.sizes must be a list, got '12'"),
        ({"count": 1, "inner": {"kinds": "a"}}, "unknown setting inner.kinds: did you mean inner.kind?"),
        ({"count": 1, "zzz": 1}, "unknown setting zzz: there are count, rate, limit, on, name, inner"),
    ],
)
def test_a_wrong_value_is_named_with_what_was_expected_and_what_came(values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Outer.read(values)
    assert str(caught.value) == message


def test_construction_in_code_is_checked_too() -> None:
    with pytest.raises(ConfigError, match=r"rate must be a number in 0\.\.1"):
        Outer(1, rate=3.0)
    assert Outer(1, rate=1).rate == 1.0 and isinstance(Outer(1, rate=1).rate, float)


def test_plain_values_read_back_the_same() -> None:
    settings = Outer(3, 0.25, 1.5, True, "x", Inner((4, 5), "b"))
    assert Outer.read(settings.plain()) == settings
    assert RunSettings.read(RunSettings().plain()) == RunSettings()


def test_assignments_are_values_of_their_kind() -> None:
    given = read_assignments(["a.b=1e-4", "a.c=true", "d=resnet18", "e=[1, 2]", "f=none", 'g="7"'])
    assert given == {"a": {"b": 1e-4, "c": True}, "d": "resnet18", "e": [1, 2], "f": None, "g": "7"}


@pytest.mark.parametrize("text", ["lr", "=3", "a..b=1"])
def test_an_assignment_without_name_or_value_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="--set takes NAME=VALUE"):
        read_assignments([text])


def test_later_layers_win_value_by_value() -> None:
    assert merge({"a": {"b": 1, "c": 2}}, {"a": {"c": 3}}, {"d": 4}) == {"a": {"b": 1, "c": 3}, "d": 4}


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("lr = ")
    (tmp_path / "a.json").write_text("{")
    (tmp_path / "list.json").write_text("[]")
    for name, message in (
        ("a.toml", "is not TOML"), ("a.json", "is not JSON"), ("list.json", "table"), ("none.toml", "cannot read"),
    ):  # fmt: skip
        with pytest.raises(ConfigError, match=message):
            read_file(tmp_path / name)
