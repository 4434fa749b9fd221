from __future__ import annotations

import platform
import resource
import subprocess
import sys

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
