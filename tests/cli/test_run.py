"""``tracker run`` end to end: published, recorded, stopped in every way, and everything that can be wrong with it."""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
import stat
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from tracker.arkit import ARKIT_NAMES
from tracker.cli import main
from tracker.cli import run as run_verb
from tracker.publishing.client import Subscriber, request
from tracker.publishing.wire import TOPIC_EVENT, TOPIC_FRAME, TOPIC_SCHEMA, TOPIC_STATUS
from tracker.recording import read_take, take_state
from tracker.sources.synthetic import LOOP_S

QUIET = ("--bind", "0", "--bind-latest", "none", "--bind-control", "none", "--quiet")


def run(*arguments) -> int:
    return main(["run", *map(str, arguments)])


def one_line(capsys) -> str:
    err = capsys.readouterr().err.strip()
    assert len(err.splitlines()) == 1, err
    assert "Traceback" not in err and "defect" not in err
    return err


class Child:
    """``tracker run`` in a process of its own with its sockets in ``folder``; ``messages`` come by a subscriber."""

    def __init__(self, folder: Path, *arguments) -> None:
        self.control = f"ipc://{folder}/control"
        frames = f"ipc://{folder}/frames"
        self.subscriber = Subscriber(frames)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tracker", "run", "--bind", frames, "--bind-latest", "none",
             "--bind-control", self.control, *map(str, arguments)],
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *error) -> None:
        self.process.kill()
        self.process.communicate()
        self.subscriber.close()

    def wait_for_frames(self, count: int) -> list:
        """The first frames that come."""
        seen = []
        deadline_s = time.monotonic() + 60
        while len(seen) < count:
            assert time.monotonic() < deadline_s and self.process.poll() is None, self.process.stderr.read()
            message = self.subscriber.receive(timeout_s=0.5)
            if message is not None and message.topic == TOPIC_FRAME:
                seen.append(message.payload)
        return seen

    def end(self) -> tuple[int, str]:
        _, err = self.process.communicate(timeout=30)
        return self.process.returncode, err


