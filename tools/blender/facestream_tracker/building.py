"""Making things in the scene: the head with its shape keys, and a camera that sees as the tracked one did."""

from __future__ import annotations

import math

import bpy
import numpy as np
from numpy.typing import NDArray

from .feed import Frame
from .head_model import HeadModel

_COLOURS = {
    "skin": (0.62, 0.40, 0.31),
    "eye": (0.86, 0.86, 0.84),
    "iris": (0.16, 0.24, 0.30),
    "pupil": (0.01, 0.01, 0.01),
    "teeth": (0.82, 0.78, 0.68),
    "tongue": (0.55, 0.18, 0.17),
    "inner_mouth": (0.30, 0.07, 0.06),
}
_PART_MATERIALS = {"eye_left": "eye", "eye_right": "eye", "eye_socket": "inner_mouth"}
_MODEL_KEY = "facestream_model"
_SENSOR_MM = 36.0


def build_head(
    model: HeadModel, scene: bpy.types.Scene, identity: NDArray[np.floating] | None = None
) -> bpy.types.Object:
    """A mesh of the face model in the scene, with a shape key for each of its expressions."""
    neutral, posed = model.shapes(identity)
    mesh = bpy.data.meshes.new("Tracked Head")
    mesh.from_pydata(neutral.tolist(), [], model.faces.tolist())
    mesh.polygons.foreach_set("use_smooth", np.ones(len(model.faces), bool))
    uv = mesh.uv_layers.new(name="UVMap")
    uv.data.foreach_set("uv", model.uv[model.uv_faces.ravel()].ravel())
    _paint(mesh, model, neutral, identity)
    head = bpy.data.objects.new("Tracked Head", mesh)
    head[_MODEL_KEY] = model.name
    scene.collection.objects.link(head)
    head.shape_key_add(name="Basis", from_mix=False)
    for name, points in zip(model.expression_names, posed, strict=True):
        key = head.shape_key_add(name=name, from_mix=False)
        key.data.foreach_set("co", points.ravel())
        key.value = 0.0
    mesh.update()
    return head


def is_built_from(head: bpy.types.Object | None, model_name: str) -> bool:
    """Whether an object was made by ``build_head`` from the model of this name."""
    return head is not None and head.get(_MODEL_KEY) == model_name


def adopt_identity(head: bpy.types.Object, model: HeadModel, identity: NDArray[np.floating]) -> None:
    """Give a built head another person's shape; its expressions keep their values."""
    neutral, posed = model.shapes(identity)
    blocks = head.data.shape_keys.key_blocks
    head.data.vertices.foreach_set("co", neutral.ravel())
    blocks[0].data.foreach_set("co", neutral.ravel())
    for name, points in zip(model.expression_names, posed, strict=True):
        if name in blocks:
            blocks[name].data.foreach_set("co", points.ravel())
    head.data.update()


def build_camera(frame: Frame, scene: bpy.types.Scene, name: str = "Tracked Camera") -> bpy.types.Object:
    """A camera at the world's origin with the optics of the tracked one; the scene renders in its resolution."""
    return place_camera(frame.image, frame.focal_px, frame.centre_px, scene, name)


def place_camera(
    image: tuple[int, int], focal_px: float, centre_px: tuple[float, float], scene: bpy.types.Scene, name: str
) -> bpy.types.Object:
    """As ``build_camera``, from size, focal length and principal point in pixels."""
    width, height = image
    longer = max(width, height)
    data = bpy.data.cameras.new(name)
    data.sensor_fit = "AUTO"
    data.sensor_width = _SENSOR_MM
    data.lens = focal_px / longer * _SENSOR_MM
    data.shift_x = (width / 2 - centre_px[0]) / longer
    data.shift_y = (centre_px[1] - height / 2) / longer
    data.clip_start = 0.01
    camera = bpy.data.objects.new(name, data)
    # A camera of Blender looks down; turned up it looks along +y.
    camera.rotation_euler = (math.pi / 2, 0.0, 0.0)
    scene.collection.objects.link(camera)
    scene.camera = camera
    scene.render.resolution_x, scene.render.resolution_y = width, height
    scene.render.resolution_percentage = 100
    return camera


def _paint(
    mesh: bpy.types.Mesh, model: HeadModel, neutral: NDArray[np.floating], identity: NDArray[np.floating] | None
) -> None:
    names = list(_COLOURS)
    for name in names:
        mesh.materials.append(_material(name))
    slots = np.array([names.index(_PART_MATERIALS.get(part, part)) for part in model.part_names])
    of_faces = slots[model.parts[model.faces[:, 0]]]
    centres = neutral[model.faces].mean(axis=1)
    for eye, joint in zip(("eye_left", "eye_right"), model.eye_joints(identity), strict=True):
        mine = np.flatnonzero(model.parts[model.faces[:, 0]] == model.part_names.index(eye))
        away = centres[mine] - joint
        angle = np.degrees(np.arccos(-away[:, 1] / np.linalg.norm(away, axis=1)))
        of_faces[mine[angle < 26]] = names.index("iris")
        of_faces[mine[angle < 11]] = names.index("pupil")
    mesh.polygons.foreach_set("material_index", of_faces.astype(np.int32))


def _material(name: str) -> bpy.types.Material:
    title = f"Tracked Head {name}"
    found = bpy.data.materials.get(title)
    if found is not None:
        return found
    material = bpy.data.materials.new(title)
    colour = (*_COLOURS[name], 1.0)
    material.diffuse_color = colour
    if material.node_tree is None:
        material.use_nodes = True
    shader = next(node for node in material.node_tree.nodes if node.type == "BSDF_PRINCIPLED")
    shader.inputs["Base Color"].default_value = colour
    shader.inputs["Roughness"].default_value = 0.25 if name in ("iris", "pupil", "eye") else 0.55
    return material
