"""The main job on a real clip, as ``make demo`` runs it.

Two processes: ``tracker run`` plays a clip at its own pace, tracks it and publishes; ``tracker listen`` subscribes and saves what
arrives. Then ``tracker render`` draws the take over the clip. Every command is shown as it could be typed.
"""

from __future__ import annotations

import argparse
import shlex
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from tracker.arkit import ARKIT_NAMES
from tracker.errors import TrackerError
from tracker.recording import Take, read_take
from tracker.samples import sample

_LISTEN_TIMEOUT_S = 120


class DemoError(TrackerError):
    """A step of the demo failed; what it said stands above."""


def main() -> int:
    parser = argparse.ArgumentParser(description="Track a sample clip, publish it, receive it, draw it.")
    parser.add_argument("--clip", default="single_face.mp4", help="a name from `tracker samples list`, or a video file")
    parser.add_argument(
        "--out", type=Path, default=Path("out/demo"), help="folder for what it makes (default: %(default)s)"
    )
    args = parser.parse_args()
    try:
        run(args.clip, args.out)
    except TrackerError as error:
        sys.stderr.write(f"demo: {error}\n")
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    return 0


def run(clip: str, out: Path) -> None:
    """Do it all and say what came out.

    Raises:
        TrackerError: the clip cannot be had, or a step failed.
    """
    video = Path(clip) if Path(clip).is_file() else sample(clip)
    out.mkdir(parents=True, exist_ok=True)
    take_path, overlay, picture = out / "take.npz", out / "overlay.mp4", out / "picture.png"
    for old in (take_path, overlay, picture):
        old.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(prefix="tracker-demo-") as scratch:
        received_path = Path(scratch) / "received.npz"
        track_and_receive(video, take_path, received_path)
        take, received = read_take(take_path), read_take(received_path)
    tracker("render", str(take_path), "--video", str(video), "-o", str(overlay), "--picture", str(picture), "--quiet")
    check(take, received)
    summarise(take, received)
    sys.stdout.write(f"\nlook at:  {overlay}   {picture}   {take_path}\n")


def track_and_receive(video: Path, take_path: Path, received_path: Path) -> None:
    """Track and publish in one process, receive in another, until the clip ends."""
    port = str(free_port())
    listen = [
        "listen",
        "--connect",
        port,
        "--save",
        str(received_path),
        "--until-end",
        "--timeout",
        str(_LISTEN_TIMEOUT_S),
    ]
    show(listen, background=True)
    with subprocess.Popen([sys.executable, "-m", "tracker", *listen]) as listener:
        try:
            tracker(
                "run", "--source", str(video), "--record", str(take_path), "--force", "--with-landmarks",
                "--bind", port, "--bind-latest", "none", "--bind-control", "none",
            )  # fmt: skip
            if listener.wait(timeout=30) != 0:
                raise DemoError("the subscriber failed; `tracker doctor` may know why")
        except subprocess.TimeoutExpired:
            raise DemoError("the subscriber did not notice that the stream ended") from None
        finally:
            listener.terminate()


def tracker(*arguments: str) -> None:
    """Run one verb to its end."""
    show(list(arguments))
    code = subprocess.run([sys.executable, "-m", "tracker", *arguments], check=False).returncode
    if code == 130:
        raise KeyboardInterrupt
    if code != 0:
        raise DemoError(f"`tracker {arguments[0]}` failed (exit code {code}); `tracker doctor` may know why")


def show(arguments: list[str], *, background: bool = False) -> None:
    sys.stdout.write(f"\n$ {shlex.join(['tracker', *arguments])}{' &' if background else ''}\n")
    sys.stdout.flush()


def free_port() -> int:
    """A port that nobody uses now, so that the demo runs beside a tracker that has the usual ones."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def check(take: Take, received: Take) -> None:
    """The subscriber must have got what the tracker found, frame by frame."""
    if len(received) != len(take):
        raise DemoError(f"the subscriber received {len(received)} of {len(take)} frames; is this machine very busy?")
    for key in ("rotation_camera", "translation_camera", "expr", "arkit"):
        if key in take.arrays and not np.allclose(take[key], received[key], atol=1e-5, equal_nan=True):
            raise DemoError(f"what was received differs from what was tracked in '{key}'")


def summarise(take: Take, received: Take) -> None:
    with_face = sum(bool(frame.faces) for frame in take)
    sys.stdout.write(
        f"\n{len(take)} frames tracked, {with_face} with a face; {len(received)} received over ZeroMQ, all equal\n"
    )
    if not with_face:
        return
    arkit = take["arkit"]
    liveliest = np.argsort(-np.ptp(np.nan_to_num(arkit), axis=0))[:5]
    sys.stdout.write("liveliest expressions:\n")
    for index in liveliest:
        sys.stdout.write(
            f"  {ARKIT_NAMES[index]:<18}{spark(arkit[:, index])}  up to {np.nanmax(arkit[:, index]):.2f}\n"
        )


def spark(values: np.ndarray, width: int = 48) -> str:
    """A row of block characters for a curve in 0..1."""
    blocks = " ▁▂▃▄▅▆▇█"
    chunks = np.array_split(np.nan_to_num(values), min(width, len(values)))
    return "".join(blocks[int(np.clip(chunk.mean(), 0, 1) * (len(blocks) - 1) + 0.5)] for chunk in chunks)


if __name__ == "__main__":
    sys.exit(main())