class Received:
    """Everything that a subscriber hears during the body; the session waits until it has joined."""

    def __init__(self, endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.messages: list = []
        self._endpoint = endpoint
        self._over = threading.Event()
        self._joined = threading.Event()
        open_session = run_verb._open_session

        def open_when_joined(*arguments):
            session = open_session(*arguments)
            assert self._joined.wait(20)
            return session

        monkeypatch.setattr(run_verb, "_open_session", open_when_joined)

    def __enter__(self) -> Received:
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()
        return self

    def __exit__(self, *error) -> None:
        self._over.set()
        self._thread.join()

    def of(self, topic: bytes) -> list:
        return [message.payload for message in self.messages if message.topic == topic]

    def events(self) -> list[str]:
        return [event["event"] for event in self.of(TOPIC_EVENT)]

    def _listen(self) -> None:
        with Subscriber(self._endpoint) as subscriber:
            while True:
                message = subscriber.receive(timeout_s=0.2)
                if message is not None:
                    self.messages.append(message)
                    self._joined.set()
                elif self._over.is_set():
                    return


def test_every_frame_of_a_file_is_published_and_recorded(samples, networks, tmp_path, monkeypatch, capsys):
    take = tmp_path / "take.npz"
    endpoint = f"ipc://{tmp_path}/frames"
    with Received(endpoint, monkeypatch) as received:
        code = run("--source", samples("single_face.mp4"), "--record", take, "--bind", endpoint,
                   "--bind-latest", "none", "--bind-control", "none")  # fmt: skip
    assert code == 0
    frames = received.of(TOPIC_FRAME)
    assert [frame["frame"] for frame in frames] == list(range(72))
    assert all(len(frame["faces"]) == 1 for frame in frames)
    assert received.of(TOPIC_SCHEMA) and received.of(TOPIC_STATUS)
    assert received.events()[0] == "tracked" and received.events()[-1] == "ended"
    assert len(read_take(take)) == 72 and take_state(take) == "complete"
    err = capsys.readouterr().err
    assert "72 frames, 0 dropped" in err and "recorded 72 frames" in err
    assert received.of(TOPIC_STATUS)[-1]["camera"] == "ended"


def test_a_file_plays_at_its_own_pace_and_its_rate_is_told_truly(samples, networks, tmp_path, monkeypatch):
    endpoint = f"ipc://{tmp_path}/frames"
    with Received(endpoint, monkeypatch) as received:
        started_s = time.monotonic()
        assert run("--source", samples("single_face.mp4"), "--quiet", "--bind", endpoint, "--bind-latest", "none",
                   "--bind-control", "none") == 0  # fmt: skip
        assert time.monotonic() - started_s > 2.2
    rates = [status["fps"] for status in received.of(TOPIC_STATUS) if status.get("frames", 0) > 15]
    # The middle one: a busy machine may stall for the whole two seconds that a rate is counted over.
    assert rates and 20 < statistics.median_high(rates) < 34, rates


def test_the_test_source_stops_after_as_many_frames_as_asked(networks, tmp_path):
    assert run("--source", "test", "--frames", 12, "--record", tmp_path / "take.jsonl", *QUIET) == 0
    take = read_take(tmp_path / "take.jsonl")
    assert len(take) == 12 and take_state(tmp_path / "take.jsonl") == "complete"


def test_a_full_disk_ends_the_take_and_not_the_stream(networks, tmp_path, monkeypatch, capsys):
    take, endpoint, write = tmp_path / "take.npz", f"ipc://{tmp_path}/frames", os.write

    def write_while_there_is_room(descriptor: int, data: bytes) -> int:
        if stat.S_ISREG(os.fstat(descriptor).st_mode) and os.fstat(descriptor).st_size > 10_000:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(descriptor, data)

    monkeypatch.setattr(os, "write", write_while_there_is_room)
    with Received(endpoint, monkeypatch) as received:
        code = run("--source", "test", "--frames", 40, "--record", take, "--quiet", "--bind", endpoint,
                   "--bind-latest", "none", "--bind-control", "none")  # fmt: skip
    said = one_line(capsys)
    assert code == 1
    assert "the disk is full" in said and "tracking goes on" in said and str(take) + ".part" in said
    assert len(received.of(TOPIC_FRAME)) == 40
    (event,) = (event for event in received.of(TOPIC_EVENT) if event["event"] == "recording_failed")
    assert event["text"] in said
    kept = read_take(tmp_path / "take.npz.part")
    assert 0 < len(kept) < 40 and f"{len(kept)} frames" in said and not take.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_a_complete_take(number, networks, tmp_path):
    take = tmp_path / "take.npz"
    with Child(tmp_path, "--source", "test", "--record", take) as child:
        child.wait_for_frames(10)
        child.process.send_signal(number)
        code, err = child.end()
    assert code == 130
    assert take_state(take) == "complete" and len(read_take(take)) >= 10
    assert "recorded" in err and "Traceback" not in err


def test_control_of_a_running_tracker(networks, tmp_path, capsys):
    with Child(tmp_path, "--source", "test", "--record", tmp_path / "take.npz", "--quiet") as child:
        child.wait_for_frames(5)

        def control(*arguments) -> dict:
            assert main(["control", *arguments, "--connect", child.control]) == 0
            return json.loads(capsys.readouterr().out)

        assert control("version")["tracker"]
        assert control("schema")["model"]["name"]
        assert abs(control("time")["offset_ms"]) < 50
        assert main(["control", "levitate", "--connect", child.control]) == 1
        assert "levitate" in one_line(capsys)
        assert control("recenter") == {"ok": True}
        time.sleep(0.5)
        while (message := child.subscriber.receive(timeout_s=0.0)) is not None:
            latest = message
        head = latest.payload["faces"][0]["head"] if latest.topic == TOPIC_FRAME else None
        head = head or child.wait_for_frames(1)[0]["faces"][0]["head"]
        # Within what the test face moves in half a second.
        assert abs(head["position"][0]) < 0.06
        assert control("stop") == {"ok": True}
        code, err = child.end()
    assert (code, err) == (0, "")
    assert take_state(tmp_path / "take.npz") == "complete"


def test_takes_and_sources_change_while_it_runs(samples, networks, tmp_path, capsys):
    with Child(tmp_path, "--source", "test", "--quiet") as child:
        child.wait_for_frames(3)

        def control(*arguments) -> dict:
            assert main(["control", *map(str, arguments), "--connect", child.control]) == 0
            return json.loads(capsys.readouterr().out)

        def refused(*arguments) -> str:
            assert main(["control", *map(str, arguments), "--connect", child.control]) in (1, 2)
            return one_line(capsys)

        assert control("record")["recording"] is False
        assert "nothing is being recorded" in refused("record", "stop")
        assert "expected" in refused("record", "start", tmp_path / "take.mov")
        assert "record start take.npz" in refused("record", "start")
        assert "record start take.npz" in refused("record", "start", "")
        assert "open webcam:1" in refused("open", "")
        first = tmp_path / "first.npz"
        assert control("record", "start", first)["path"] == str(first)
        child.wait_for_frames(5)
        assert control("record")["frames"] >= 3
        assert "already recording" in refused("record", "start", tmp_path / "other.npz")
        assert "holds one source" in refused("open", "test")
        assert control("record", "stop")["frames"] >= 3
        assert "nosuch" in refused("open", "nosuch.mp4")
        assert isinstance(control("cameras")["cameras"], list)
        clip = samples("single_face.mp4")
        assert control("open", clip)["ok"] is True
        sizes = [tuple(frame["image"]) for frame in child.wait_for_frames(60)]
        assert sizes[-1] == (640, 360) and child.process.poll() is None
        second = tmp_path / "second.npz"
        control("record", "start", second)
        child.wait_for_frames(3)
        assert control("stop") == {"ok": True}
        code, err = child.end()
    assert (code, err.strip()) == (0, f"recorded: {first}")
    assert take_state(first) == take_state(second) == "complete"
    assert read_take(second).meta["source"]["name"] == clip.name


def test_osc_recentres_a_running_tracker(networks, tmp_path):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with Child(tmp_path, "--source", "test", "--osc-in", port) as child:
        child.wait_for_frames(3)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            udp.sendto(b"rubbish", ("127.0.0.1", port))
            udp.sendto(b"/tracker/recenter\0\0\0,\0\0\0", ("127.0.0.1", port))
        deadline_s = time.monotonic() + 10
        while (message := child.subscriber.receive(0.5)) is None or message.payload.get("event") != "recentered":
            assert time.monotonic() < deadline_s
        child.process.send_signal(signal.SIGINT)
        code, err = child.end()
    assert code == 130 and f"OSC on 127.0.0.1:{port}" in err and "Traceback" not in err


def test_calibrating_a_relaxed_face_while_it_runs(samples, networks, tmp_path, capsys):
    import cv2

    from tracker.sources.open import open_source

    with open_source(str(samples("WolfgangLanger_Pexels.mp4"))) as source:
        relaxed = next(frame.image for frame in source if frame.index == 225)
    folder = tmp_path / "still"
    folder.mkdir()
    cv2.imwrite(str(folder / "0000.png"), relaxed[..., ::-1])
    for number in range(1, 240):
        (folder / f"{number:04}.png").symlink_to(folder / "0000.png")
    with Child(tmp_path, "--source", folder, "--fps", 30) as child:
        child.wait_for_frames(5)
        assert main(["control", "calibrate", "--connect", child.control]) == 0
        assert json.loads(capsys.readouterr().out)["state"] == "calibrated"
        events = []
        while (message := child.subscriber.receive(timeout_s=0.1)) is not None and "calibrated" not in events:
            if message.topic == TOPIC_EVENT:
                events.append(message.payload["event"])
        assert "calibrated" in events
        frames = child.wait_for_frames(3)
        arkit = dict(zip(ARKIT_NAMES, frames[-1]["faces"][0]["arkit"], strict=True))
        assert max(weight for name, weight in arkit.items() if not name.startswith("eyeLook")) < 0.05
        assert main(["control", "calibrate", "off", "--connect", child.control]) == 0
        assert json.loads(capsys.readouterr().out)["state"] == "none"
        assert main(["control", "calibrate", "mode=sideways", "--connect", child.control]) == 1
        assert "sideways" in one_line(capsys)
        assert main(["control", "stop", "--connect", child.control]) == 0
        code, err = child.end()
    assert code == 0 and "calibrated" in err


def test_a_moving_face_is_not_calibrated(networks, tmp_path, capsys):
    with Child(tmp_path, "--source", "test", "--quiet") as child:
        # Where the smile begins: on a slow machine two seconds show less of the motion, but they show that.
        while not 5.4 < child.wait_for_frames(1)[0]["frame"] / 30.0 % LOOP_S < 5.8:
            pass
        assert main(["control", "calibrate", "--connect", child.control]) == 1
        assert "not calibrated: " in one_line(capsys)
        assert request(child.control, "calibrate", fields={"mode": "status"})["state"] == "failed"
        assert request(child.control, "stop") == {"ok": True}
        child.end()


def test_stop_ends_a_source_that_delivers_nothing(networks, tmp_path, samples):
    """A paced file with its next frame far away: ``stop`` must not wait for it."""
    with Child(tmp_path, "--source", samples("single_face.mp4"), "--speed", 0.001, "--quiet") as child:
        child.wait_for_frames(1)
        assert request(child.control, "stop") == {"ok": True}
        started_s = time.monotonic()
        code, _ = child.end()
    assert code == 0 and time.monotonic() - started_s < 5


@pytest.mark.parametrize("option", ["--bind", "--bind-latest", "--bind-control"])
def test_a_busy_port_is_named_with_its_option(option, networks, capsys):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        ports = {"--bind": "0", "--bind-latest": "none", "--bind-control": "none", option: port}
        code = run("--source", "test", "--quiet", *(word for pair in ports.items() for word in pair))
    assert code == 1
    said = one_line(capsys)
    assert port in said and option in said


@pytest.mark.skipif(any(Path("/dev").glob("video*")), reason="this machine has a camera")
def test_no_camera_is_one_line(capsys):
    assert run("--source", "webcam", *QUIET) == 1
    said = one_line(capsys)
    assert "camera" in said and "--source test" in said


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--size", "wide"), "WIDTHxHEIGHT"),
        (("--size", "0x480"), "WIDTHxHEIGHT"),
        (("--size", "1x1"), "32"),
        (("--speed", "-1"), "--speed"),
        (("--speed", "nan"), "--speed"),
        (("--speed", "inf"), "--speed"),
        (("--speed", "fast"), "--speed"),
        (("--frames", "0"), "--frames"),
        (("--frames", "many"), "--frames"),
        (("--fps", "0"), "frame rate"),
        (("--fps", "nan"), "frame rate"),
        (("--bind", "somewhere:over:rainbow"), "--bind"),
        (("--bind", "70000"), "--bind"),
        (("--bind-control", "70000"), "--bind-control"),
        (("--max-faces", "0"), "max_faces"),
        (("--max-faces", "17"), "max_faces"),
        (("--fov", "nan"), "fov"),
        (("--focal", "-1"), "focal"),
        (("--focal", "500", "--fov", "60"), "not both"),
        (("--threads", "0"), "threads"),
        (("--encoder", "resnet"), "encoder must be one of own, mediapipe, light"),
        (("--face-model", "/nowhere/head.npz"), "/nowhere/head.npz"),
        (("--source", "tset"), "test"),
        (("--source", "test:0"), "test:300"),
        (("--sorce", "test"), "--source"),
        (("--record", "take.fbx"), ".npz"),
        (("--record", "/proc/nowhere/take.npz"), "/proc/nowhere/take.npz"),
        (("--curve-keys", "/proc/keys/none"), "--curve-keys"),
    ],
)
def test_an_unusable_option_is_one_line(arguments, words, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run("--source", "test", *QUIET, *arguments) in (1, 2)
    assert words in one_line(capsys)
    assert not any(thread.name == "capture test" for thread in threading.enumerate())


def test_an_existing_take_is_replaced_only_when_forced(samples, networks, tmp_path, capsys):
    take = tmp_path / "take.npz"
    take.write_bytes(b"precious")
    assert run("--source", "test:3", "--record", take, *QUIET) == 1
    assert "--force" in one_line(capsys)
    assert take.read_bytes() == b"precious"
    assert run("--source", "test:3", "--record", take, "--force", *QUIET) == 0
    assert len(read_take(take)) == 3


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX permissions")
def test_an_option_mistake_leaves_no_process_hanging_or_aborting(tmp_path):
    """The test source draws in a thread; an early error must not tear it down with the interpreter."""
    command = [sys.executable, "-m", "tracker", "run", "--source", "test", "--record", "take.fbx", *QUIET]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=30)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1


