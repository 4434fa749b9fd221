"""Takes back on the wire."""

from __future__ import annotations

import dataclasses
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from tests.recording.factory import MODEL, make_clip, make_face, make_frame
from tracker.cli import main
from tracker.errors import ConfigError
from tracker.publishing import wire
from tracker.publishing.client import Message, Subscriber
from tracker.publishing.config import PublishConfig
from tracker.publishing.publisher import Publisher
from tracker.recording import Take, open_writer, read_take
from tracker.recording.replay import check_contents, describe_take_model, replay, rounds
from tracker.types import FrameResult

ROOT = Path(__file__).resolve().parents[2]
FREE = ("--bind", "0", "--bind-latest", "none", "--bind-control", "none")


def make_take(folder: Path, frames: list[FrameResult], **options: bool) -> Take:
    path = folder / "take.npz"
    with open_writer(path, model=MODEL, **options) as writer:
        for frame in frames:
            writer.write(frame)
    return read_take(path)


def steady_clip(count: int, *, clock: str = "media", start_ns: int = 0) -> list[FrameResult]:
    rng = np.random.default_rng(0)
    return [
        dataclasses.replace(
            make_frame(i, (make_face(rng, age=i),)),
            t_capture_ns=start_ns + i * 20_000_000,
            clock=clock,
            pts_s=None,
            rate=None,
        )
        for i in range(count)
    ]


@contextmanager
def publishing(take: Take, **options: bool) -> Iterator[tuple[Publisher, Subscriber]]:
    config = PublishConfig(bind="127.0.0.1:0", latest=None, control=None, **options)
    with Publisher(config, describe_take_model(take)) as publisher:
        assert publisher.endpoint is not None
        with Subscriber(publisher.endpoint) as subscriber:
            # The schema is sent to every new subscriber, so it has joined once that arrives.
            while subscriber.receive(5.0) is None:
                pytest.fail("the publisher never answered")
            yield publisher, subscriber


def collect(subscriber: Subscriber) -> list[Message]:
    found = []
    while (message := subscriber.receive(0.2)) is not None:
        found.append(message)
    return found


def test_subscribers_get_every_frame_as_it_was_recorded(tmp_path: Path) -> None:
    frames = make_clip(13)
    take = make_take(tmp_path, frames, landmarks=True)
    with publishing(take, with_raw=True, with_landmarks=True) as (publisher, subscriber):
        assert replay(take, publisher, speed=5) == 13
        messages = collect(subscriber)
        schema = subscriber.schema
    assert schema is not None and schema["model"]["name"] == "toy"
    assert schema["landmarks"] == {"set": "toy12", "count": 12}
    sent = [message.payload for message in messages if message.topic == wire.TOPIC_FRAME]
    assert [frame["seq"] for frame in sent] == list(range(13))
    assert [(f["frame"], f["t_capture"], f["clock"]) for f in sent] == [
        (f.index, f.t_capture_ns, "media") for f in frames
    ]
    assert all(abs(time.time_ns() - frame["t_unix"]) < 60_000_000_000 for frame in sent)
    for found, wanted in zip(sent, frames, strict=True):
        assert len(found["faces"]) == len(wanted.faces)
        assert found["timecode"] == wire.encode_timecode(wanted.pts_s, wanted.rate)
        for a, b in zip(found["faces"], wanted.faces, strict=True):
            assert (a["id"], a["tracked"], a["age"]) == (b.id, b.tracked, b.age)
            np.testing.assert_array_equal(a["params"]["expression"], b.params.expression)
            np.testing.assert_array_equal(a["params"]["rotation"], b.params.rotation)
            np.testing.assert_array_equal(a["raw"]["params"]["jaw"], b.raw.jaw)
            np.testing.assert_array_equal(a["arkit"], b.arkit)
            np.testing.assert_array_equal(a["landmarks"].ravel(), b.landmarks.points[:, :2].ravel())
    identities = [m.payload["faces"][0] for m in messages if m.topic == wire.TOPIC_IDENTITY and m.payload["faces"]]
    assert {entry["version"] for entry in identities} == {face.identity_version for f in frames for face in f.faces}


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet", ".mcap"])
def test_takes_of_every_format_are_replayed(tmp_path: Path, suffix: str) -> None:
    pytest.importorskip(
        {".parquet": "pyarrow", ".mcap": "mcap"}.get(suffix, "numpy"), reason="comes with the extra 'export'"
    )
    frames = make_clip(6)
    with open_writer(tmp_path / f"take{suffix}", model=MODEL) as writer:
        for frame in frames:
            writer.write(frame)
    with publishing(read_take(tmp_path / f"take{suffix}")) as (publisher, subscriber):
        assert replay(read_take(tmp_path / f"take{suffix}"), publisher, speed=5) == 6
        sent = [message.payload for message in collect(subscriber) if message.topic == wire.TOPIC_FRAME]
    assert [frame["t_capture"] for frame in sent] == [frame.t_capture_ns for frame in frames]
    for found, wanted in zip(sent, frames, strict=True):
        assert found["timecode"] == wire.encode_timecode(wanted.pts_s, wanted.rate)
        for a, b in zip(found["faces"], wanted.faces, strict=True):
            np.testing.assert_allclose(a["arkit"], b.arkit, atol=1e-6)
            np.testing.assert_allclose(a["head"]["position"], b.position, atol=1e-6)


