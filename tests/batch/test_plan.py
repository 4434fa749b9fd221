"""What of a batch is still to be done: finished takes of the same recipe are left alone, others are made again."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.recording.factory import MODEL, make_clip
from tracker.batch.clip import TakeOptions
from tracker.batch.plan import fingerprint, look, make_jobs, recipe
from tracker.config import TrackerConfig
from tracker.errors import ConfigError
from tracker.recording import open_writer, source_signature


def made(config=TrackerConfig(), **options):  # noqa: B008
    return recipe(config, TakeOptions(**options), MODEL.sha256)


@pytest.fixture
def job(tmp_path):
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(b"not looked into")
    return make_jobs([str(clip)], tmp_path / "takes" / "clip.npz", "npz")[0]


def write_take(job, config=TrackerConfig(), frames=3):  # noqa: B008
    meta = {"source": source_signature(job.source), "settings": config.to_dict(), "two_pass": None}
    job.output.parent.mkdir(exist_ok=True)
    with open_writer(job.output, model=MODEL, meta=meta, raw=False, landmarks=False, overwrite=True) as writer:
        for result in make_clip(frames):
            writer.write(result)


def test_a_missing_take_is_wanted_and_a_finished_one_is_done(job):
    assert look(job, made()).state == "wanted"
    write_take(job)
    assert look(job, made()).state == "done"


def test_other_settings_are_told_by_name(job):
    write_take(job, TrackerConfig(max_faces=2))
    found = look(job, made())
    assert found.state == "changed" and found.difference == "max faces 2, now 1"
    assert look(job, made(TrackerConfig(max_faces=2), landmarks=True)).difference == "with landmarks off, now on"


def test_threads_change_no_take(job):
    write_take(job, TrackerConfig(threads=1))
    assert look(job, made(TrackerConfig(threads=2))).state == "done"
    assert fingerprint(made(TrackerConfig(threads=1))) == fingerprint(made(TrackerConfig(threads=2)))


def test_another_model_makes_another_take(job):
    write_take(job)
    assert look(job, {**made(), "model_sha256": "another"}).state == "changed"


def test_what_is_no_take_of_the_clip_is_refused(job):
    write_take(job)
    other = replace(job, source=str(job.output))
    with pytest.raises(ConfigError, match="not a take of"):
        look(other, made())


def test_a_video_pattern_is_many_inputs(tmp_path):
    for name in ("b.mp4", "a.mp4"):
        (tmp_path / name).write_bytes(b"")
    jobs = make_jobs([str(tmp_path / "*.mp4")], tmp_path / "out", "jsonl")
    assert [job.output.name for job in jobs] == ["a.jsonl", "b.jsonl"]
    with pytest.raises(ConfigError, match="nothing matches"):
        make_jobs([str(tmp_path / "*.mkv")], tmp_path / "out", "npz")
