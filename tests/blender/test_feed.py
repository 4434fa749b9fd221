"""The receiver against the tracker's own publisher, and against everything else that may answer on a port."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from facestream_tracker.feed import ControlRequest, Feed, StreamError, decode_frame
from facestream_tracker.zmtp import GREETING, FrameParser, Peer, ProtocolError, pack_frame, parse_endpoint

from tests.blender import known
from tests.blender.conftest import Stage, free_port, until

GOLDEN = Path(__file__).resolve().parents[1] / "golden"


@pytest.mark.parametrize(
    "text", ["", "5556", "tcp://", "tcp://host", "tcp://host:0", "tcp://host:99999", "udp://h:1", "ipc://"]
)
def test_what_is_no_endpoint_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match=r"tcp://127\.0\.0\.1:5556"):
        parse_endpoint(text)


def test_frames_survive_any_cutting() -> None:
    wire = pack_frame(b"a", more=True) + pack_frame(bytes(300)) + pack_frame(b"\x04PING", command=True)
    for size in (1, 2, 7, 400):
        parser = FrameParser()
        frames = [f for at in range(0, len(wire), size) for f in parser.feed(wire[at : at + size])]
        assert frames == [(1, b"a"), (2, bytes(300)), (4, b"\x04PING")]


def test_impossible_frames_are_refused() -> None:
    with pytest.raises(ProtocolError, match="flags"):
        FrameParser().feed(b"\xf8\x00")
    with pytest.raises(ProtocolError, match="bytes"):
        FrameParser().feed(b"\x02" + struct.pack(">Q", 1 << 40))


def test_feed_gets_schema_identity_and_the_newest_frame(stage: Callable[..., Stage]) -> None:
    feed = Feed(stage("--fps=120").endpoint)
    frames = []
    until(lambda: len(frames) >= 5 and feed.identities, lambda: frames.extend(feed.poll()))
    frame = frames[-1]
    index = round((frame.t_capture_ns - known.FIRST_NS) / 1e9 * known.RATE)
    assert known.t_capture_ns(index) == frame.t_capture_ns
    face = frame.faces[0].sample
    np.testing.assert_array_equal(face.arkit, known.arkit(index))
    np.testing.assert_array_equal(face.gaze, known.gaze(index))
    np.testing.assert_array_equal(face.position, known.position(index))
    assert feed.schema is not None and feed.schema["model"]["name"] == "builtin"
    _, shape = feed.identities[1]
    np.testing.assert_array_equal(shape, known.identity(len(shape)))
    time.sleep(0.3)
    newest = feed.poll()
    assert len(newest) == 1, "everything but the newest is skipped"
    assert newest[0].seq - frame.seq > 10
    assert feed.dropped == 0, "what was skipped here was not lost on the way"
    assert feed.latency_ms is not None and feed.latency_ms < 400
    assert feed.fps == pytest.approx(120, rel=0.2)
    assert feed.state == "tracking"
    time.sleep(0.2)
    assert len(feed.poll(every_frame=True)) > 5
    feed.close()


def test_heartbeats_keep_an_idle_connection(stage: Callable[..., Stage]) -> None:
    # The publisher gives up peers that do not answer its pings within three seconds.
    feed = Feed(stage("--fps=1").endpoint)
    until(lambda: feed.connected, feed.poll)
    seen = []
    deadline = time.monotonic() + 4.5
    while time.monotonic() < deadline:
        feed.poll()
        seen.append(feed.connected)
        time.sleep(0.02)
    feed.close()
    assert all(seen)


def test_feed_survives_a_restart_of_the_tracker(stage: Callable[..., Stage]) -> None:
    publisher = stage()
    feed = Feed(publisher.endpoint)
    until(lambda: feed.poll(), lambda: None)
    first = feed.latest
    publisher.stop()
    until(lambda: not feed.connected, feed.poll)
    assert publisher.endpoint in feed.state
    publisher.start()
    until(lambda: feed.latest is not None and first is not None and feed.latest.stream != first.stream, feed.poll)
    until(lambda: feed.identities, feed.poll)
    assert feed.restarts == 1 and feed.dropped == 0 and feed.state == "tracking"
    feed.close()


def test_nobody_listening_is_said_and_tried_again() -> None:
    feed = Feed(f"tcp://127.0.0.1:{free_port()}")
    until(lambda: "nobody listens" in feed.state, feed.poll)
    started = time.perf_counter()
    for _ in range(50):
        feed.poll()
    assert time.perf_counter() - started < 1.0, "polling must not wait"
    feed.close()


def serve(answer: bytes) -> tuple[str, threading.Thread]:
    """A server that says something else to the first who connects."""
    listener = socket.create_server(("127.0.0.1", 0))

    def run() -> None:
        connection, _ = listener.accept()
        with listener, connection:
            connection.sendall(answer)
            connection.settimeout(0.5)
            try:
                while connection.recv(4096):
                    pass
            except OSError:
                return

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return f"tcp://127.0.0.1:{listener.getsockname()[1]}", thread


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n" + bytes(64), "is not ZeroMQ"),
        (GREETING.replace(b"NULL\0", b"CURVE")[:64], "CURVE"),
        (b"\xff" + bytes(8) + b"\x7f\x01" + bytes(53), "ZMTP 1"),
        (GREETING + b"\x04\x06\x05ERROR", "refused"),
        (GREETING + b"\xff\xff", "flags"),
    ],
)
def test_other_protocols_are_named(answer: bytes, complaint: str) -> None:
    endpoint, thread = serve(answer)
    peer = Peer(endpoint, "SUB", (b"",))
    until(lambda: complaint in peer.problem, peer.poll)
    peer.close()
    thread.join(2)


def test_a_stream_of_another_version_is_named_in_the_state() -> None:
    packet = (GOLDEN / "wire_frame_one_face.bin").read_bytes().replace(b"\xa1v\x01", b"\xa1v\x02")
    ready = pack_frame(b"\x05READY\x0bSocket-Type\x00\x00\x00\x04XPUB", command=True)
    endpoint, thread = serve(GREETING + ready + pack_frame(b"face/frame/", more=True) + pack_frame(packet))
    feed = Feed(endpoint)
    until(lambda: "update the older one" in feed.state, lambda: assert_no_frames(feed))
    feed.close()
    thread.join(2)


def assert_no_frames(feed: Feed) -> None:
    assert feed.poll() == []


def test_local_sockets_work_too(tmp_path: Path) -> None:
    publishing = pytest.importorskip("tracker.publishing.publisher", reason="the tracker is not in this Python")
    from tests.blender import stage
    from tracker.publishing.config import PublishConfig
    from tracker.publishing.describe import describe_model

    endpoint = f"ipc://{tmp_path / 'faces'}"
    config = PublishConfig(bind=endpoint, latest=None, control=None)
    with publishing.Publisher(config, describe_model(stage.MODEL)) as publisher:
        feed = Feed(endpoint)
        until(lambda: feed.poll(), lambda: publisher.publish(stage.frame(3)))
        feed.close()


def test_control_requests_are_answered_later(stage: Callable[..., Stage]) -> None:
    publisher = stage()
    request = ControlRequest(publisher.control, "recenter")
    until(request.poll, lambda: None)
    assert request.answer == {"ok": True}
    request = ControlRequest(publisher.control, "dance")
    until(request.poll, lambda: None)
    assert request.answer is not None and "error" in request.answer
    request = ControlRequest(f"tcp://127.0.0.1:{free_port()}", "recenter", timeout_s=0.2)
    until(request.poll, lambda: None)
    assert request.answer is not None and "nobody listens" in request.answer["error"]


def test_golden_frame_is_read() -> None:
    frame = decode_frame((GOLDEN / "wire_frame_raw_landmarks.bin").read_bytes(), 0)
    assert frame.image == (640, 360) and frame.focal_px == 734.0
    assert len(frame.faces) >= 1 and frame.faces[0].sample.arkit.shape == (52,)


def test_damage_is_told_and_never_raised_otherwise() -> None:
    packet = (GOLDEN / "wire_frame_one_face.bin").read_bytes()
    for size in range(len(packet)):
        with pytest.raises(StreamError):
            decode_frame(packet[:size], 0)
    rng = np.random.default_rng(5)
    for _ in range(3000):
        broken = bytearray(packet)
        for at in rng.integers(0, len(packet), 3):
            broken[at] = int(rng.integers(0, 256))
        try:
            decode_frame(bytes(broken), 0)
        except StreamError:
            continue


def test_another_version_of_the_wire_asks_for_an_update() -> None:
    packet = (GOLDEN / "wire_frame_one_face.bin").read_bytes()
    assert packet.count(b"\xa1v\x01") == 1
    with pytest.raises(StreamError, match="version 2 of the stream, this add-on 1"):
        decode_frame(packet.replace(b"\xa1v\x01", b"\xa1v\x02"), 0)
