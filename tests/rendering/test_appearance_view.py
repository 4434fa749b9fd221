"""Skin, light and occlusion drawn: each kind shows what it should, and another light is what it would have been."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.appearance.faces import CAMERA, SKIN, face_of, lit_picture, params_at
from tests.rendering.conftest import FRAMES, SIZE, Scene
from tests.rendering.test_render_verb import fails, frames_of
from tracker.appearance import AppearanceStage
from tracker.appearance.lamps import PRESETS, as_bright_as, lamp, relighting
from tracker.appearance.light import exposure_of, shade, white_balance_of
from tracker.cli import main
from tracker.face_model import FaceModel
from tracker.recording import open_writer, read_take
from tracker.recording.replay import skin_uv
from tracker.rendering.appearance import AppearanceView
from tracker.rendering.lightprobe import ball, environment
from tracker.srgb import LINEAR
from tracker.types import Albedo, Face, Illumination, Occlusion

LEFT = lamp((0.8, -0.2, -0.6), np.array([0.9, 0.9, 0.9]), fill=0.4)
RIGHT = lamp((-0.8, -0.2, -0.6), np.array([0.9, 0.8, 0.6]), fill=0.4)


@pytest.fixture(scope="module")
def stage(head: FaceModel) -> AppearanceStage:
    return AppearanceStage(head)


@pytest.fixture(scope="module")
def view(head: FaceModel, stage: AppearanceStage) -> AppearanceView:
    return AppearanceView(head, stage.points)


def known_face(stage: AppearanceStage, light: np.ndarray, covered: np.ndarray | None = None) -> Face:
    count = stage.points.count
    hidden = np.zeros(count, np.float32) if covered is None else covered.astype(np.float32)
    regions = np.zeros(len(stage.points.regions[0]), np.float32)
    return replace(
        face_of(),
        light=Illumination(light, exposure_of(light), white_balance_of(light)),
        albedo=Albedo(np.tile(SKIN, (count, 1)), np.ones(count, np.float32), 1.0, 1),
        occlusion=Occlusion(float(hidden.mean()), regions, hidden, np.ones(count, np.bool_)),
    )


def on_face(image: np.ndarray, side: int = 0) -> np.ndarray:
    """Pixels of a cheek of the relaxed face: -1 the picture's left one, 1 the right one, 0 both and between."""
    low, high = {-1: (-0.045, -0.02), 0: (-0.045, 0.045), 1: (0.02, 0.045)}[side]
    points = np.array(
        [[x, y, 0.34] for x in np.linspace(low, high, 9) for y in np.linspace(0.015, 0.035, 5)], np.float32
    )
    column, row = CAMERA.project(points).astype(int).T
    picked: np.ndarray = image[row, column]
    return picked


def test_relighting_gives_what_the_other_light_would_have_given(view: AppearanceView, stage: AppearanceStage) -> None:
    relit = view.relit(lit_picture(LEFT), CAMERA, [known_face(stage, LEFT)], lambda present, time_s: RIGHT, 0.0)
    truth, before = LINEAR[on_face(lit_picture(RIGHT))], LINEAR[on_face(lit_picture(LEFT))]
    error = np.abs(np.log(LINEAR[on_face(relit)] / truth))
    assert np.median(error) < 0.04
    assert np.median(error) < 0.15 * np.median(np.abs(np.log(before / truth)))
    np.testing.assert_array_equal(relit[:20], lit_picture(LEFT)[:20])


def test_what_covers_the_face_keeps_its_light(view: AppearanceView, stage: AppearanceStage) -> None:
    picture = lit_picture(LEFT)
    covered = known_face(stage, LEFT, np.ones(stage.points.count))
    relit = view.relit(picture, CAMERA, [covered], lambda present, time_s: RIGHT, 0.0)
    assert np.abs(on_face(relit).astype(int) - on_face(picture)).max() <= 2


