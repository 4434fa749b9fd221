"""Nothing that was written is lost: kills, Ctrl-C, full disks, files that were cut off."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.recording.factory import MODEL, make_clip
from tracker.errors import RecordingError
from tracker.recording import finish_journal, is_complete, open_writer, read_take, take_state

ROOT = Path(__file__).resolve().parents[2]
needs_posix = pytest.mark.skipif(os.name != "posix", reason="signals and limits of POSIX")

RECORD = """
    import sys, time
    from tests.recording.factory import MODEL, make_clip
    from tracker.errors import RecordingError
    from tracker.recording import open_writer
    frames = make_clip(40)
"""


def start(body: str, *arguments: object) -> subprocess.Popen[str]:
    """A process that records; it says what it does on stdout."""
    code = textwrap.dedent(RECORD) + textwrap.dedent(body)
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def wait_for_line(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdout is not None
    for found in process.stdout:
        if found.strip() == line:
            return
    pytest.fail(f"the process ended without saying {line!r}: {process.communicate()[1]}")


def need(suffix: str) -> None:
    """Skip where the package of a format is not installed."""
    if suffix in (".parquet", ".mcap"):
        pytest.importorskip({".parquet": "pyarrow", ".mcap": "mcap"}[suffix], reason="comes with the extra 'export'")


ENDLESS = """
    with open_writer(sys.argv[1], model=MODEL) as writer:
        for number, frame in enumerate(frames):
            writer.write(frame)
            print(number + 1, flush=True)
            if number == 29:
                time.sleep(60)
"""


@needs_posix
@pytest.mark.parametrize("suffix", [".npz", ".jsonl", ".csv", ".parquet", ".mcap"])
def test_kill_9_leaves_every_frame_that_was_written(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"take{suffix}"
    need(suffix)
    process = start(ENDLESS, path)
    wait_for_line(process, "30")
    process.kill()
    process.communicate()
    assert not path.exists() and take_state(path) == "missing"
    take = read_take(tmp_path / f"take{suffix}.part")
    assert len(take) == 30 and not take.complete
    wanted = make_clip(40)
    decimals = 6e-7 if suffix == ".csv" else 1e-8
    np.testing.assert_allclose(take.frame(29).faces[0].arkit, wanted[29].faces[0].arkit, atol=decimals)
    np.testing.assert_allclose(take.frame(29).faces[0].identity, wanted[29].faces[0].identity, atol=1e-8)


@needs_posix
@pytest.mark.parametrize("suffix", [".npz", ".jsonl", ".csv", ".parquet", ".mcap"])
def test_ctrl_c_leaves_a_finished_file_that_says_it_is_not_the_whole(tmp_path: Path, suffix: str) -> None:
    need(suffix)
    path = tmp_path / f"take{suffix}"
    process = start(ENDLESS, path)
    wait_for_line(process, "30")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert not path.with_name(path.name + ".part").exists()
    assert take_state(path) == "partial" and not is_complete(path)
    assert len(read_take(path)) == 30
    assert [found.name for found in tmp_path.iterdir() if found.suffix not in (suffix, ".json")] == []


def test_a_crashed_journal_becomes_a_take(tmp_path: Path) -> None:
    part = crash(tmp_path / "take.npz", frames=12)
    assert finish_journal(part, tmp_path / "take.npz") == 12
    take = read_take(tmp_path / "take.npz")
    assert len(take) == 12 and not take.complete and take_state(tmp_path / "take.npz") == "partial"


def crash(path: Path, frames: int) -> Path:
    """The journal of a recorder that vanished."""
    writer = open_writer(path, model=MODEL)
    for frame in make_clip(frames):
        writer.write(frame)
    writer._file.close()
    return path.with_name(path.name + ".part")


def test_a_journal_cut_anywhere_reads_up_to_the_last_whole_record(tmp_path: Path) -> None:
    part = crash(tmp_path / "take.npz", frames=4)
    blob = part.read_bytes()
    counts = []
    cut = tmp_path / "cut.part"
    for size in range(0, len(blob), 61):
        cut.write_bytes(blob[:size])
        try:
            counts.append(len(read_take(cut)))
        except RecordingError as error:
            assert "\n" not in str(error)
            counts.append(-1)
    assert counts == sorted(counts) and counts[0] == -1 and counts[-1] in (3, 4) and {0, 1, 2, 3} <= set(counts)


def test_a_damaged_record_ends_a_journal(tmp_path: Path) -> None:
    part = crash(tmp_path / "take.npz", frames=6)
    blob = bytearray(part.read_bytes())
    blob[-10] ^= 0xFF
    part.write_bytes(blob)
    assert len(read_take(part)) == 5


@pytest.mark.parametrize("suffix", [".npz", ".jsonl"])
def test_a_take_cut_anywhere_is_refused_or_read_in_part(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"take{suffix}"
    with open_writer(path, model=MODEL) as writer:
        for frame in make_clip(5):
            writer.write(frame)
    blob = path.read_bytes()
    cut = tmp_path / f"cut{suffix}"
    for size in range(0, len(blob), max(1, len(blob) // 60)):
        cut.write_bytes(blob[:size])
        assert not is_complete(cut)
        try:
            take = read_take(cut)
        except RecordingError as error:
            assert "\n" not in str(error) and str(cut) in str(error)
        else:
            assert suffix == ".jsonl" and not take.complete


def test_flipped_bytes_in_a_take_never_end_in_a_traceback(tmp_path: Path) -> None:
    path = tmp_path / "take.npz"
    with open_writer(path, model=MODEL) as writer:
        for frame in make_clip(3):
            writer.write(frame)
    blob = path.read_bytes()
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(60):
        damaged = bytearray(blob)
        for position in rng.integers(0, len(blob), 3):
            damaged[position] ^= int(rng.integers(1, 256))
        path.write_bytes(damaged)
        try:
            list(read_take(path))
        except RecordingError:
            refused += 1
    assert refused > 30


LIMITED = """
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000))
    writer = open_writer(sys.argv[1], model=MODEL)
    try:
        for frame in frames:
            writer.write(frame)
    except RecordingError as error:
        print(writer.frame_count, error)
    writer.close()
