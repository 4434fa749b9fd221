"""USD, read and skinned by Pixar's own library."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from tests.exporting.takes import RATE, builtin, clip, facing_vertices, record
from tests.toy_model import toy_model
from tracker.exporting import read_performance
from tracker.exporting.usd import write_usd

pxr = pytest.importorskip("pxr", reason="usd-core comes with the extra 'usd'")
from pxr import Gf, Usd, UsdGeom, UsdSkel, UsdValidation  # noqa: E402


@pytest.mark.parametrize("suffix", [".usda", ".usdc", ".usd"])
@pytest.mark.parametrize("kind", ["toy", "correctives", "builtin"])
def test_baked_skinning_gives_the_trackers_own_mesh(tmp_path: Path, kind: str, suffix: str) -> None:
    model = builtin() if kind == "builtin" else toy_model(correctives=kind == "correctives")
    frames = clip(model, 4, people=2)
    take = record(tmp_path / "take.npz", model, frames)
    path = tmp_path / f"out{suffix}"
    write_usd(read_performance(take), model, path)
    stage = Usd.Stage.Open(str(path))
    assert UsdSkel.BakeSkinning(stage.Traverse())
    for key in (0, 3):
        for face, name in zip(frames[key].faces, ("face_1", "face_2"), strict=True):
            mesh = UsdGeom.Mesh(stage.GetPrimAtPath(f"/take/{name}/mesh"))
            points = np.array(mesh.GetPointsAttr().Get(key), float)
            world = np.array(mesh.ComputeLocalToWorldTransform(key))
            found = (points @ world[:3, :3] + world[3, :3])[: model.vertex_count]
            np.testing.assert_allclose(found, facing_vertices(model, face), atol=3e-6)


def test_units_axes_rate_and_numbers(tmp_path: Path) -> None:
    model = toy_model()
    take = record(tmp_path / "take.npz", model, clip(model, 31))
    write_usd(read_performance(take), model, tmp_path / "out.usda")
    stage = Usd.Stage.Open(str(tmp_path / "out.usda"))
    assert UsdGeom.GetStageMetersPerUnit(stage) == 1.0 and UsdGeom.GetStageUpAxis(stage) == UsdGeom.Tokens.y
    assert stage.GetTimeCodesPerSecond() == stage.GetFramesPerSecond() == float(RATE)
    assert (stage.GetStartTimeCode(), stage.GetEndTimeCode()) == (0.0, 30.0)
    assert stage.GetDefaultPrim().GetPath() == "/take"
    facts = json.loads(stage.GetRootLayer().customLayerData["faceTake"])
    assert Fraction(*facts["rate"]) == RATE and facts["faces"] == [{"name": "face_1", "ids": [1]}]
    animation = UsdSkel.Animation(stage.GetPrimAtPath("/take/face_1/skeleton/animation"))
    assert tuple(animation.GetBlendShapesAttr().Get()) == model.published_names
    for row in range(31):
        np.testing.assert_array_equal(np.array(animation.GetBlendShapeWeightsAttr().Get(row)), take["expr"][row])
    root = UsdGeom.Xformable(stage.GetPrimAtPath("/take/face_1"))
    matrix = root.GetLocalTransformation(7)
    np.testing.assert_allclose(matrix.ExtractTranslation(), take["position"][7] * (1, -1, -1), atol=1e-7)
    camera = UsdGeom.Camera(stage.GetPrimAtPath("/take/camera")).GetCamera(0)
    assert camera.GetFieldOfView(Gf.Camera.FOVHorizontal) == pytest.approx(
        np.degrees(2 * np.arctan(320 / float(take["K"][0, 0, 0]))), abs=1e-3
    )


def test_a_face_that_is_away_is_invisible(tmp_path: Path) -> None:
    model = toy_model()
    take = record(tmp_path / "take.npz", model, clip(model, 8, away=range(3, 6)))
    write_usd(read_performance(take), model, tmp_path / "out.usda")
    stage = Usd.Stage.Open(str(tmp_path / "out.usda"))
    shown = UsdGeom.Imageable(stage.GetPrimAtPath("/take/face_1"))
    invisible = [shown.ComputeVisibility(key) == UsdGeom.Tokens.invisible for key in range(8)]
    assert invisible == [False] * 3 + [True] * 3 + [False] * 2


def test_every_validator_of_usd_is_content(tmp_path: Path) -> None:
    validators = UsdValidation.ValidationRegistry().GetOrLoadAllValidators()
    assert len(validators) > 10
    for model in (toy_model(), builtin()):
        take = record(tmp_path / "take.npz", model, clip(model, 3, people=2))
        write_usd(read_performance(take), model, tmp_path / f"{model.name}.usda")
        stage = Usd.Stage.Open(str(tmp_path / f"{model.name}.usda"))
        errors = UsdValidation.ValidationContext(validators).Validate(stage)
        assert [error.GetErrorAsString() for error in errors] == []
