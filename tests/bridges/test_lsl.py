"""The Lab Streaming Layer stream, read back through an inlet."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.bridges.conftest import MakeFace
from tools.make_golden_wire import make_result
from tracker.bridges import BridgeSpec
from tracker.bridges.bridge import BridgeFrame
from tracker.bridges.lsl import CHANNELS, LslBridge, capture_time_s
from tracker.bridges.worker import BridgeWorker
from tracker.errors import ConfigError, PublishError

Frames = Callable[..., BridgeFrame]


@pytest.fixture(scope="session")
def pylsl() -> Any:
    try:
        return __import__("pylsl")
    except (ImportError, RuntimeError):
        pytest.skip("pylsl is not installed: pip install 'facestream-tracker[lsl]'")


def test_an_inlet_gets_names_units_values_and_times(pylsl: Any, posed_face: MakeFace, as_frame: Frames) -> None:
    name = f"face-{time.monotonic_ns()}"
    face = posed_face(yaw=0.3, jawOpen=0.5)
    with BridgeWorker(LslBridge(name)) as worker:
        worker.offer(as_frame(face))
        found = pylsl.resolve_byprop("name", name, timeout=5.0)
        assert found, "the stream is not on the network"
        inlet = pylsl.StreamInlet(found[0])
        inlet.open_stream(timeout=5.0)
        info = inlet.info(timeout=5.0)
        labels, units = [], []
        channel = info.desc().child("channels").child("channel")
        while not channel.empty():
            labels.append(channel.child_value("label"))
            units.append(channel.child_value("unit"))
            channel = channel.next_sibling("channel")
        assert tuple(zip(labels, units, strict=True)) == CHANNELS
        assert (info.type(), info.nominal_srate()) == ("Face", 0.0)
        assert info.desc().child("acquisition").child_value("nominal_source_rate") == "30"
        t_capture_ns = time.monotonic_ns() - 20_000_000
        live = replace(make_result(face), clock="CLOCK_MONOTONIC", t_capture_ns=t_capture_ns)
        worker.offer(replace(as_frame(face), result=live))
        sample, stamp = inlet.pull_sample(timeout=5.0)
        values = dict(zip(labels, sample, strict=True))
        assert values["jawOpen"] == 0.5 and values["head_yaw"] == pytest.approx(math.degrees(0.3), abs=1e-3)
        # LSL's clock on Linux is the monotonic one.
        assert stamp == pytest.approx(pylsl.local_clock() - (time.monotonic_ns() - t_capture_ns) * 1e-9, abs=0.002)
        assert abs(inlet.time_correction(timeout=5.0)) < 0.01
        worker.offer(as_frame())
        sample, _ = inlet.pull_sample(timeout=5.0)
        assert math.isnan(sample[0]) and sample[-2] == 0.0
        inlet.close_stream()


def test_times_are_moved_by_a_plausible_age() -> None:
    now_ns = time.time_ns()
    file = replace(make_result(), t_unix_ns=now_ns - 50_000_000)
    assert capture_time_s(file, 100.0) == pytest.approx(99.95, abs=0.005)
    other_machine = replace(file, clock="CLOCK_MONOTONIC", t_capture_ns=time.monotonic_ns() + 10**15)
    assert capture_time_s(other_machine, 100.0) == pytest.approx(99.95, abs=0.005)
    no_clock = replace(other_machine, t_unix_ns=now_ns - 10**15)
    assert capture_time_s(no_clock, 100.0) == 100.0


def test_what_is_wrong_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="finds its receivers by itself"):
        BridgeSpec.parse("lsl=10.0.0.1")
    with pytest.raises(ConfigError, match="name must have"):
        LslBridge("")
    monkeypatch.setitem(__import__("sys").modules, "pylsl", None)
    with pytest.raises(PublishError, match=r"pip install 'facestream-tracker\[lsl\]'") as error:
        LslBridge()
    assert "\n" not in str(error.value)
