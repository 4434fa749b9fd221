"""Every recordable format: read back by us, and by readers of other people."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest

from tests.recording.factory import MODEL, make_clip, make_face, make_frame, with_appearance
from tracker.arkit import ARKIT_NAMES
from tracker.errors import RecordingError
from tracker.recording import Take, is_complete, open_copy, open_writer, read_take, take_state
from tracker.types import FrameResult

LOSSLESS = [".npz", ".jsonl", ".parquet", ".mcap"]


def need(suffix: str) -> None:
    """Skip where the package of a format is not installed."""
    if suffix in (".parquet", ".mcap"):
        pytest.importorskip({".parquet": "pyarrow", ".mcap": "mcap"}[suffix], reason="comes with the extra 'export'")


def record(path: Path, frames: list[FrameResult], **options: bool) -> Take:
    need(path.suffix)
    with open_writer(path, model=MODEL, meta={"source": {"name": "clip.mp4"}}, **options) as writer:
        for frame in frames:
            writer.write(frame)
    return read_take(path)


def two_people(frames: int) -> list[FrameResult]:
    rng = np.random.default_rng(1)
    return [
        make_frame(
            i,
            tuple(
                make_face(rng, face_id, age=i, version=1 + i // 3)
                for face_id in ((), (1,), (1, 2), (2,), (2, 3))[i % 5]
            ),
        )
        for i in range(frames)
    ]


@pytest.mark.parametrize("suffix", LOSSLESS)
def test_a_copy_in_any_format_is_the_same_take(tmp_path: Path, suffix: str) -> None:
    need(suffix)
    frames = [with_appearance(frame) for frame in two_people(17)]
    take = record(tmp_path / "take.npz", frames, landmarks=True, appearance=True)
    with open_copy(take, tmp_path / f"copy{suffix}") as writer:
        for frame in take:
            writer.write(frame)
    copy = read_take(tmp_path / f"copy{suffix}")
    assert copy.meta == take.meta and take_state(copy.path, {"name": "clip.mp4"}) == "complete"
    assert list(copy.arrays) == list(take.arrays) or set(copy.arrays) == set(take.arrays)
    exact = suffix != ".jsonl" and suffix != ".mcap"
    for name, array in take.arrays.items():
        if name == "meta_json":
            continue
        assert copy[name].dtype == array.dtype, name
        if exact or array.dtype.kind in "iubU":
            np.testing.assert_array_equal(copy[name], array, err_msg=name)
        else:
            # Text has eight decimals; pixels are float32, which has seven digits.
            np.testing.assert_allclose(
                copy[name].astype(float), array.astype(float), atol=2e-7, rtol=2e-7, err_msg=name
            )


@pytest.mark.parametrize("suffix", [*LOSSLESS, ".csv"])
def test_takes_without_any_frame_or_face(tmp_path: Path, suffix: str) -> None:
    assert len(record(tmp_path / f"nothing{suffix}", [])) == 0
    nobody = record(tmp_path / f"nobody{suffix}", [make_frame(i, ()) for i in range(3)])
    assert len(nobody) == 3 and not any(frame.faces for frame in nobody) and nobody.complete


def test_a_csv_take_keeps_what_its_columns_say(tmp_path: Path) -> None:
    frames = two_people(13)
    take = record(tmp_path / "take.npz", frames)
    copy = record(tmp_path / "take.csv", frames)
    assert len(copy) == 13 and copy.complete and is_complete(tmp_path / "take.csv")
    for name in ("timestamps_ns", "t_unix_ns", "frame_index", "pts", "frame_size", "K", "face_id", "tracked", "age"):
        np.testing.assert_allclose(copy[name], take[name], err_msg=name)
    for name in ("arkit", "expr", "position", "jaw_pose", "eyelids", "gaze_left", "slot1_arkit", "bbox", "confidence"):
        np.testing.assert_allclose(copy[name], take[name], atol=6e-7, rtol=1e-6, err_msg=name)
    seen = take["face_id"] >= 0
    np.testing.assert_allclose(np.abs((copy["quaternion"] * take["quaternion"]).sum(1))[seen], 1.0, atol=1e-6)
    # Rotation vectors of half a turn and more are not unique; the rotation is.
    assert not copy["neck_pose"].any() and "raw_expr" not in copy.arrays
    last = {face.id: face.identity for frame in frames for face in frame.faces}
    np.testing.assert_allclose(copy["shape"], last[int(copy.meta["slots"] and copy["face_id"][1])], atol=1e-6)


def test_duckdb_and_polars_read_a_parquet_take(tmp_path: Path) -> None:
    take = record(tmp_path / "take.parquet", make_clip(12))
    duckdb = pytest.importorskip("duckdb", reason="a reader that is not ours")
    rows = duckdb.sql(
        f"SELECT timestamps_ns, arkit.jawOpen, quaternion[4], tracked FROM '{tmp_path}/take.parquet' ORDER BY frame_index"
    ).fetchall()
    assert [row[0] for row in rows] == take["timestamps_ns"].tolist()
    np.testing.assert_array_equal(np.array([row[1] for row in rows], np.float32), take["arkit"][:, 17])
    np.testing.assert_array_equal(np.array([row[2] for row in rows], np.float32), take["quaternion"][:, 3])
    polars = pytest.importorskip("polars", reason="a reader that is not ours")
    frame = polars.read_parquet(tmp_path / "take.parquet")
    names = [field.name for field in frame.schema["arkit"].fields]
    assert tuple(names) == ARKIT_NAMES and frame["tracked"].to_list() == take["tracked"].tolist()


def test_an_mcap_take_has_what_foxglove_draws(tmp_path: Path) -> None:
    frames = two_people(11)
    record(tmp_path / "take.mcap", frames)
    from mcap.reader import make_reader

    with (tmp_path / "take.mcap").open("rb") as file:
        reader = make_reader(file, validate_crcs=True)
        summary = reader.get_summary()
        messages = [(s.name, c.topic, m) for s, c, m in reader.iter_messages()]
    assert summary is not None and summary.statistics is not None
    assert all(schema.encoding == "jsonschema" for schema in summary.schemas.values())
    for schema in summary.schemas.values():
        assert json.loads(schema.data)["type"] == "object"
    assert all(channel.message_encoding == "json" for channel in summary.channels.values())
    assert summary.statistics.message_start_time == frames[0].t_capture_ns
    transforms = [(m, json.loads(m.data)) for name, _, m in messages if name == "foxglove.FrameTransforms"]
    assert len(transforms) == 11
    for frame, (message, value) in zip(frames, transforms, strict=True):
        assert message.log_time == frame.t_capture_ns and message.publish_time == frame.t_unix_ns
        assert [t["child_frame_id"] for t in value["transforms"]] == [f"face_{face.id}" for face in frame.faces]
        for face, transform in zip(frame.faces, value["transforms"], strict=True):
            np.testing.assert_allclose([transform["translation"][k] for k in "xyz"], face.position, atol=1e-7)
            np.testing.assert_allclose([transform["rotation"][k] for k in "xyzw"], face.quaternion, atol=1e-7)
            stamp = transform["timestamp"]
            assert stamp["sec"] * 10**9 + stamp["nsec"] == frame.t_capture_ns
    weights = [json.loads(m.data) for _, topic, m in messages if topic == "/face_2/arkit"]
    wanted = [face.arkit for frame in frames for face in frame.faces if face.id == 2]
    np.testing.assert_allclose([[w[name] for name in ARKIT_NAMES] for w in weights], wanted, atol=1e-7)
    cameras = [json.loads(m.data) for name, _, m in messages if name == "foxglove.CameraCalibration"]
    assert len(cameras) == 1 and cameras[0]["width"] == 640 and cameras[0]["K"][8] == 1.0


@pytest.mark.parametrize("suffix", [".parquet", ".mcap", ".csv"])
def test_files_cut_or_damaged_anywhere_end_in_one_line(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"take{suffix}"
    record(path, make_clip(6))
    blob = path.read_bytes()
    rng = np.random.default_rng(0)
    damaged = [blob[:size] for size in range(0, len(blob), max(1, len(blob) // 60))]
    for _ in range(60):
        copy = bytearray(blob)
        for position in rng.integers(0, len(blob), 3):
            copy[position] ^= int(rng.integers(1, 256))
        damaged.append(bytes(copy))
    read = 0
    for data in damaged:
        path.write_bytes(data)
        try:
            list(read_take(path))
        except RecordingError as error:
            assert "\n" not in str(error) and str(path) in str(error)
        else:
            read += 1
    assert read < len(damaged)


@pytest.mark.parametrize(("name", "data", "says"), [
    ("a.mcap", None, "without the metadata"),
    ("a.parquet", None, "without 'meta_json'"),
    ("livelink.csv", b"Timecode,BlendShapeCount,EyeBlinkLeft\n00:00:00:00.000,61,0.0\n", "livelink.csv.json"),
    ("a.mcap", b"\x89MCAP0\r\n", "without the metadata"),
    ("a.parquet", b"PAR1", "damaged"),
])  # fmt: skip
def test_files_of_other_people_are_no_takes(tmp_path: Path, name: str, data: bytes | None, says: str) -> None:
    path = tmp_path / name
    need(path.suffix)
    if data is not None:
        path.write_bytes(data)
    elif name == "a.mcap":
        from mcap.writer import Writer

        with path.open("wb") as file:
            writer = Writer(file)
            writer.start()
            writer.finish()
    else:
        import pyarrow
        import pyarrow.parquet

        pyarrow.parquet.write_table(pyarrow.table({"a": [1]}), path)
    with pytest.raises(RecordingError, match=re.escape(says)):
        read_take(path)
    assert take_state(path) == "other"


@pytest.mark.parametrize(("suffix", "module"), [(".parquet", "pyarrow"), (".mcap", "mcap")])
def test_a_missing_package_is_said_before_anything_is_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, module: str
) -> None:
    import importlib

    found = importlib.import_module

    def without(name: str, package: str | None = None) -> object:
        if name.partition(".")[0] == module:
            raise ImportError(name)
        return found(name, package)

    monkeypatch.setattr(importlib, "import_module", without)
    with pytest.raises(RecordingError, match=rf"{module}: pip install 'facestream-tracker\["):
        open_writer(tmp_path / f"take{suffix}", model=MODEL)
    assert list(tmp_path.iterdir()) == []


def test_csv_module_reads_the_table(tmp_path: Path) -> None:
    frames = make_clip(6)
    record(tmp_path / "take.csv", frames)
    with (tmp_path / "take.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 6 and rows[0]["face_id"] == "" and rows[1]["face_id"] == "1"
    assert float(rows[1]["jawOpen"]) == pytest.approx(float(frames[1].faces[0].arkit[17]), abs=1e-6)