def test_missing_networks_are_one_line_with_the_command_that_fetches_them(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TRACKER_CACHE", str(tmp_path / "empty"))
    assert run("--source", "test", *QUIET) == 1
    assert "tracker models fetch" in one_line(capsys)


def test_other_machines_are_reached_only_on_purpose(capsys, networks):
    assert run("--source", "test", "--bind", "0.0.0.0:0", "--bind-latest", "none", "--bind-control", "none") == 2
    said = one_line(capsys)
    assert "--curve-keys" in said and "--insecure-lan" in said
    assert run("--source", "test:2", "--insecure-lan", "--quiet", "--bind", "0.0.0.0:0", "--bind-latest", "none",
               "--bind-control", "none") == 0  # fmt: skip


def test_several_faces_have_ids_of_their_own(samples, networks, tmp_path):
    take = tmp_path / "take.jsonl"
    assert run("--source", samples("multi_face.jpg"), "--max-faces", 2, "--record", take, *QUIET) == 0
    frames = [json.loads(line) for line in take.read_text().splitlines()]
    (faces,) = (frame["faces"] for frame in frames if "faces" in frame)
    assert len({face["id"] for face in faces}) == 2


def test_faces_that_enter_and_leave_are_told(samples, networks, tmp_path, monkeypatch):
    endpoint = f"ipc://{tmp_path}/frames"
    with Received(endpoint, monkeypatch) as received:
        assert run("--source", samples("face_noface.mov"), "--speed", 4, "--quiet", "--bind", endpoint,
                   "--bind-latest", "none", "--bind-control", "none") == 0  # fmt: skip
    frames = received.of(TOPIC_FRAME)
    present = [len(frame["faces"]) for frame in frames]
    assert present[0] == 1 and present[-1] == 0
    told = Counter(received.events())
    assert told["tracked"] >= 1 and told["tracked"] == told["lost"]
    lost = next(event for event in received.of(TOPIC_EVENT) if event["event"] == "lost")
    assert present[lost["frame"]] == 0 and present[lost["frame"] - 1] == 1


def test_frame_size_may_change_in_mid_stream(samples, networks, tmp_path, capsys):
    """Through ``process``: pictures of two sizes in one motion JPEG stream."""
    import cv2

    from tracker.sources.open import open_source

    with open_source(str(samples("single_face.mp4"))) as source:
        images = [frame.image[..., ::-1] for frame, _ in zip(source, range(10), strict=False)]
    stream = tmp_path / "joined.mjpeg"
    with stream.open("wb") as out:
        for size in ((640, 360), (320, 180)):
            for image in images:
                out.write(cv2.imencode(".jpg", cv2.resize(image, size))[1].tobytes())
    take = tmp_path / "take.jsonl"
    assert main(["process", str(stream), "-o", str(take), "--quiet"]) == 0
    assert "frames are 320x180 from frame 10 on" in capsys.readouterr().err
    frames = [record for record in map(json.loads, take.read_text().splitlines()) if "faces" in record]
    assert len(frames) == 20
    assert all(len(frame["faces"]) == 1 for frame in frames)
    assert len({frame["faces"][0]["id"] for frame in frames}) == 1