def test_albedo_and_shading_are_what_was_put_in(view: AppearanceView, stage: AppearanceStage) -> None:
    face = known_face(stage, LEFT)
    albedo = view.draw("albedo", lit_picture(LEFT), CAMERA, [face])
    np.testing.assert_allclose(np.median(LINEAR[on_face(albedo)], axis=0), SKIN, atol=0.02)
    shading = view.draw("shading", lit_picture(LEFT), CAMERA, [face])
    lit = LINEAR[on_face(lit_picture(LEFT))] / SKIN
    ratio = LINEAR[on_face(shading)] / lit
    assert np.median(np.abs(np.log(ratio / np.median(ratio)))) < 0.05


def test_occlusion_glows_where_points_are_covered(view: AppearanceView, stage: AppearanceStage) -> None:
    # The subject's left is the picture's right.
    covered = stage.points.template[:, 0] > 0.0
    drawn = view.draw("occlusion", lit_picture(LEFT), CAMERA, [known_face(stage, LEFT, covered)]).astype(int)
    hot, cold = on_face(drawn, 1).mean(axis=0), on_face(drawn, -1).mean(axis=0)
    assert hot[0] - hot[2] > cold[0] - cold[2] + 60


def test_faces_about_which_nothing_is_known_stay_as_they_are(view: AppearanceView, stage: AppearanceStage) -> None:
    picture, face = lit_picture(LEFT), face_of()
    for kind in ("albedo", "shading", "occlusion", "light"):
        assert view.draw(kind, picture, CAMERA, [face]).shape == picture.shape
    np.testing.assert_array_equal(view.relit(picture, CAMERA, [face], relighting("left"), 0.0), picture)
    behind = replace(known_face(stage, LEFT), params=replace(params_at(), translation=np.array([0, 0, -1], np.float32)))
    np.testing.assert_array_equal(view.relit(picture, CAMERA, [behind], relighting("left"), 0.0), picture)


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_as_bright_as_the_light_they_replace(name: str) -> None:
    present = Illumination(LEFT, exposure_of(LEFT), white_balance_of(LEFT))
    for time_s in (0.0, 1.3, 4.0):
        assert exposure_of(relighting(name)(present, time_s)) == pytest.approx(present.exposure, rel=1e-3)


def test_left_is_the_subjects() -> None:
    present = Illumination(LEFT, 1.0, np.ones(3, np.float32))
    sides = np.array([[1.0, 0.0, 0.0], [-1.0, 0.0, 0.0]], np.float32).T
    lit, unlit = shade(sides, relighting("left")(present, 0.0))[:, 1]
    assert lit > 3.0 * max(float(unlit), 0.0)
    start, later = (relighting("rotating")(present, time_s) for time_s in (0.0, 3.0))
    assert shade(sides, start)[0, 1] > shade(sides, start)[1, 1]
    assert shade(sides, later)[0, 1] < shade(sides, later)[1, 1]


def test_a_ball_and_its_surroundings_show_where_the_light_is() -> None:
    picture = np.zeros((64, 64, 3), np.uint8)
    ball(LEFT, picture)
    assert picture[0, 0].max() == 0 and picture[32, 55, 1] > picture[32, 8, 1] + 20
    unrolled = environment(LEFT, 80, 40).astype(int)
    assert unrolled[17, 55, 1] > unrolled[17, 25, 1] + 20


