"""What goes over the network: as the packets that were tested, kept alive, and gone when it should be."""

from __future__ import annotations

import random
import socket
import threading
import time
from collections.abc import Callable

import pytest

from tests.bridges import readers
from tests.bridges.conftest import MakeFace
from tracker.bridges import BridgeHub, BridgeSpec
from tracker.bridges.bridge import BridgeFrame
from tracker.bridges.ifacialmocap import HANDSHAKE, VERSION_2, IFacialMocapBridge, requested_version
from tracker.bridges.worker import BridgeWorker
from tracker.errors import PublishError

Frames = Callable[..., BridgeFrame]


def drain(receiver: socket.socket, quiet_s: float = 0.15) -> list[bytes]:
    """What has come and still comes until it is quiet."""
    receiver.settimeout(quiet_s)
    packets = []
    while True:
        try:
            packets.append(receiver.recv(65536))
        except TimeoutError:
            return packets


@pytest.mark.parametrize(
    ("name", "packets"),
    [("livelink", 1), ("vmc", 5), ("ifacialmocap", 1), ("vrchat", 10), ("facecap", 1), ("babble", 33), ("openseeface", 1),
     ("opentrack", 1)],
)  # fmt: skip
def test_a_frame_is_sent_as_it_should_be(
    receiver: socket.socket, posed_face: MakeFace, name: str, packets: int
) -> None:
    from tools.make_golden_wire import make_result

    spec = BridgeSpec.parse(f"{name}=127.0.0.1:{receiver.getsockname()[1]}")
    with BridgeHub([spec]) as hub:
        hub(make_result(posed_face(jawOpen=0.5)))
        time.sleep(0.1)
    found = drain(receiver)
    # The switches of vrchat go on and off and parameters come to rest at the end.
    assert len(found) >= packets
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("bridge")]


@pytest.mark.parametrize("name", ["facecap", "babble", "openseeface", "opentrack"])
def test_without_a_face_these_are_silent(
    receiver: socket.socket, posed_face: MakeFace, as_frame: Frames, name: str
) -> None:
    spec = BridgeSpec.parse(f"{name}=127.0.0.1:{receiver.getsockname()[1]}")
    with BridgeWorker(spec.entry.open(spec)) as worker:
        worker.offer(as_frame())
        worker.offer(as_frame(posed_face(tracked=False)))
        assert drain(receiver) == []


def test_livelink_says_that_it_is_there(receiver: socket.socket, as_frame: Frames) -> None:
    spec = BridgeSpec.parse(f"livelink=127.0.0.1:{receiver.getsockname()[1]}")
    with BridgeWorker(spec.entry.open(spec)) as worker:
        worker.offer(as_frame())
        receiver.settimeout(3.0)
        packets = [readers.read_livelink(receiver.recv(2048)) for _ in range(2)]
    assert [packet.values for packet in packets] == [(), ()]
    assert packets[1].frame >= packets[0].frame and packets[0].rate == (30, 1)


def test_vmc_keeps_the_last_pose_alive(receiver: socket.socket, posed_face: MakeFace, as_frame: Frames) -> None:
    pytest.importorskip("pythonosc", reason="the independent reader of OSC")
    spec = BridgeSpec.parse(f"vmc=127.0.0.1:{receiver.getsockname()[1]}?names=arkit&presets=none")
    with BridgeWorker(spec.entry.open(spec)) as worker:
        worker.offer(as_frame(posed_face(jawOpen=0.5)))
        first = drain(receiver, 0.2)
        worker.offer(as_frame())
        again = drain(receiver, 0.2)
    assert len(first) == len(again) == 3
    kept = [message for message in readers.read_osc(again) if message[1][:1] == ["jawOpen"]]
    assert kept == [("/VMC/Ext/Blend/Val", ["jawOpen", 0.5])]


def test_vrchat_comes_to_rest_once_and_then_is_silent(
    receiver: socket.socket, posed_face: MakeFace, as_frame: Frames
) -> None:
    pytest.importorskip("pythonosc", reason="the independent reader of OSC")
    spec = BridgeSpec.parse(f"vrchat=127.0.0.1:{receiver.getsockname()[1]}?prefix=")
    with BridgeWorker(spec.entry.open(spec)) as worker:
        worker.offer(as_frame(posed_face(jawOpen=0.5)))
        active = dict(readers.read_osc(drain(receiver)))
        worker.offer(as_frame())
        lost = dict(readers.read_osc(drain(receiver)))
        worker.offer(as_frame())
        assert drain(receiver) == []
    assert active["/avatar/parameters/v2/JawOpen"] == [0.5] and active["/avatar/parameters/EyeTrackingActive"] == [True]
    assert lost["/avatar/parameters/v2/JawOpen"] == [0.0] and lost["/avatar/parameters/v2/EyeLidLeft"] == [0.75]
    assert lost["/avatar/parameters/LipTrackingActive"] == [False]
    # VRChat takes the eyes over ten seconds after the last of these.
    assert not [address for address in lost if address.startswith("/tracking")]
    assert drain(receiver) == []


