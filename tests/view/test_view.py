"""The view: what is logged can be read back, the command line's refusals, and a feed that holds nothing up."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest

from tests.recording.factory import make_face, make_frame
from tools.structured_models.flame_model import flame_face_model
from tracker.arkit import ARKIT_NAMES
from tracker.cli import main
from tracker.config import TrackerConfig
from tracker.face_model import load_face_model
from tracker.face_model.importing.library import library_path
from tracker.face_model.writing import write_face_model
from tracker.recording import open_writer, read_take
from tracker.sources.open import open_source
from tracker.tracking import FrameTracker
from tracker.view.layout import MAIN_EXPRESSIONS, Contents, groups
from tracker.view.picture import MAX_WIDTH, compress, light_ball

FRAMES = 12


def one_line(capsys) -> str:
    err = capsys.readouterr().err.strip()
    assert len(err.splitlines()) == 1, err
    assert "Traceback" not in err and "defect" not in err
    return err


@pytest.fixture(scope="module")
def rerun():
    return pytest.importorskip("rerun", reason="the extra `view` (rerun-sdk) is not installed")


@pytest.fixture(scope="module")
def take(networks, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("view") / "take.npz"
    assert main(["process", f"test:{FRAMES}", "-o", str(path), "--quiet"]) == 0
    return path


def chunks(rerun, path: Path) -> dict[str, list]:
    """Entity path -> its chunks, by Rerun's own reader."""
    from rerun.chunk import RrdReader

    found: dict[str, list] = {}
    for chunk in RrdReader(path).stream():
        found.setdefault(chunk.entity_path.strip("/"), []).append(chunk)
    return found


def column(chunks: list, ending: str) -> list:
    """The values of a component over time, in order."""
    rows = []
    for chunk in chunks:
        batch = chunk.to_record_batch()
        if chunk.is_static or not any(name.endswith(ending) for name in batch.schema.names):
            continue
        values = next(batch.column(name) for name in batch.schema.names if name.endswith(ending))
        rows += list(zip(batch.column("frame").to_pylist(), values.to_pylist(), strict=True))
    return [value for _, value in sorted(rows, key=lambda row: row[0])]


def test_every_expression_is_in_exactly_one_tab() -> None:
    names = [name for members in groups().values() for name in members]
    assert sorted(names) == sorted(ARKIT_NAMES)
    assert set(MAIN_EXPRESSIONS) <= set(names) and len(set(MAIN_EXPRESSIONS)) == 12


def test_pictures_become_small(samples) -> None:
    wide = np.zeros((1080, 1920, 3), np.uint8)
    picture = compress(wide)
    assert (picture.width, picture.height) == (MAX_WIDTH, 360)
    assert picture.jpeg.startswith(b"\xff\xd8")


def test_the_ball_is_bright_where_the_light_comes_from() -> None:
    sh = np.zeros((9, 3), np.float32)
    sh[0], sh[3] = 1.0, 0.5  # from the right of the picture
    ball = light_ball(sh).astype(int)
    assert ball[32, 56].sum() > ball[32, 8].sum() + 60


def test_a_take_is_read_back_from_the_file_as_it_was(rerun, take, tmp_path) -> None:
    kept = tmp_path / "view.rrd"
    assert main(["view", str(take), "--video", f"test:{FRAMES}", "--save", str(kept), "--quiet"]) == 0
    entities = chunks(rerun, kept)
    recorded = read_take(take)
    for name in ("jawOpen", "eyeBlinkLeft"):
        weights = [row[0] for row in column(entities[f"expression/{name}"], "Scalars:scalars")]
        np.testing.assert_allclose(weights, recorded["arkit"][:, ARKIT_NAMES.index(name)], atol=1e-6)
    model = load_face_model("builtin")
    meshes = column(entities["camera/faces/1/head/mesh"], "Mesh3D:vertex_positions")
    assert len(meshes) == FRAMES
    face = recorded.frame(FRAMES - 1).faces[0]
    np.testing.assert_allclose(meshes[-1], model.vertices_head(face.identity, face.params), atol=1e-6)
    places = column(entities["camera/faces/1"], "Transform3D:translation")
    np.testing.assert_allclose(places[-1][0], face.params.translation, atol=1e-6)
    assert len(column(entities["camera/image"], "EncodedImage:blob")) == FRAMES
    assert all(f"expression/{name}" in entities for name in ARKIT_NAMES)