"""


@needs_posix
@pytest.mark.parametrize("suffix", [".npz", ".jsonl"])
def test_a_file_that_may_not_grow_ends_in_one_line_and_a_readable_rest(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"take{suffix}"
    out, err = start(LIMITED, path).communicate(timeout=30)
    count, _, message = out.strip().partition(" ")
    assert "Traceback" not in err and "\n" not in message
    assert "ulimit" in message and f"take{suffix}.part" in message and "replay" in message
    assert 5 < int(count) < 40 and len(read_take(tmp_path / f"take{suffix}.part")) == int(count)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 96 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=96k", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if done.returncode:
        pytest.skip("mounting a small file system needs root")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@needs_posix
def test_a_full_disk_while_writing_keeps_what_was_written(small_disk: Path) -> None:
    with (
        pytest.raises(RecordingError, match="the disk is full") as caught,
        open_writer(small_disk / "take.npz", model=MODEL) as writer,
    ):
        for frame in make_clip(400):
            writer.write(frame)
    assert writer.frame_count > 20 and f"{writer.frame_count} frames" in str(caught.value)
    assert [path.name for path in small_disk.iterdir()] == ["take.npz.part"]
    assert len(read_take(small_disk / "take.npz.part")) == writer.frame_count


@needs_posix
def test_a_full_disk_while_finishing_keeps_the_journal(small_disk: Path) -> None:
    writer = open_writer(small_disk / "take.npz", model=MODEL)
    frames = make_clip(40)
    for frame in frames:
        writer.write(frame)
    room = os.statvfs(small_disk)
    (small_disk / "filler").write_bytes(bytes(room.f_bsize * (room.f_bavail - 1)))
    with pytest.raises(RecordingError, match="the disk is full"):
        writer.close()
    assert sorted(path.name for path in small_disk.iterdir()) == ["filler", "take.npz.part"]
    take = read_take(small_disk / "take.npz.part")
    assert len(take) == 40 and take.complete
    (small_disk / "filler").unlink()
    assert finish_journal(small_disk / "take.npz.part", small_disk / "take.npz") == 40


def test_frames_are_on_disk_as_soon_as_write_returns(tmp_path: Path) -> None:
    writer = open_writer(tmp_path / "take.npz", model=MODEL)
    for number, frame in enumerate(make_clip(3), start=1):
        writer.write(frame)
        assert len(read_take(tmp_path / "take.npz.part")) == number
    writer.abort()
    assert list(tmp_path.iterdir()) == []


def test_a_leftover_is_kept_beside_the_next_recording(tmp_path: Path) -> None:
    path = tmp_path / "take.npz"
    crash(path, frames=2)
    crash(path, frames=3)
    with open_writer(path, model=MODEL) as writer:
        writer.write(make_clip(1)[0])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["take.npz", "take.npz.part-1", "take.npz.part-2"]
    assert [len(read_take(tmp_path / f"take.npz.part-{n}")) for n in (1, 2)] == [2, 3]
    crash(tmp_path / "other.npz", frames=2)
    with open_writer(tmp_path / "other.npz", model=MODEL, discard_unfinished=True) as writer:
        writer.write(make_clip(1)[0])
    assert len(read_take(tmp_path / "other.npz")) == 1 and not (tmp_path / "other.npz.part-1").exists()


def test_writing_a_frame_costs_far_less_than_a_millisecond(tmp_path: Path) -> None:
    frames = make_clip(300)
    times = []
    with open_writer(tmp_path / "take.npz", model=MODEL, landmarks=True) as writer:
        for frame in frames:
            started = time.perf_counter()
            writer.write(frame)
            times.append(time.perf_counter() - started)
    # Measured: 0.02 ms. The bound leaves room for a busy machine and would catch a flush to the disk per frame.
    assert float(np.median(times)) < 0.5e-3
