from __future__ import annotations

import dataclasses
import socket
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import zmq

from tracker.errors import PublishError
from tracker.publishing import wire
from tracker.publishing.client import Message, Subscriber
from tracker.publishing.config import PublishConfig
from tracker.publishing.publisher import Publisher


def receive_until(subscriber: Subscriber, wanted: Callable[[Message], bool], timeout_s: float = 3.0) -> Message:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        message = subscriber.receive(0.2)
        if message is not None and wanted(message):
            return message
    raise AssertionError("the message did not come")


def on(topic: bytes) -> Callable[[Message], bool]:
    return lambda message: message.topic == topic


def join(publisher: Publisher, **options: Any) -> Subscriber:
    """A subscriber whose subscription the publisher has seen."""
    assert publisher.endpoint is not None
    subscriber = Subscriber(publisher.endpoint, **options)
    receive_until(subscriber, on(wire.TOPIC_SCHEMA))
    return subscriber


def test_round_trip_of_a_frame(publisher: Publisher, golden: ModuleType) -> None:
    face = golden.make_face()
    with join(publisher) as subscriber:
        publisher.publish(golden.make_result(face))
        frame = receive_until(subscriber, on(wire.TOPIC_FRAME)).payload
        assert frame["stream"] == publisher.stream
        assert frame["image"] == [640, 360]
        (seen,) = frame["faces"]
        np.testing.assert_array_equal(seen["params"]["expression"], face.params.expression)
        np.testing.assert_array_equal(seen["head"]["quaternion"], face.quaternion)
        np.testing.assert_array_equal(seen["arkit"], face.arkit)
        assert subscriber.schema is not None and subscriber.schema["model"]["name"] == "golden-head"
        np.testing.assert_array_equal(subscriber.identities[1][1], face.identity)
        assert "raw" not in seen and "landmarks" not in seen


def test_a_frame_without_faces_is_sent(publisher: Publisher, golden: ModuleType) -> None:
    with join(publisher) as subscriber:
        publisher.publish(golden.make_result())
        assert receive_until(subscriber, on(wire.TOPIC_FRAME)).payload["faces"] == []


def test_a_late_subscriber_can_decode_within_a_second(publisher: Publisher, golden: ModuleType) -> None:
    with join(publisher):
        publisher.publish(golden.make_result(golden.make_face()))
        started = time.monotonic()
        assert publisher.endpoint is not None
        with Subscriber(publisher.endpoint) as late:
            identity = receive_until(late, on(wire.TOPIC_IDENTITY)).payload
            assert late.schema is not None
            assert identity["faces"][0]["id"] == 1
            assert time.monotonic() - started < 1.0


def test_seq_counts_frames_only_and_gaps_show_as_drops(publisher: Publisher, golden: ModuleType) -> None:
    with join(publisher) as subscriber:
        for index in range(3):
            publisher.publish(golden.make_result(golden.make_face(), index=index))
        seqs = [receive_until(subscriber, on(wire.TOPIC_FRAME)).payload["seq"] for _ in range(3)]
        assert seqs == [0, 1, 2]
        assert subscriber.dropped == 0


def test_latest_endpoint_gives_exactly_the_newest_frame(publisher: Publisher, golden: ModuleType) -> None:
    assert publisher.latest_endpoint is not None
    with Subscriber(publisher.latest_endpoint, latest=True) as subscriber:
        deadline = time.monotonic() + 3
        while subscriber.receive(0.02) is None:
            publisher.publish(golden.make_result())
            assert time.monotonic() < deadline
        for index in range(200):
            publisher.publish(golden.make_result(index=1000 + index))
        time.sleep(0.2)
        message = subscriber.receive(1.0)
        assert message is not None and message.payload["frame"] == 1199
        assert subscriber.receive(0.05) is None


def test_newest_frame_by_draining_the_main_endpoint(publisher: Publisher, golden: ModuleType) -> None:
    with join(publisher) as subscriber:
        for index in range(5):
            publisher.publish(golden.make_result(index=index))
        time.sleep(0.1)
        message = subscriber.receive_newest_frame(1.0)
        assert message is not None and message.payload["frame"] == 4