@pytest.fixture(scope="module")
def take_with_skin(
    scene: Scene, head: FaceModel, stage: AppearanceStage, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    path = tmp_path_factory.mktemp("skin") / "take.npz"
    stage.reset()
    with open_writer(path, model=head, appearance=True) as writer:
        for frame, result in zip(scene.frames, scene.results, strict=True):
            faces = stage.process(frame.image, result.faces, result.camera, result.t_capture_ns)
            writer.write(replace(result, faces=faces))
    return path


@pytest.mark.parametrize("recorded", [True, False])
def test_tiles_from_takes_with_and_without_appearance(
    clip: Path, take: Path, take_with_skin: Path, tmp_path: Path, recorded: bool
) -> None:
    out, picture = tmp_path / "tiles.mp4", tmp_path / "tiles.png"
    arguments = ["--what", "albedo, light,shading", "--relight", "left", "--picture", str(picture), "--quiet"]
    assert (
        main(["render", str(take_with_skin if recorded else take), "--video", str(clip), "-o", str(out), *arguments])
        == 0
    )
    _, images = frames_of(out)
    assert len(images) == FRAMES
    # Two by two, each twice as large as the video: 360 rows or more.
    assert images[0].shape == (SIZE[1] * 4, SIZE[0] * 4, 3)
    assert cv2.imread(str(picture)).shape[0] == 2 * 420


def test_the_light_of_a_take_is_drawn_as_recorded_and_can_be_used_elsewhere(
    clip: Path, take_with_skin: Path, take: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with np.load(take_with_skin) as archive:
        arrays = {name: archive[name] for name in archive.files}
    arrays["light_sh"][:, 1:] *= np.float32(0.05)
    red = tmp_path / "red.npz"
    np.savez(red, **arrays)
    pictures = []
    for take_path, arguments in (
        (take_with_skin, ["--what", "shading"]), (red, ["--what", "shading"]), (take_with_skin, ["--relight", str(red)]),
        (take_with_skin, ["--what", "video"]),
    ):  # fmt: skip
        out = tmp_path / f"{len(pictures)}.png"
        assert (
            main(["render", str(take_path), "--video", str(clip), "--picture", str(out), "--frame", "2", *arguments])
            == 0
        )
        column = cv2.imread(str(out))[..., ::-1][40:-10, (-400 if arguments[1] != "video" else 0) :].astype(float)
        middle = column[120:280, 120:280] if column.shape[1] >= 400 else column
        pictures.append(middle.reshape(-1, 3).mean(axis=0))
    own, recorded, relit, plain = ((rgb[0] - rgb[1]) / rgb.sum() for rgb in pictures)
    assert recorded > own + 0.1 and relit > plain + 0.05
    line = fails(capsys, 1, take, "--video", clip, "-o", tmp_path / "o.mp4", "--relight", take)
    assert "holds no light" in line and "--appearance on" in line


def test_wrong_kinds_and_lights(clip: Path, take: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = (take, "--video", clip, "-o", tmp_path / "o.mp4")
    assert "did you mean albedo?" in fails(capsys, 2, *base, "--what", "albdo")
    assert "1 to 9 kinds" in fails(capsys, 2, *base, "--what", ",")
    line = fails(capsys, 2, *base, "--relight", "lefft")
    assert "did you mean left?" in line and "rotating" in line
    assert "no light 'no_such_take.npz'" in fails(capsys, 2, *base, "--relight", "no_such_take.npz")
    assert "at most 9 tiles, got 10" in fails(
        capsys, 2, *base, "--what", "video,all,light", "--relight", ",".join(PRESETS)
    )
    assert not (tmp_path / "o.mp4").exists()


def test_skin_that_cannot_be_told_from_light(
    scene: Scene, take: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dark = tmp_path / "dark"
    dark.mkdir()
    for index in range(FRAMES):
        cv2.imwrite(str(dark / f"{index}.png"), np.zeros_like(scene.image(index)))
    line = fails(capsys, 1, take, "--video", dark, "-o", tmp_path / "o.mp4", "--what", "albedo", "--quiet")
    assert "bright enough" in line


def test_brightness_is_kept_by_any_light() -> None:
    present = Illumination(LEFT, 0.42, np.ones(3, np.float32))
    assert exposure_of(as_bright_as(RIGHT, present)) == pytest.approx(0.42, rel=1e-4)


def test_where_the_points_of_an_albedo_lie_follows_from_the_model(
    take: Path, take_with_skin: Path, stage: AppearanceStage
) -> None:
    with_skin = read_take(take_with_skin)
    uv = skin_uv(with_skin)
    assert uv is not None
    np.testing.assert_array_equal(uv, stage.points.uv)
    assert skin_uv(read_take(take)) is None
    for change in ({"model": {**with_skin.meta["model"], "sha256": "0" * 64}}, {"settings": {"face_model": "nobody"}}):
        assert skin_uv(replace(with_skin, meta={**with_skin.meta, **change})) is None


def test_a_take_keeps_what_revisiting_needs(take_with_skin: Path) -> None:
    read = read_take(take_with_skin)
    assert read.frame(0).faces[0].light is not None and read.frame(0).faces[0].albedo is not None