def test_a_face_that_is_lost_keeps_its_pose_in_ifacialmocap(
    receiver: socket.socket, posed_face: MakeFace, as_frame: Frames
) -> None:
    spec = BridgeSpec.parse(f"ifacialmocap=127.0.0.1:{receiver.getsockname()[1]}?version=v2")
    with BridgeWorker(spec.entry.open(spec)) as worker:
        worker.offer(as_frame(posed_face(jawOpen=0.5)))
        assert readers.read_ifacialmocap(receiver.recv(2048), "&").weights["trackingStatus"] == 0.01
        worker.offer(as_frame())
        frames = [readers.read_ifacialmocap(data, "&") for data in drain(receiver)]
    assert frames[-1].weights["jawOpen"] == 0.5 and frames[-1].weights["trackingStatus"] == 0.0


def test_receivers_that_ask_get_frames(posed_face: MakeFace, as_frame: Frames) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        asker.bind(("127.0.0.2", 0))
        asker.settimeout(3.0)
        bridge = IFacialMocapBridge("127.0.0.1", asker.getsockname()[1], listen=0)
        with BridgeWorker(bridge) as worker:
            worker.offer(as_frame(posed_face(jawOpen=0.5)))
            for noise in (b"", b"hello", HANDSHAKE[:-1], HANDSHAKE + b"|sendDataVersion=v9"):
                asker.sendto(noise, ("127.0.0.1", bridge.listening_port))
            worker.offer(as_frame(posed_face(jawOpen=0.5)))
            assert drain(asker) == []
            for handshake, separator in ((HANDSHAKE, "-"), (HANDSHAKE + VERSION_2, "&")):
                asker.sendto(handshake, ("127.0.0.1", bridge.listening_port))
                time.sleep(0.02)
                drain(asker, 0.02)
                worker.offer(as_frame(posed_face(jawOpen=0.5)))
                asker.settimeout(3.0)
                frame = readers.read_ifacialmocap(asker.recv(2048), separator)
                assert frame.weights["jawOpen"] == 0.5


def test_handshakes() -> None:
    assert requested_version(HANDSHAKE) == "v1" and requested_version(HANDSHAKE + b"\n") == "v1"
    assert requested_version(HANDSHAKE + VERSION_2) == "v2"
    for size in range(len(HANDSHAKE)):
        assert requested_version(HANDSHAKE[:size]) is None
    for size in range(len(HANDSHAKE) + 1, len(HANDSHAKE + VERSION_2)):
        assert requested_version((HANDSHAKE + VERSION_2)[:size]) is None
    generator = random.Random(5)
    for _ in range(5_000):
        noisy = bytearray(HANDSHAKE + VERSION_2)
        noisy[generator.randrange(len(noisy))] ^= generator.randint(1, 255)
        assert requested_version(bytes(noisy)) is None
        assert requested_version(generator.randbytes(generator.randint(0, 80))) is None


def test_a_taken_port_is_one_line() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("", 0))
        with pytest.raises(PublishError, match="leave \\?listen= away") as error:
            IFacialMocapBridge("127.0.0.1", 49983, listen=taken.getsockname()[1])
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "name", ["livelink", "vmc", "ifacialmocap", "vrchat", "facecap", "babble", "openseeface", "opentrack"]
)
def test_an_unknown_machine_is_one_line(name: str) -> None:
    with pytest.raises(PublishError, match="cannot find a machine") as error:
        BridgeHub([BridgeSpec.parse(f"{name}=no-such-host.invalid")])
    assert "\n" not in str(error.value)


def test_a_receiver_that_goes_and_comes_back_is_no_trouble(posed_face: MakeFace, as_frame: Frames) -> None:
    told: list[str] = []
    first = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    first.bind(("127.0.0.1", 0))
    port = first.getsockname()[1]
    spec = BridgeSpec.parse(f"opentrack=127.0.0.1:{port}")
    with BridgeWorker(spec.entry.open(spec), told.append) as worker:
        for step in range(20):
            worker.offer(as_frame(posed_face()))
            time.sleep(0.01)
            if step == 5:
                first.close()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as second:
            second.bind(("127.0.0.1", port))
            second.settimeout(3.0)
            worker.offer(as_frame(posed_face()))
            assert len(second.recv(64)) == 48
    assert told == []


def test_openseeface_says_what_it_cannot_send(receiver: socket.socket, posed_face: MakeFace, as_frame: Frames) -> None:
    told: list[str] = []
    spec = BridgeSpec.parse(f"openseeface=127.0.0.1:{receiver.getsockname()[1]}")
    with BridgeWorker(spec.entry.open(spec), told.append) as worker:
        for _ in range(3):
            worker.offer(as_frame(posed_face(), posed_face(face_id=2)))
            assert len(readers.read_openseeface(receiver.recv(65536))) == 2
    (line,) = told
    assert "face model is not on this machine" in line and "without landmarks" in line
