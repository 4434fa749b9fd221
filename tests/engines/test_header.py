from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from engines import EngineError, InputHeader, NetworkHeader, OutputHeader
from engines.header import from_json
from engines.model import read_model, write_header
from tests.engines.toy import HEADER, toy_network


def test_survives_json() -> None:
    assert from_json(HEADER.to_json(), "x.onnx") == HEADER


def test_keys_of_others_are_kept() -> None:
    plain = {**HEADER.as_dict(), "trained_for_epochs": 12}
    read = from_json(json.dumps(plain), "x.onnx")
    assert read.extra == {"trained_for_epochs": 12}
    assert json.loads(read.to_json())["trained_for_epochs"] == 12


def test_survives_an_onnx_file(tmp_path: Path) -> None:
    bare = toy_network(tmp_path / "bare.onnx", header=None)
    assert read_model(bare).network is None
    write_header(bare, tmp_path / "with.onnx", HEADER)
    write_header(tmp_path / "with.onnx", tmp_path / "with.onnx", replace(HEADER, licence="MIT"))
    read = read_model(tmp_path / "with.onnx")
    assert read.network == replace(HEADER, licence="MIT")
    assert read.open_batch
    assert [port.dimensions for port in read.outputs] == [(None, 12), (None, 1)]


def test_finds_outputs_by_role_and_inputs_by_name() -> None:
    assert HEADER.output("points") == OutputHeader("points", "points", "px")
    assert HEADER.output("mask") is None
    assert HEADER.input("image") == HEADER.inputs[0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not JSON"),
        ("[]", "no schema number"),
        ("{}", "no schema number"),
        ('{"schema": 2, "name": "x"}', "has schema 2, this version reads up to 1; run: pip install --upgrade"),
        ('{"schema": 1}', "cannot be read"),
        ('{"schema": 1, "name": "x", "inputs": [{"nom": 1}]}', "cannot be read"),
        ('{"schema": 1, "name": "x", "regions": [1]}', "cannot be read"),
    ],
)
def test_unreadable_text_is_named(text: str, message: str) -> None:
    with pytest.raises(EngineError, match=message) as caught:
        from_json(text, "net.onnx")
    assert str(caught.value).startswith("net.onnx: ") and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("ports", "message"),
    [
        ({"inputs": (InputHeader("i", layout="CHWN"),)}, "layout of input i must be one of NCHW, NHWC, got 'CHWN'"),
        ({"inputs": (InputHeader("i", std=(1.0, 0.0, 1.0)),)}, "std not 0"),
        ({"outputs": (OutputHeader("o", "nose"),)}, "role of output o must be one of points, .*got 'nose'"),
        ({"outputs": (OutputHeader("o", unit="mile"),)}, "unit of output o"),
    ],
)
def test_values_that_mean_nothing_are_refused(ports: dict[str, object], message: str) -> None:
    with pytest.raises(EngineError, match=message):
        NetworkHeader("net", **ports)  # type: ignore[arg-type]
