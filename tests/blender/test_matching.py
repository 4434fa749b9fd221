from __future__ import annotations

import re

import pytest
from facestream_tracker.arkit import ARKIT_NAMES, match_shape_keys, mirrored_order


def snake(name: str) -> str:
    return re.sub(r"([A-Z])", lambda m: "_" + m[1].lower(), name)


def short(name: str) -> str:
    return re.sub("Left$", "_L", re.sub("Right$", "_R", name))


@pytest.mark.parametrize(
    "spell",
    [
        lambda name: name, lambda name: name[0].upper() + name[1:], snake, str.lower, str.upper, short,
        lambda name: snake(short(name)).replace("__", "_"), lambda name: short(name).replace("_", "."),
        lambda name: f"blendShape2.{name}", lambda name: f"Face_{name}", lambda name: name + ".001",
        lambda name: snake(name).replace("_", " "),
    ],
)  # fmt: skip
def test_every_spelling_of_every_name_is_found(spell: object) -> None:
    matching = match_shape_keys([spell(name) for name in ARKIT_NAMES])  # type: ignore[operator]
    assert [binding.sources for binding in matching.bindings] == [(index,) for index in range(52)]
    assert matching.missing == () and matching.unused == ()


def test_names_are_the_trackers() -> None:
    tracker_arkit = pytest.importorskip("tracker.arkit")
    assert tracker_arkit.ARKIT_NAMES == ARKIT_NAMES


def test_both_sides_follow_what_arkit_has_once() -> None:
    matching = match_shape_keys(["browInnerUp_L", "browInnerUp_R", "cheekPuffLeft"])
    inner, puff = ARKIT_NAMES.index("browInnerUp"), ARKIT_NAMES.index("cheekPuff")
    assert [binding.sources for binding in matching.bindings] == [(inner,), (inner,), (puff,)]


def test_one_key_follows_the_mean_of_both_sides() -> None:
    (binding,) = match_shape_keys(["eyeBlink"]).bindings
    assert binding.sources == (ARKIT_NAMES.index("eyeBlinkLeft"), ARKIT_NAMES.index("eyeBlinkRight"))


def test_what_means_nothing_is_reported() -> None:
    keys = ["Smug", "jaw", "mouth", "corr_jawOpen_mouthSmileLeft", "MTH_A", "jawOpen"]
    matching = match_shape_keys(keys)
    assert [binding.key for binding in matching.bindings] == ["jawOpen"]
    assert matching.unused == tuple(keys[:5])
    assert "jawOpen" not in matching.missing and len(matching.missing) == 51


def test_of_two_spellings_the_exact_one_wins() -> None:
    matching = match_shape_keys(["jaw_open", "JawOpen", "jawOpen"])
    assert [binding.key for binding in matching.bindings] == ["jawOpen"]
    assert matching.unused == ("jaw_open", "JawOpen")


def test_mirroring_twice_changes_nothing() -> None:
    order = mirrored_order()
    assert [order[index] for index in order] == list(range(52))
    assert ARKIT_NAMES[order[ARKIT_NAMES.index("mouthSmileLeft")]] == "mouthSmileRight"
    assert ARKIT_NAMES[order[ARKIT_NAMES.index("eyeLookInLeft")]] == "eyeLookInRight"
    assert ARKIT_NAMES[order[ARKIT_NAMES.index("jawLeft")]] == "jawRight"
