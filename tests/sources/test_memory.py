from __future__ import annotations

import platform
import resource
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest

from tracker.sources import memory

# Two frames of 640x360 at a time, as a reader that looks at one while the next is decoded.
COUNT_FAULTS = """
import ctypes, resource, sys
from tracker.sources.memory import keep_freed_memory
if sys.argv[1] == "keep":
    assert keep_freed_memory()
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]
size = 640 * 360 * 3
def frames(count):
    held = None
    for _ in range(count):
        following = libc.malloc(size)
        ctypes.memset(following, 1, size)
        if held is not None:
            libc.free(held)
        held = following
    libc.free(held)
frames(5)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(50):
    frames(2)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def page_faults(mode: str) -> int:
    finished = subprocess.run([sys.executable, "-c", COUNT_FAULTS, mode], capture_output=True, text=True, check=True)
    return int(finished.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc gives every freed frame back")
def test_frames_are_made_of_memory_that_is_there() -> None:
    pages_per_frame = 640 * 360 * 3 // resource.getpagesize()
    assert page_faults("keep") < pages_per_frame  # for a hundred frames together
    assert page_faults("as it is") > 10 * pages_per_frame


def test_other_systems_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory.sys, "platform", "darwin")
    assert memory.keep_freed_memory.__wrapped__() is False


DECODE = """
import resource, sys
from tracker.sources.open import open_source
def peak_mb():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
for _ in range(int(sys.argv[2])):
    with open_source(sys.argv[1]) as source:
        for index, frame in enumerate(source):
            if index == 5:
                before = peak_mb() if _ == 0 else before
print(peak_mb() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss has other units elsewhere")
@pytest.mark.parametrize(("frames", "times"), [(250, 1), (10, 25)])
def test_decoding_keeps_no_frames(frames: int, times: int, tmp_path: Path) -> None:
    """Every frame of motion JPEG is a key frame, whose orientation is looked at."""
    clip = tmp_path / "clip.avi"
    picture = av.VideoFrame.from_ndarray(np.full((480, 640, 3), 128, np.uint8), format="rgb24")
    with av.open(str(clip), "w") as container:
        stream = container.add_stream("mjpeg", rate=30)
        stream.width, stream.height, stream.pix_fmt = 640, 480, "yuvj420p"
        for _ in range(frames):
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    command = [sys.executable, "-c", DECODE, str(clip), str(times)]
    finished = subprocess.run(command, capture_output=True, text=True, check=True)
    # One such frame is 0.5 MB before and 0.9 MB after conversion.
    assert float(finished.stdout) < 8