def test_a_take_of_another_face_model_is_shown_with_that_one(rerun, tmp_path, monkeypatch, capsys) -> None:
    """The take names its model, as for `tracker render` and `convert`; the built-in head would not fit its parameters."""
    monkeypatch.setenv("TRACKER_DATA", str(tmp_path / "data"))
    model = flame_face_model()
    take, kept = tmp_path / "take.npz", tmp_path / "view.rrd"
    face = make_face(np.random.default_rng(0))
    face = dataclasses.replace(
        face,
        identity=np.zeros(model.identity_count, np.float32),
        identity_state=None,
        params=dataclasses.replace(face.params, expression=np.zeros(len(model.published_names), np.float32)),
    )
    with open_writer(take, model=model, raw=False) as writer:
        writer.write(make_frame(0, (face,)))
    assert main(["view", str(take), "--save", str(kept), "--quiet"]) == 1
    assert "tracker models import" in one_line(capsys)
    write_face_model(library_path("mine"), model)
    assert main(["view", str(take), "--save", str(kept), "--face-model", "builtin", "--quiet"]) == 1
    assert "--face-model" in one_line(capsys)
    assert main(["view", str(take), "--save", str(kept), "--quiet"]) == 0
    (mesh,) = column(chunks(rerun, kept)["camera/faces/1/head/mesh"], "Mesh3D:vertex_positions")
    np.testing.assert_allclose(mesh, model.vertices_head(face.identity, face.params), atol=1e-6)


def test_a_take_without_its_video_has_no_picture(rerun, take, tmp_path) -> None:
    kept = tmp_path / "view.rrd"
    assert main(["view", str(take), "--save", str(kept), "--quiet"]) == 0
    entities = chunks(rerun, kept)
    assert column(entities["camera/image"], "EncodedImage:blob") == []
    assert len(column(entities["pose/yaw"], "Scalars:scalars")) == FRAMES


def test_tracking_on_the_spot_shows_timings_light_and_the_video(rerun, networks, tmp_path) -> None:
    kept = tmp_path / "view.rrd"
    source = ["--source", "test:40", "--appearance", "on", "--quiet"]
    assert main(["view", *source, "--save", str(kept)]) == 0
    entities = chunks(rerun, kept)
    assert {"latency/total", "latency/fit", "state", "events", "light/ball", "appearance/occlusion"} <= set(entities)
    shown = column(entities["expression/jawOpen"], "Scalars:scalars")
    assert 0 < len(shown) <= 40
    assert len(column(entities["camera/image"], "EncodedImage:blob")) == len(shown)


def test_landmarks_out_of_sight_are_red(rerun, networks, tmp_path) -> None:
    take, kept = tmp_path / "take.npz", tmp_path / "view.rrd"
    assert main(["process", "test:3", "-o", str(take), "--with-landmarks", "--quiet"]) == 0
    assert main(["view", str(take), "--save", str(kept), "--quiet"]) == 0
    entity = chunks(rerun, kept)["camera/image/landmarks/1"]
    points, colours = column(entity, "Points2D:positions"), column(entity, "Points2D:colors")
    recorded = read_take(take)
    np.testing.assert_allclose(points[-1], recorded["landmarks"][-1, :, :2], atol=1e-3)
    codes = np.array(colours[-1])
    assert (codes & 255 == 255).all()
    np.testing.assert_array_equal(codes >> 8 & 0xFF < 128, recorded["visibility"][-1] < 127.5)


def test_run_shows_while_it_publishes(rerun, networks, tmp_path) -> None:
    kept = tmp_path / "view.rrd"
    quiet = ["--bind", "0", "--bind-latest", "none", "--bind-control", "none", "--quiet"]
    assert main(["run", "--source", "test:20", *quiet, "--view", str(kept)]) == 0
    assert "expression/jawOpen" in chunks(rerun, kept)


