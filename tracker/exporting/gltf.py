"""glTF 2.0: heads as meshes with morph targets and a skeleton, the camera that saw them, and one animation.

Metres, y up, the camera at the origin looking along -z, times from the first frame. ``.glb`` is one binary file, ``.gltf`` the
same as text with its data inside. Nodes of a face: NAME > head (the pose) > neck > jaw, eye_left, eye_right, and NAME_mesh.
Blend shape names stand in ``mesh.extras.targetNames``, where Blender, three.js and Unreal look for them.
"""

from __future__ import annotations

import base64
import json
import math
import struct
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tracker.exporting.performance import Performance
from tracker.exporting.rig import PARENTS, Rig, build_rig
from tracker.face_model.model import JOINT_NAMES, ROOT, FaceModel

_FLOAT: Final = 5126
_COMPONENTS: Final = {"<f4": _FLOAT, "<u4": 5125, "|u1": 5121}
_TYPES: Final = {1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4", 16: "MAT4"}
_VERTICES: Final = 34962
_INDICES: Final = 34963
_MOVES: Final = 1e-7

Array = NDArray[Any]
Json = dict[str, Any]


def write_glb(performance: Performance, model: FaceModel, path: Path) -> list[str]:
    """Write one binary file; returns what else people should know. Raises OSError when there is no room."""
    document, data = _build(performance, model)
    document["buffers"] = [{"byteLength": len(data)}]
    text = json.dumps(document, separators=(",", ":"), allow_nan=False).encode()
    text += b" " * (-len(text) % 4)
    total = 12 + 8 + len(text) + 8 + len(data)
    with path.open("wb") as file:
        file.write(struct.pack("<4sIII4s", b"glTF", 2, total, len(text), b"JSON") + text)
        file.write(struct.pack("<I4s", len(data), b"BIN\0") + data)
    return []


def write_gltf(performance: Performance, model: FaceModel, path: Path) -> list[str]:
    """Write one text file with the data in it; returns what else people should know. Raises OSError when there is no room."""
    document, data = _build(performance, model)
    uri = "data:application/octet-stream;base64," + base64.b64encode(data).decode()
    document["buffers"] = [{"byteLength": len(data), "uri": uri}]
    path.write_text(json.dumps(document, allow_nan=False), encoding="utf-8")
    return []


class _Buffer:
    """The binary part and the accessors into it."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.views: list[Json] = []
        self.accessors: list[Json] = []

    def add(self, array: Array, *, target: int | None = None, bounds: bool = False) -> int:
        """Append an array, one element a row; returns its accessor."""
        array = np.ascontiguousarray(array)
        self.data += b"\0" * (-len(self.data) % 4)
        view: Json = {"buffer": 0, "byteOffset": len(self.data), "byteLength": array.nbytes}
        if target is not None:
            view["target"] = target
        self.views.append(view)
        self.data += array.tobytes()
        width = 1 if array.ndim == 1 else int(np.prod(array.shape[1:]))
        accessor: Json = {
            "bufferView": len(self.views) - 1,
            "componentType": _COMPONENTS[array.dtype.str],
            "count": len(array),
            "type": _TYPES[width],
        }
        if bounds:
            flat = array.reshape(len(array), width)
            accessor |= {"min": flat.min(axis=0).tolist(), "max": flat.max(axis=0).tolist()}
        self.accessors.append(accessor)
        return len(self.accessors) - 1


def _build(performance: Performance, model: FaceModel) -> tuple[Json, bytes]:
    buffer = _Buffer()
    nodes: list[Json] = []
    meshes: list[Json] = []
    skins: list[Json] = []
    samplers: list[Json] = []
    channels: list[Json] = []
    times = buffer.add(performance.seconds.astype("<f4"), bounds=True)

    def animate(node: int, path: str, values: Array) -> None:
        samplers.append({"input": times, "output": buffer.add(values.astype("<f4")), "interpolation": "LINEAR"})
        channels.append({"sampler": len(samplers) - 1, "target": {"node": node, "path": path}})

    roots = [_add_camera(performance, nodes)]
    for track in performance.tracks:
        rig = build_rig(performance, track, model)
        # Below a node that does not move, so that Blender makes one armature a person.
        nodes.append({"name": rig.name, "children": [len(nodes) + 1]})
        first = len(nodes)
        nodes += _joint_nodes(rig, first)
        meshes.append(_mesh(rig, buffer))
        skins.append(_skin(rig, first, buffer))
        nodes.append({"name": f"{rig.name}_mesh", "mesh": len(meshes) - 1, "skin": len(skins) - 1})
        roots += [first - 1, len(nodes) - 1]
        for joint in range(len(JOINT_NAMES)):
            for path, values in (("translation", rig.translations[:, joint]), ("rotation", rig.rotations[:, joint])):
                if joint == ROOT or np.ptp(values, axis=0).max() > _MOVES:
                    animate(first + joint, path, values)
        if rig.morph_names:
            animate(len(nodes) - 1, "weights", rig.weights.reshape(-1))
    document: Json = {
        "asset": {
            "version": "2.0",
            "generator": str(performance.take.meta.get("tool", "")),
            "extras": _extras(performance),
        },
        "scene": 0,
        "scenes": [{"name": "take", "nodes": roots}],
        "cameras": [_camera(performance)],
        "nodes": nodes,
        "meshes": meshes,
        "skins": skins,
        "materials": [{"name": "face", "pbrMetallicRoughness": {"metallicFactor": 0.0, "roughnessFactor": 0.6}}],
        "animations": [{"name": performance.take.path.stem, "samplers": samplers, "channels": channels}],
        "accessors": buffer.accessors,
        "bufferViews": buffer.views,
    }
    buffer.data += b"\0" * (-len(buffer.data) % 4)
    return document, bytes(buffer.data)


def _extras(performance: Performance) -> Json:
    """What glTF has no place for: the exact rate and start, and who was there when."""
    return {
        "rate": [performance.rate.numerator, performance.rate.denominator],
        "start_s": str(performance.times_s[0]),
        "faces": [{"name": track.name, "ids": list(track.ids)} for track in performance.tracks],
        "source": performance.take.meta.get("source"),
    }


def _add_camera(performance: Performance, nodes: list[Json]) -> int:
    nodes.append({"name": "camera", "camera": 0})
    return len(nodes) - 1


def _camera(performance: Performance) -> Json:
    take, row = performance.take, performance.first_row
    width, height = (int(side) for side in take["frame_size"][row])
    focal_px = float(take["K"][row, 1, 1])
    return {
        "name": "camera",
        "type": "perspective",
        "perspective": {
            "yfov": 2.0 * math.atan2(height / 2.0, focal_px),
            "aspectRatio": width / height,
            "znear": 0.01,
        },
    }


def _joint_nodes(rig: Rig, first: int) -> list[Json]:
    nodes: list[Json] = []
    for joint, name in enumerate(JOINT_NAMES):
        node: Json = {"name": f"{rig.name}_{'head' if joint == ROOT else name}"}
        children = [first + child for child, parent in PARENTS.items() if parent == joint]
        if children:
            node["children"] = children
        node["translation"] = rig.translations[0, joint].tolist()
        node["rotation"] = rig.rotations[0, joint].tolist()
        nodes.append(node)
    return nodes


def _mesh(rig: Rig, buffer: _Buffer) -> Json:
    flipped_uv = np.stack([rig.uv[:, 0], 1.0 - rig.uv[:, 1]], axis=1)
    attributes = {
        "POSITION": buffer.add(rig.vertices.astype("<f4"), target=_VERTICES, bounds=True),
        "NORMAL": buffer.add(rig.normals.astype("<f4"), target=_VERTICES),
        "TEXCOORD_0": buffer.add(flipped_uv.astype("<f4"), target=_VERTICES),
        "COLOR_0": buffer.add(rig.colours.astype("<f4"), target=_VERTICES),
        "JOINTS_0": buffer.add(rig.joint_indices.astype("|u1"), target=_VERTICES),
        "WEIGHTS_0": buffer.add(rig.joint_weights.astype("<f4"), target=_VERTICES),
    }
    targets = [{"POSITION": buffer.add(morph.astype("<f4"), target=_VERTICES, bounds=True)} for morph in rig.morphs]
    primitive: Json = {
        "attributes": attributes,
        "indices": buffer.add(rig.triangles.reshape(-1).astype("<u4"), target=_INDICES),
        "material": 0,
    }
    mesh: Json = {"name": rig.name, "primitives": [primitive]}
    if targets:
        primitive["targets"] = targets
        mesh["weights"] = rig.weights[0].tolist()
        mesh["extras"] = {"targetNames": list(rig.morph_names)}
    return mesh


def _skin(rig: Rig, first: int, buffer: _Buffer) -> Json:
    # Column-major; the root is bound at the head's origin, the others where they rest.
    binds = np.tile(np.eye(4, dtype="<f4"), (len(JOINT_NAMES), 1, 1))
    for joint in range(len(JOINT_NAMES)):
        if joint != ROOT:
            binds[joint, 3, :3] = -rig.joints[joint]
    return {
        "name": rig.name,
        "joints": [first + joint for joint in range(len(JOINT_NAMES))],
        "skeleton": first,
        "inverseBindMatrices": buffer.add(binds.reshape(-1, 16)),
    }