def test_identity_is_sent_when_its_version_changes(publisher: Publisher, golden: ModuleType) -> None:
    with join(publisher, topics=(wire.TOPIC_SCHEMA, wire.TOPIC_IDENTITY)) as subscriber:
        publisher.publish(golden.make_result(golden.make_face(identity_version=1)))
        publisher.publish(golden.make_result(golden.make_face(identity_version=1)))
        publisher.publish(golden.make_result(golden.make_face(identity_version=2)))

        def has_version(version: int) -> Callable[[Message], bool]:
            return lambda m: m.topic == wire.TOPIC_IDENTITY and [f["version"] for f in m.payload["faces"]] == [version]

        first = receive_until(subscriber, has_version(1), 0.5)
        second = receive_until(subscriber, has_version(2), 0.5)
        assert second.payload["seq"] == first.payload["seq"] + 1


def test_events_follow_from_faces_that_come_and_go(publisher: Publisher, golden: ModuleType) -> None:
    with join(publisher) as subscriber:
        face = golden.make_face()
        frames = [(), (face,), (face,), (dataclasses.replace(face, tracked=False),), (), (face,), ()]
        for index, faces in enumerate(frames):
            publisher.publish(golden.make_result(*faces, index=index))
        events = [receive_until(subscriber, on(wire.TOPIC_EVENT)).payload for _ in range(4)]
        assert [(e["event"], e["id"], e["frame"]) for e in events] == [
            ("tracked", 1, 1),
            ("lost", 1, 3),
            ("tracked", 1, 5),
            ("lost", 1, 6),
        ]


def test_status_comes_every_second_even_without_frames(publisher: Publisher) -> None:
    publisher.status({"fps": np.float32(29.5), "dropped": 3, "camera": "lost", "latency": {"p95": float("nan")}})
    with join(publisher, topics=(wire.TOPIC_SCHEMA, wire.TOPIC_STATUS)) as subscriber:
        first = receive_until(subscriber, on(wire.TOPIC_STATUS), 1.5)
        second = receive_until(subscriber, on(wire.TOPIC_STATUS), 1.5)
        assert first.payload["fps"] == 29.5
        assert first.payload["latency"] == {"p95": None}
        assert 0.8 < (second.payload["t_publish"] - first.payload["t_publish"]) / 1e9 < 1.3


def test_a_face_with_nan_is_left_out_and_reported(publisher: Publisher, golden: ModuleType) -> None:
    bad = dataclasses.replace(golden.make_face(2), position=np.array([0, np.nan, 1], np.float32))
    with join(publisher) as subscriber:
        publisher.publish(golden.make_result(golden.make_face(1), bad))
        frame = receive_until(subscriber, on(wire.TOPIC_FRAME)).payload
        assert [face["id"] for face in frame["faces"]] == [1]
        event = receive_until(subscriber, lambda m: m.payload.get("event") == "withheld").payload
        assert event["id"] == 2 and "head.position holds nan" in event["reason"]
        status = receive_until(subscriber, on(wire.TOPIC_STATUS)).payload
        assert status["faces_withheld"] == 1


def test_raw_and_landmarks_are_optional_extras(free_ports: PublishConfig, golden: ModuleType) -> None:
    config = dataclasses.replace(free_ports, with_raw=True, with_landmarks=True)
    face = golden.make_face()
    with Publisher(config, golden.MODEL) as publisher, join(publisher) as subscriber:
        publisher.publish(golden.make_result(face))
        (seen,) = receive_until(subscriber, on(wire.TOPIC_FRAME)).payload["faces"]
        np.testing.assert_array_equal(seen["raw"]["params"]["rotation"], face.raw.rotation)
        np.testing.assert_array_equal(seen["raw"]["arkit"], face.arkit_raw)
        np.testing.assert_array_equal(seen["landmarks"], face.landmarks.points[:, :2])
        np.testing.assert_array_equal(seen["sigma"], face.landmarks.sigma)