def test_a_stream_alone_is_enough(rerun, networks, take, tmp_path) -> None:
    kept, endpoint = tmp_path / "view.rrd", f"ipc://{tmp_path}/frames"
    replay = subprocess.Popen(
        [sys.executable, "-m", "tracker", "replay", str(take), "--loop", "--bind", endpoint, "--quiet"],
        stderr=subprocess.PIPE,
    )
    try:
        assert main(["view", "--connect", endpoint, "--frames", "10", "--save", str(kept), "--quiet"]) == 0
    finally:
        replay.kill()
        replay.communicate()
    entities = chunks(rerun, kept)
    assert len(column(entities["expression/jawOpen"], "Scalars:scalars")) == 10
    assert column(entities["camera/image"], "EncodedImage:blob") == []


class TestFaces:
    """Several faces, faces that go, faces that are only held."""

    @pytest.fixture
    def logged(self, rerun, networks, tmp_path):
        from tracker.view.display import Display, ViewOptions

        tracker = FrameTracker(TrackerConfig())
        with open_source("test:4") as source:
            results = [tracker.process(frame) for frame in source]
        path = tmp_path / "faces.rrd"

        def log(change) -> dict[str, list]:
            with Display(ViewOptions(None, path), tracker.model, Contents(False, False, False, False)) as display:
                for result in change(results):
                    display.log.frame(result)
            return chunks(rerun, path)

        return log

    def test_a_face_that_goes_is_taken_away_and_its_place_is_used_again(self, logged) -> None:
        from dataclasses import replace

        def change(results):
            face = results[0].faces[0]
            return [
                replace(results[0], faces=(face, replace(face, id=7, box=face.box / 2))),
                replace(results[1], faces=(replace(face, id=7),)),
                replace(results[2], faces=(replace(face, id=7), replace(face, id=9))),
            ]

        entities = logged(change)
        assert len(column(entities["camera/faces/1"], "Clear:is_recursive")) == 1
        assert len(column(entities["camera/faces/2"], "Transform3D:translation")) == 3
        texts = [row[0] for row in column(entities["events"], "TextLog:text")]
        assert texts == [
            "tracked  face 0 from frame 0",
            "tracked  face 7 from frame 0",
            "lost  face 0 at frame 1",
            "tracked  face 9 from frame 2",
        ]

    def test_nobody_there_is_no_failure(self, logged) -> None:
        from dataclasses import replace

        entities = logged(lambda results: [replace(result, faces=()) for result in results])
        assert "camera/faces/1" not in entities


def test_the_feed_never_waits_for_the_view(rerun, networks, tmp_path, monkeypatch) -> None:
    from tracker.view.display import ViewOptions
    from tracker.view.feed import ViewFeed

    tracker = FrameTracker(TrackerConfig())
    with open_source("test:3") as source:
        frames = list(source)
    results = [tracker.process(frame) for frame in frames]
    taken_s = []
    with ViewFeed(ViewOptions(None, tmp_path / "v.rrd"), "builtin", Contents(True, True, False, True)) as feed:
        feed.open()
        for _ in range(300):
            started_s = time.perf_counter()
            feed.remember(frames[-1])
            feed(results[-1])
            taken_s.append(time.perf_counter() - started_s)
    assert feed.shown < 300
    assert float(np.median(taken_s)) < 0.001


def test_the_page_stays_on_this_machine(rerun, take, tmp_path) -> None:
    """Statistics off, loopback only, and a policy under which the browser refuses other hosts."""
    from tracker.view.viewer import open_viewer, private_environment, require_viewer

    setting = json.loads(
        subprocess.run(
            [str(require_viewer()), "analytics", "config"], env=private_environment(), capture_output=True
        ).stdout
    )
    assert setting["analytics_enabled"] is False
    with open_viewer("page", port=None) as viewer:
        assert viewer.address is not None and viewer.address.startswith("http://127.0.0.1:")
        with urllib.request.urlopen(viewer.address) as answer:
            page, policy = answer.read(), answer.headers["Content-Security-Policy"]
        assert b"re_viewer" in page
        allowed = {word for word in policy.replace(";", " ").split() if "://" in word}
        assert allowed == {"http://" + viewer.data_url.split("//")[1].split("/")[0]}
        stranger = urllib.request.Request(viewer.address, headers={"Host": "evil.example:80"})
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(stranger)
        listening = _listening(viewer.process.pid)
        assert listening and set(listening) == {"127.0.0.1"}
    assert not viewer.alive


