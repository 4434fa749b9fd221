"""glTF, read with json and struct and evaluated by the specification."""

from __future__ import annotations

import base64
import dataclasses
import json
import math
import shutil
import struct
import subprocess
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.exporting.takes import RATE, builtin, clip, facing_vertices, record
from tests.toy_model import toy_model
from tracker.exporting import read_performance
from tracker.exporting.gltf import write_glb, write_gltf

TYPES = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}
DTYPES = {5126: "<f4", 5125: "<u4", 5121: "u1", 5123: "<u2"}


class Document:
    """A reader of glTF 2.0 that knows nothing of the writer."""

    def __init__(self, path: Path) -> None:
        blob = path.read_bytes()
        if path.suffix == ".gltf":
            self.json: dict[str, Any] = json.loads(blob)
            uri = self.json["buffers"][0]["uri"]
            self.data = base64.b64decode(uri.partition("base64,")[2])
        else:
            magic, version, total, size, kind = struct.unpack_from("<4sIII4s", blob)
            assert (magic, version, total, kind) == (b"glTF", 2, len(blob), b"JSON")
            self.json = json.loads(blob[20 : 20 + size])
            length, kind = struct.unpack_from("<I4s", blob, 20 + size)
            assert kind == b"BIN\0"
            self.data = blob[28 + size : 28 + size + length]
        assert self.json["buffers"][0]["byteLength"] == len(self.data)

    def array(self, index: int) -> np.ndarray:
        accessor = self.json["accessors"][index]
        view = self.json["bufferViews"][accessor["bufferView"]]
        width = TYPES[accessor["type"]]
        values = np.frombuffer(
            self.data, DTYPES[accessor["componentType"]], accessor["count"] * width, view["byteOffset"]
        ).reshape(accessor["count"], width)
        if "min" in accessor:
            np.testing.assert_array_equal(values.min(axis=0), np.array(accessor["min"], values.dtype))
            np.testing.assert_array_equal(values.max(axis=0), np.array(accessor["max"], values.dtype))
        return values

    def node(self, name: str) -> int:
        return next(i for i, node in enumerate(self.json["nodes"]) if node["name"] == name)

    def curve(self, node: int, path: str) -> tuple[np.ndarray, np.ndarray] | None:
        animation = self.json["animations"][0]
        for channel in animation["channels"]:
            if channel["target"] == {"node": node, "path": path}:
                sampler = animation["samplers"][channel["sampler"]]
                return self.array(sampler["input"])[:, 0], self.array(sampler["output"])
        return None

    def local(self, node: int, key: int) -> np.ndarray:
        """(4, 4) of a node at a key frame."""
        values = {}
        for path, rest in (("translation", (0.0, 0.0, 0.0)), ("rotation", (0.0, 0.0, 0.0, 1.0))):
            curve = self.curve(node, path)
            values[path] = self.json["nodes"][node].get(path, rest) if curve is None else curve[1][key]
        x, y, z, w = np.asarray(values["rotation"], float) / np.linalg.norm(values["rotation"])
        matrix = np.eye(4)
        matrix[:3, :3] = [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
        matrix[:3, 3] = values["translation"]
        return matrix

    def world(self, node: int, key: int) -> np.ndarray:
        for parent, entry in enumerate(self.json["nodes"]):
            if node in entry.get("children", ()):
                return self.world(parent, key) @ self.local(node, key)
        return self.local(node, key)

    def vertices(self, name: str, key: int) -> np.ndarray:
        """Section 3.7.3.3: morph, then skin; the mesh node's own transform does not count."""
        node = self.json["nodes"][self.node(f"{name}_mesh")]
        mesh, skin = self.json["meshes"][node["mesh"]], self.json["skins"][node["skin"]]
        primitive = mesh["primitives"][0]
        points = self.array(primitive["attributes"]["POSITION"]).astype(float)
        curve = self.curve(self.node(f"{name}_mesh"), "weights")
        assert curve is not None
        weights = curve[1].reshape(len(curve[0]), -1)[key]
        for weight, target in zip(weights, primitive["targets"], strict=True):
            points = points + float(weight) * self.array(target["POSITION"])
        binds = self.array(skin["inverseBindMatrices"]).reshape(-1, 4, 4).transpose(0, 2, 1)
        joints = [self.world(joint, key) @ bind for joint, bind in zip(skin["joints"], binds, strict=True)]
        indices = self.array(primitive["attributes"]["JOINTS_0"])
        shares = self.array(primitive["attributes"]["WEIGHTS_0"])
        blend = np.einsum("vk,vkij->vij", shares.astype(float), np.stack(joints)[indices])
        moved: np.ndarray = np.einsum("vij,vj->vi", blend, np.concatenate([points, np.ones((len(points), 1))], axis=1))
        return moved[:, :3]


@pytest.mark.parametrize("suffix", [".glb", ".gltf"])
@pytest.mark.parametrize("kind", ["toy", "correctives", "moving_joints", "builtin"])
def test_a_reader_of_the_specification_gets_the_trackers_own_mesh(tmp_path: Path, kind: str, suffix: str) -> None:
    model = builtin() if kind == "builtin" else toy_model(correctives=kind == "correctives")
    if kind == "moving_joints":  # as FLAME has them
        moves = np.random.default_rng(0).normal(0, 0.004, (5, 3, model.expression_count)).astype(np.float32)
        model = dataclasses.replace(model, joint_expression=moves)
    frames = clip(model, 5, people=2)
    take = record(tmp_path / "take.npz", model, frames)
    (write_glb if suffix == ".glb" else write_gltf)(read_performance(take), model, tmp_path / f"out{suffix}")
    document = Document(tmp_path / f"out{suffix}")
    for key in (0, 4):
        for face, name in zip(frames[key].faces, ("face_1", "face_2"), strict=True):
            found = document.vertices(name, key)[: model.vertex_count]
            # Float32 at arm's length: a tenth of a micrometre each, some dozens of them.
            np.testing.assert_allclose(found, facing_vertices(model, face), atol=3e-6)


def test_numbers_survive_to_float32(tmp_path: Path) -> None:
    model = toy_model()
    frames = clip(model, 40)
    take = record(tmp_path / "take.npz", model, frames)
    write_glb(read_performance(take), model, tmp_path / "out.glb")
    document = Document(tmp_path / "out.glb")
    times, weights = document.curve(document.node("face_1_mesh"), "weights") or (None, None)
    assert times is not None and weights is not None
    np.testing.assert_allclose(times, [float(i / RATE) for i in range(40)], atol=1e-7)
    np.testing.assert_array_equal(weights.reshape(40, -1), take["expr"])
    mesh = document.json["meshes"][0]
    assert mesh["extras"]["targetNames"] == list(model.published_names)
    moved = document.curve(document.node("face_1_head"), "translation")
    assert moved is not None
    np.testing.assert_array_equal(moved[1], take["position"] * np.float32([1, -1, -1]))
    extras = document.json["asset"]["extras"]
    assert Fraction(*extras["rate"]) == RATE and extras["faces"] == [{"name": "face_1", "ids": [1]}]
    camera = document.json["cameras"][0]["perspective"]
    assert camera["yfov"] == pytest.approx(2 * math.atan(180 / float(take["K"][0, 1, 1])))


def test_a_face_that_looks_into_the_camera_is_not_turned(tmp_path: Path) -> None:
    model = toy_model()
    frames = clip(model, 2)
    take = record(tmp_path / "take.npz", model, frames)
    take.arrays["quaternion"][:] = (1.0, 0.0, 0.0, 0.0)
    write_glb(read_performance(take), model, tmp_path / "out.glb")
    document = Document(tmp_path / "out.glb")
    turned = document.curve(document.node("face_1_head"), "rotation")
    assert turned is not None
    np.testing.assert_allclose(turned[1], [[0, 0, 0, 1]] * 2, atol=1e-7)


def test_seams_of_the_texture_double_vertices_and_close_the_surface(tmp_path: Path) -> None:
    model = builtin()
    take = record(tmp_path / "take.npz", model, clip(model, 1))
    write_glb(read_performance(take), model, tmp_path / "out.glb")
    document = Document(tmp_path / "out.glb")
    primitive = document.json["meshes"][0]["primitives"][0]
    triangles = document.array(primitive["indices"]).reshape(-1, 3)
    uv = document.array(primitive["attributes"]["TEXCOORD_0"])
    points = document.array(primitive["attributes"]["POSITION"])
    wanted = model.uv[model.uv_faces]
    np.testing.assert_allclose(uv[triangles] * (1, -1) + (0, 1), wanted, atol=1e-6)
    neutral = model.neutral_vertices(take["shape"])
    np.testing.assert_array_equal(points[triangles], neutral[model.faces])
    normals = document.array(primitive["attributes"]["NORMAL"])
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1.0, atol=1e-5)
    assert len(points) < 1.1 * model.vertex_count


