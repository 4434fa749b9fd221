"""Clips tracked side by side in processes of their own, through the command that people use."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

from tracker.cli import main
from tracker.recording import take_state


@pytest.fixture
def clips(short_clip, tmp_path):
    folder = tmp_path / "clips"
    folder.mkdir()
    for name in ("a.mp4", "b.mp4"):
        shutil.copy(short_clip, folder / name)
    (folder / "broken.mp4").write_bytes(b"no video at all")
    return folder


def lines(path):
    return {line["take"]: line for line in map(json.loads, path.read_text().splitlines())}


def test_two_at_a_time_make_the_bytes_that_one_makes(clips, networks, tmp_path, capsys):
    one, two = tmp_path / "one", tmp_path / "two"
    assert main(["process", "--quiet", str(clips / "*.mp4"), "-o", str(one)]) == 1
    assert main(["process", "--quiet", str(clips / "*.mp4"), "-o", str(two), "--jobs", "2"]) == 1
    assert (one / "a.npz").read_bytes() == (two / "a.npz").read_bytes()
    assert (one / "b.npz").read_bytes() == (two / "b.npz").read_bytes()
    told = lines(two / "manifest.ndjson")
    assert {name: line["status"] for name, line in told.items()} == {
        "a.npz": "complete", "b.npz": "complete", "broken.npz": "failed"
    }  # fmt: skip
    assert told["a.npz"]["frames"] == 20 and told["a.npz"]["lost_share"] == 0.0
    assert "broken.mp4" in told["broken.npz"]["error"]
    err = capsys.readouterr().err
    assert "1 of 3 inputs failed" in err and "Traceback" not in err
    # Again: the finished ones stay, the broken one is tried again; its line is not written twice.
    assert main(["process", "--quiet", str(clips / "*.mp4"), "-o", str(two), "--jobs", "2"]) == 1
    assert "2 of 3 already done" in capsys.readouterr().err
    assert len((two / "manifest.ndjson").read_text().splitlines()) == 3


@pytest.fixture
def long_batch(short_clip, networks, tmp_path):
    """Starts a batch of two long clips at a time; ends it at the end of the test."""
    clip = tmp_path / "long.mp4"
    shutil.copy(short_clip, clip)
    out = tmp_path / "takes"
    command = [sys.executable, "-m", "tracker", "process", "--quiet", "test:2000", "test:1999", str(clip)]
    batch = subprocess.Popen(
        [*command, "-o", str(out), "--jobs", "2"], stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    yield batch, out
    if batch.poll() is None:
        os.killpg(batch.pid, signal.SIGKILL)
    batch.wait()


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(text) for text in file.read().split()]


def workers(pid):
    found = []
    for child in children(pid):
        with open(f"/proc/{child}/cmdline", "rb") as file:
            if b"spawn_main" in file.read():
                found.append(child)
    return found


def wait_for(condition, seconds=60.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return
        time.sleep(0.1)
    raise AssertionError("did not happen in time")


def at_work(out):
    return out.exists() and len([path for path in out.iterdir() if path.name != "manifest.ndjson"]) >= 2


@pytest.mark.skipif(not os.path.exists("/proc/self/task"), reason="children are found in /proc")
def test_a_process_that_is_killed_costs_one_clip(long_batch):
    batch, out = long_batch
    wait_for(lambda: at_work(out))
    os.kill(workers(batch.pid)[0], signal.SIGKILL)
    wait_for(lambda: "long.npz" in lines(out / "manifest.ndjson"))
    told = lines(out / "manifest.ndjson")
    assert told["long.npz"]["status"] == "complete"
    assert any("signal 9" in (line["error"] or "") for line in told.values())
    os.killpg(batch.pid, signal.SIGINT)
    assert batch.wait(30) == 130
    err = batch.stderr.read()
    assert "interrupted; 2 of 3 finished" in err and "Traceback" not in err


@pytest.mark.skipif(not os.path.exists("/proc/self/task"), reason="children are found in /proc")
def test_ctrl_c_closes_every_take_and_leaves_no_process(long_batch):
    batch, out = long_batch
    wait_for(lambda: at_work(out))
    started = workers(batch.pid)
    asked_s = time.monotonic()
    os.killpg(batch.pid, signal.SIGINT)
    assert batch.wait(30) == 130
    assert time.monotonic() - asked_s < 14.0  # not killed after the time that takes have to be closed
    assert not any(os.path.exists(f"/proc/{pid}") for pid in started)
    takes = [path for path in out.iterdir() if path.suffix == ".npz"]
    assert takes and all(take_state(path) == "partial" for path in takes)
    assert "Traceback" not in batch.stderr.read()