def _listening(pid: int) -> list[str]:
    """Addresses on which a process listens."""
    if not Path(f"/proc/{pid}/net/tcp").exists():
        pytest.skip("needs /proc")
    inodes = {link.readlink().name for link in Path(f"/proc/{pid}/fd").iterdir() if "socket:" in str(link.readlink())}
    found = []
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            words = line.split()
            if words[3] == "0A" and f"socket:[{words[9]}]" in inodes:
                address = words[1].split(":")[0]
                found.append(
                    ".".join(str(int(address[i : i + 2], 16)) for i in (6, 4, 2, 0)) if len(address) == 8 else address
                )
    return found


def test_statistics_that_cannot_be_switched_off_keep_the_viewer_shut(rerun, tmp_path, monkeypatch) -> None:
    from tracker.view import viewer

    stubborn = tmp_path / "rerun"
    stubborn.write_text("#!/bin/sh\necho '{\"analytics_enabled\": true}'\n")
    stubborn.chmod(0o755)
    monkeypatch.setattr(viewer, "require_viewer", lambda: stubborn)
    with pytest.raises(viewer.ViewError, match="usage statistics are on"):
        viewer.open_viewer("page")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["nowhere.npz", "--save", "v.rrd"], "nowhere.npz"),
        (["TAKE", "--save", "v.txt"], "ending in .rrd"),
        (["TAKE", "--save", "missing/v.rrd"], "there is no folder"),
        (["TAKE", "--source", "test"], "leave out the others"),
        (["--video", "test:3"], "goes with a take"),
        (["TAKE", "--video", "test:3", "--save", "v.rrd"], "has 12 frames and test:3 has 3"),
        (["TAKE", "--video", "SMALL", "--save", "v.rrd"], "has 12 frames and"),
        (["TAKE", "--web", "--window"], "leave out one"),
        (["--source", "test:3", "--frames", "0", "--save", "v.rrd"], "at least 1"),
        (["nowhere.rrd", "--web"], "no file nowhere.rrd"),
    ],
)
def test_mistakes_are_one_line(rerun, take, tmp_path, monkeypatch, capsys, arguments, expected, samples) -> None:
    monkeypatch.chdir(tmp_path)
    replaced = {"TAKE": str(take), "SMALL": str(samples("single_face.mp4"))}
    assert main(["view", *(replaced.get(word, word) for word in arguments)]) in (1, 2)
    assert expected in one_line(capsys)


def test_a_file_is_not_overwritten_unasked(rerun, take, tmp_path, capsys) -> None:
    kept = tmp_path / "v.rrd"
    kept.write_bytes(b"mine")
    assert main(["view", str(take), "--save", str(kept)]) == 2
    assert "--force" in one_line(capsys)
    assert kept.read_bytes() == b"mine"


def test_without_a_display_there_are_other_ways(rerun, take, monkeypatch, capsys) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    if sys.platform != "linux":
        pytest.skip("only Linux can tell beforehand")
    assert main(["view", str(take)]) == 1
    assert "--web" in one_line(capsys)


def test_without_the_extra_one_line_names_it(take, monkeypatch, capsys) -> None:
    import importlib.util

    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "rerun" else real(name, *rest))
    assert main(["view", str(take), "--save", "v.rrd"]) == 1
    assert "facestream-tracker[view]" in one_line(capsys)


def test_interrupted_in_mid_stream_the_file_is_complete(rerun, networks, tmp_path) -> None:
    import signal

    kept = tmp_path / "v.rrd"
    process = subprocess.Popen(
        [sys.executable, "-m", "tracker", "view", "--source", "test", "--save", str(kept)],
        stderr=subprocess.PIPE,
        text=True,
    )
    killer = threading.Timer(60, process.kill)
    killer.start()
    while "tracking" not in process.stderr.readline():
        assert process.poll() is None
    while not kept.exists() or kept.stat().st_size < 500_000:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate()
    killer.cancel()
    assert process.returncode == 130, err
    assert column(chunks(rerun, kept)["expression/jawOpen"], "Scalars:scalars")