def test_another_model_raises_the_schema_revision(publisher: Publisher, golden: ModuleType) -> None:
    with join(publisher) as subscriber:
        publisher.set_model(dataclasses.replace(golden.MODEL, name="other-head"))
        publisher.publish(golden.make_result())
        frame = receive_until(subscriber, on(wire.TOPIC_FRAME)).payload
        assert subscriber.schema is not None
        assert subscriber.schema["model"]["name"] == "other-head"
        assert frame["schema"] == subscriber.schema["schema"] == 2


def test_closing_says_so_and_delivers_what_was_sent(free_ports: PublishConfig, golden: ModuleType) -> None:
    publisher = Publisher(free_ports, golden.MODEL)
    with join(publisher) as subscriber:
        publisher.status({"camera": "ended"})
        for index in range(10):
            publisher.publish(golden.make_result(index=index))
        publisher.close()
        publisher.event("too late")
        messages = []
        while (message := subscriber.receive(0.3)) is not None:
            messages.append(message)
        frames = [message.payload["frame"] for message in messages if message.topic == wire.TOPIC_FRAME]
        assert frames == list(range(10))
        assert messages[-2].payload["camera"] == "ended"
        assert messages[-1].payload["event"] == "ended"


def test_strangers_on_the_port_do_no_harm(publisher: Publisher, golden: ModuleType) -> None:
    host, port = publisher.endpoint.removeprefix("tcp://").split(":")
    with join(publisher) as subscriber:
        with socket.create_connection((host, int(port))) as stranger:
            stranger.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" * 10)
            time.sleep(0.15)
            publisher.publish(golden.make_result(index=1))
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        with context, context.socket(zmq.XSUB) as talker:
            talker.linger = 0
            talker.connect(publisher.endpoint)
            for upstream in (b"", b"\x01", b"\x00face/", b"\x02hello", b"x" * 1000):
                talker.send(upstream)
            talker.send_multipart([b"\x01a", b"b"])
            time.sleep(0.15)
            publisher.publish(golden.make_result(index=2))
            frames = [receive_until(subscriber, on(wire.TOPIC_FRAME)).payload["frame"] for _ in range(2)]
            assert frames == [1, 2]


@pytest.mark.parametrize("option", ["--bind", "--bind-latest"])
def test_a_busy_port_is_named_with_the_option_that_changes_it(option: str, golden: ModuleType) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        free, busy = "tcp://127.0.0.1:0", f"tcp://127.0.0.1:{port}"
        bind, latest = (busy, free) if option == "--bind" else (free, busy)
        with pytest.raises(PublishError, match=rf"port {port} is taken.* with {option} ") as raised:
            Publisher(PublishConfig(bind=bind, latest=latest, control=None), golden.MODEL)
        assert "\n" not in str(raised.value)


def test_an_address_of_another_machine_is_refused(golden: ModuleType) -> None:
    config = PublishConfig(bind="tcp://192.0.2.1:0", latest=None, control=None, insecure_lan=True)
    with pytest.raises(PublishError, match="no such address"):
        Publisher(config, golden.MODEL)


def test_after_close_publishing_is_an_error_and_closing_again_is_not(
    free_ports: PublishConfig, golden: ModuleType
) -> None:
    publisher = Publisher(free_ports, golden.MODEL)
    publisher.close()
    publisher.close()
    with pytest.raises(PublishError, match="closed"):
        publisher.publish(golden.make_result())


def test_a_restarted_tracker_is_noticed_by_its_stream_id(free_ports: PublishConfig, golden: ModuleType) -> None:
    with Publisher(free_ports, golden.MODEL) as first:
        endpoint = first.endpoint
        subscriber = Subscriber(endpoint)
        receive_until(subscriber, on(wire.TOPIC_SCHEMA))
        for _ in range(4):
            first.publish(golden.make_result())
        receive_until(subscriber, lambda m: m.payload.get("seq") == 3)
    with subscriber, Publisher(dataclasses.replace(free_ports, bind=endpoint), golden.MODEL) as second:
        receive_until(subscriber, on(wire.TOPIC_SCHEMA))
        second.publish(golden.make_result())
        frame = receive_until(subscriber, on(wire.TOPIC_FRAME)).payload
        assert frame["stream"] == second.stream != first.stream
        assert subscriber.dropped == 0