def test_frames_go_out_when_they_are_due(tmp_path: Path) -> None:
    take = make_take(tmp_path, steady_clip(11))
    for speed, seconds in ((1.0, 0.2), (2.0, 0.1)):
        with publishing(take) as (publisher, subscriber):
            started = time.monotonic()
            replay(take, publisher, speed=speed)
            times = [m.payload["t_publish"] for m in collect(subscriber) if m.topic == wire.TOPIC_FRAME]
            assert time.monotonic() - started < 5
        assert (times[-1] - times[0]) * 1e-9 == pytest.approx(seconds, abs=0.08)
        assert (times[5] - times[0]) * 1e-9 >= seconds / 2 - 0.03


def test_a_live_take_begins_at_zero_on_the_media_clock(tmp_path: Path) -> None:
    take = make_take(tmp_path, steady_clip(3, clock="CLOCK_MONOTONIC", start_ns=987_654_321_000))
    results = [result for _, _, result in rounds(take, loop=False)]
    assert [(r.t_capture_ns, r.clock) for r in results] == [(0, "media"), (20_000_000, "media"), (40_000_000, "media")]


def test_a_loop_goes_on_in_time_with_new_faces(tmp_path: Path) -> None:
    take = make_take(tmp_path, make_clip(6))
    results = [result for _, _, result in islice(rounds(take, loop=True), 18)]
    indices, times = [r.index for r in results], np.array([r.t_capture_ns for r in results])
    assert indices == list(range(18))
    np.testing.assert_allclose(np.diff(times), 1001 / 30000 * 1e9, atol=2)
    assert [r.faces[0].id for r in (results[1], results[7], results[13])] == [1, 3, 5]
    assert results[7].pts_s is not None and float(results[7].pts_s) == pytest.approx(7 * 1001 / 30000, abs=1e-8)


def test_a_take_without_frames_ends_at_once(tmp_path: Path) -> None:
    take = make_take(tmp_path, [])
    with publishing(take) as (publisher, _):
        assert replay(take, publisher, loop=True) == 0


def test_a_loop_stops_when_told(tmp_path: Path) -> None:
    take = make_take(tmp_path, steady_clip(3))
    stop = threading.Event()
    with publishing(take) as (publisher, _):
        threading.Timer(0.3, stop.set).start()
        assert replay(take, publisher, loop=True, stop=stop) >= 6


def test_more_cannot_be_published_than_was_recorded(tmp_path: Path) -> None:
    take = make_take(tmp_path, steady_clip(2), raw=False)
    with pytest.raises(ConfigError, match="no raw values"):
        check_contents(take, PublishConfig(with_raw=True))
    with pytest.raises(ConfigError, match="no landmarks"):
        check_contents(take, PublishConfig(with_landmarks=True))


def test_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_take(tmp_path, steady_clip(5))
    assert main(["replay", str(tmp_path / "take.npz"), "--speed", "10", *FREE]) == 0
    said = capsys.readouterr().err
    assert "5 frames, 0.1 s, publishing on tcp://127.0.0.1:" in said and said.endswith("sent 5 frames\n")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["none.npz"], 1, "cannot read take none.npz"),
        (["take.npz", "--speed", "0"], 2, "--speed must be above 0"),
        (["take.npz", "--speed", "nan"], 2, "--speed must be above 0"),
        (["take.npz", "--with-landmarks"], 2, "holds no landmarks"),
        (["take.npz", "--bind", "nonsense:x"], 2, "--bind takes"),
    ],
)
def test_mistakes_get_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    arguments: list[str], code: int, message: str,
) -> None:  # fmt: skip
    make_take(tmp_path, steady_clip(2))
    monkeypatch.chdir(tmp_path)
    defaults = FREE[2:] if "--bind" in arguments else FREE
    assert main(["replay", *arguments, *defaults]) == code
    said = capsys.readouterr().err
    assert message in said and len(said.splitlines()) == 1


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_ctrl_c_ends_a_loop_cleanly(tmp_path: Path) -> None:
    make_take(tmp_path, steady_clip(4))
    process = subprocess.Popen(
        [sys.executable, "-c", "import sys; from tracker.cli import main; sys.exit(main())",
         "replay", str(tmp_path / "take.npz"), "--loop", *FREE],
        cwd=ROOT, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stderr is not None
    assert "replaying" in process.stderr.readline()
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    said = process.stderr.read()
    assert process.wait(timeout=10) == 130
    assert re.fullmatch(r"sent \d+ frames\n", said)
