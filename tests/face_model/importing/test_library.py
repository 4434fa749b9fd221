"""The user's library, and `tracker models import|list|info|remove` on it."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest

from tests.toy_model import toy_model
from tools.structured_models.gnm import write_gnm
from tools.structured_models.python2_pickle import write_python2_pickle
from tracker import cli
from tracker.errors import FaceModelError
from tracker.face_model import load_face_model, load_named_model
from tracker.face_model.importing import convert
from tracker.face_model.importing.convert import chosen_name
from tracker.face_model.importing.flame import read_flame
from tracker.face_model.importing.library import find_face_model, imported_names, library_path
from tracker.face_model.mapped_npz import read_arrays, write_arrays
from tracker.face_model.writing import write_face_model
from tracker.networks import ASSETS


def put(name: str) -> Path:
    write_face_model(library_path(name), toy_model())
    return library_path(name)


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = cli.main(["models", *arguments])
    out, err = capsys.readouterr()
    return code, out, err


def test_models_are_found_by_name(library: Path) -> None:
    assert imported_names() == []
    path = put("toy")
    assert path == library / "toy.npz" and imported_names() == ["toy"]
    assert load_face_model("toy").vertex_count == 90
    assert load_face_model(str(path)).sha256 == load_face_model("toy").sha256


def test_an_unknown_name_says_what_there_is(library: Path) -> None:
    put("toy")
    with pytest.raises(FaceModelError) as caught:
        load_face_model("flame")
    assert str(caught.value) == (
        "unknown face model 'flame': there are builtin, toy; bring others with: tracker models import PATH"
    )


def test_the_model_that_a_take_names(library: Path) -> None:
    put("toy")
    toy = load_face_model("toy")
    assert load_named_model("renamed since", toy.sha256).sha256 == toy.sha256
    assert load_named_model("toy", "of another version").sha256 == toy.sha256
    builtin = load_face_model()
    assert load_named_model(builtin.name, builtin.sha256) is builtin
    with pytest.raises(FaceModelError, match=r"'flame' .* is not here: there are builtin, toy; import it"):
        load_named_model("flame", "00")


def test_a_foreign_file_has_to_be_imported(library: Path, tmp_path: Path) -> None:
    foreign = tmp_path / "generic_model.pkl"
    foreign.write_bytes(b"x")
    for path in (foreign, tmp_path):
        with pytest.raises(FaceModelError, match=r"has to be imported first: tracker models import "):
            load_face_model(str(path))
    with pytest.raises(FaceModelError, match="no such file or folder"):
        find_face_model(str(tmp_path / "missing.pkl"))
    with pytest.raises(FaceModelError, match="cannot read face model"):
        load_face_model(str(tmp_path / "missing.npz"))


@pytest.mark.parametrize(
    "name", ["", "..", "../x", "a/b", "a\\b", "A", "flame 1", ".x", "x" * 65, "é", "x.", "a.npz", "-x", "x\n"]
)
def test_names_that_cannot_be_used(name: str, library: Path) -> None:
    with pytest.raises(FaceModelError, match="cannot be a model's name"):
        library_path(name)


@pytest.mark.parametrize("name", ["builtin", "con", "nul", "com1", "aux.2"])
def test_names_that_are_reserved(name: str, library: Path) -> None:
    with pytest.raises(FaceModelError, match="is reserved; give another name with --name"):
        library_path(name)


def test_a_taken_name_needs_force(library: Path, flame_pkl: Path) -> None:
    source = read_flame(flame_pkl)
    assert chosen_name(source, None) == "flame2020"
    put("flame2020")
    with pytest.raises(FaceModelError, match="there is a face model 'flame2020' already"):
        chosen_name(source, None)
    assert chosen_name(source, None, force=True) == "flame2020" and chosen_name(source, "other") == "other"


def test_list_shows_both_sections(library: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put("toy")
    (library / "broken.npz").write_bytes(b"PK half")
    code, out, _ = told(capsys, "list")
    assert code == 0
    networks, models = out.split("face model ")
    assert "face_landmarks_detector.tflite" in networks
    rows = {line.split()[0]: line for line in models.splitlines()[1:] if line.strip()}
    assert "ready" in rows["builtin"] and "CC0-1.0" in rows["builtin"]
    assert "ready" in rows["toy"] and "damaged" in rows["broken"]


def test_info(library: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = put("toy")
    code, out, _ = told(capsys, "info", "toy")
    assert code == 0
    facts = dict(line.split(None, 1) for line in out.splitlines() if line[0] != " ")
    assert facts["file"] == str(path) and facts["components"] == "6 identity, 7 expression"
    assert facts["cannot"].startswith("track: it has no embedding of MediaPipe's landmarks")
    code, out, _ = told(capsys, "info", "builtin")
    assert code == 0 and "mediapipe478 (478)" in out
    arrays, _ = read_arrays(path)
    write_arrays(path, {**arrays, "template": arrays["template"] + np.float32(0.001)})
    code, _, err = told(capsys, "info", "toy")
    assert code == 1 and "damaged" in err and err.count("\n") == 1


def test_remove_asks(library: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    path = put("toy")

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    code, _, err = told(capsys, "remove", "toy")
    assert code == 2 and "confirm with --yes" in err and path.exists()
    monkeypatch.setattr("sys.stdin", Terminal("n\n"))
    code, _, err = told(capsys, "remove", "toy")
    assert code == 1 and "was kept" in err and path.exists()
    monkeypatch.setattr("sys.stdin", Terminal("y\n"))
    code, out, _ = told(capsys, "remove", "toy")
    assert code == 0 and "removed 'toy'" in out and not path.exists()
    code, _, err = told(capsys, "remove", "toy", "--yes")
    assert code == 1 and "no imported face model 'toy' (there are: none)" in err
    code, _, err = told(capsys, "remove", "builtin", "--yes")
    assert code == 1 and "cannot be removed" in err


def test_what_cannot_be_imported(library: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "none.pkl").write_bytes(b"")
    (tmp_path / "text.txt").write_text("hello")
    (tmp_path / "half.npz").write_bytes(b"PK\x03\x04half")
    write_python2_pickle(tmp_path / "other.pkl", {"weights": np.zeros(3)})
    np.savez(tmp_path / "objects.npz", v_template=np.array([{"x": 1}], dtype=object))
    np.savez(tmp_path / "other.npz", stuff=np.zeros(3))
    write_face_model(tmp_path / "ours.npz", toy_model())
    cases = [
        ("missing", "no such file or folder"),
        ("empty", "holds no face model; supported: FLAME"),
        ("none.pkl", "a damaged one or none|is empty"),
        ("text.txt", "is no face model that can be imported; supported: FLAME"),
        ("half.npz", "expected an .npz of arrays"),
        ("other.pkl", "is a pickle but not FLAME's: found weights"),
        ("objects.npz", "'v_template' holds Python objects, not numbers, and is refused"),
        ("other.npz", "found stuff"),
        ("ours.npz", "is in our own format already"),
    ]
    for name, message in cases:
        code, _, err = told(capsys, "import", str(tmp_path / name))
        assert code == 1 and err.count("\n") == 1, (name, err)
        assert any(part in err for part in message.split("|")), (name, err)
    code, _, err = told(capsys, "import", str(tmp_path / "text.txt"), "--name", "../x")
    assert code == 1 and "cannot be a model's name" in err
    assert imported_names() == []


def test_expressions_are_only_for_basel(library: Path, flame_pkl: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = told(capsys, "import", str(flame_pkl), "--expressions", str(flame_pkl))
    assert code == 1 and "goes with the Basel Face Model 2009" in err
    code, _, err = told(capsys, "import", str(flame_pkl), "--expressions", "nowhere.mat")
    assert code == 1 and "--expressions nowhere.mat: no such file" in err


def test_ctrl_c_and_failures_leave_nothing(
    library: Path, flame_pkl: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for trouble, code in ((KeyboardInterrupt(), 130), (FaceModelError("no face is seen"), 1)):

        def stopped(*_: object, trouble: BaseException = trouble, **__: object) -> None:
            raise trouble

        monkeypatch.setattr(convert, "complete", stopped)
        found, out, err = told(capsys, "import", str(flame_pkl))
        assert found == code and "5023 vertices" in out and "Traceback" not in err
        assert imported_names() == [] and (not library.is_dir() or list(library.iterdir()) == [])


def test_a_hostile_file_is_refused_by_name(library: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "generic_model.pkl").write_bytes(b"cposix\nsystem\n(S'touch OWNED'\ntR.")
    code, _, err = told(capsys, "import", str(tmp_path / "generic_model.pkl"))
    assert code == 1 and "is refused: it wants 'posix.system'" in err and err.count("\n") == 1


@pytest.mark.slow
def test_flame_is_imported_and_used_by_name(
    library: Path, flame_pkl: Path, networks: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("scipy", reason="registration needs scipy")
    code, out, err = told(capsys, "import", str(flame_pkl), "--name", "mine")
    assert code == 0, err
    for part in ("FLAME 2020", "5023 vertices", "300 identity, 100 expression", "non-commercial", "imported as 'mine'"):
        assert part in out
    assert sorted(path.name for path in library.iterdir()) == ["mine.npz", "mine.png"]
    model = load_face_model("mine")
    assert model.name == "mine" and model.meta["family"] == "flame" and len(model.meta["source_sha256"]) == 64
    source = read_flame(flame_pkl)
    assert np.array_equal(model.identity_basis, source.identity_basis)
    assert np.allclose(model.template - model.source_origin, source.template, atol=1e-7)
    head = load_face_model()
    ours = model.landmarks(model.template, "mediapipe478")
    apart = np.linalg.norm(ours - head.landmarks(head.template, "mediapipe478"), axis=1)
    assert np.median(apart) < 0.001


def test_a_library_that_cannot_be_written_is_told_before_the_long_work(
    library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("registered in spite of it")

    monkeypatch.setattr(convert, "import_face_model", never)
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("TRACKER_DATA", str(tmp_path / "file"))
    code, _, err = told(capsys, "import", str(write_gnm(tmp_path)))
    assert code == 1 and err.startswith("tracker: cannot write ") and "TRACKER_DATA moves" in err
    assert err.count("\n") == 1


def test_networks_are_listed_by_their_whole_names(library: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = told(capsys, "list")
    assert code == 0
    assert all(asset.file in out for asset in ASSETS)