def test_the_khronos_validator_has_nothing_to_say(tmp_path: Path, validator: list[str]) -> None:
    for name, model in (("toy", toy_model()), ("builtin", builtin())):
        take = record(tmp_path / "take.npz", model, clip(model, 4, away=range(1, 2), people=2))
        for suffix, write in ((".glb", write_glb), (".gltf", write_gltf)):
            path = tmp_path / f"{name}{suffix}"
            write(read_performance(take), model, path)
            report = json.loads(subprocess.run([*validator, str(path)], capture_output=True, check=True).stdout)
            assert report["numErrors"] == report["numWarnings"] == 0, report


@pytest.fixture(scope="session")
def validator(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The command that validates a file: node with the package gltf-validator, installed globally or named in NODE_PATH."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    script = tmp_path_factory.mktemp("validator") / "validate.js"
    script.write_text(
        "const v = require('gltf-validator'), fs = require('fs');\n"
        "v.validateBytes(new Uint8Array(fs.readFileSync(process.argv[2])))"
        ".then(r => console.log(JSON.stringify(r.issues)));\n"
    )
    if subprocess.run([node, "-e", "require('gltf-validator')"], capture_output=True, check=False).returncode:
        pytest.skip("the npm package gltf-validator is not on NODE_PATH")
    return [node, str(script)]


def test_trimesh_finds_the_mesh_where_it_is(tmp_path: Path) -> None:
    trimesh = pytest.importorskip("trimesh", reason="a reader that is not ours")
    model = builtin()
    take = record(tmp_path / "take.npz", model, clip(model, 2))
    write_glb(read_performance(take), model, tmp_path / "out.glb")
    scene = trimesh.load(tmp_path / "out.glb")
    mesh = next(iter(scene.geometry.values()))
    assert len(mesh.faces) == len(model.faces) and len(mesh.vertices) >= model.vertex_count
    neutral = model.neutral_vertices(take["shape"])
    np.testing.assert_allclose(mesh.bounds, [neutral.min(axis=0), neutral.max(axis=0)], atol=1e-6)
