"""USD: heads as UsdSkel characters with blend shapes, the camera that saw them, and their animation.

Metres, y up, the camera at the origin looking along -z. ``timeCodesPerSecond`` is the take's rate and time code 0 its first
frame, so that frames of a steady take lie at whole time codes; others lie between. A face that is not there is invisible.
"""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any, Final

import numpy as np

from tracker.exporting.performance import Performance
from tracker.exporting.rig import PARENTS, Rig, build_rig
from tracker.extras import require
from tracker.face_model.model import JOINT_NAMES, ROOT, FaceModel

_PURPOSE: Final = "USD"
_WHOLE: Final = 1e-4
_FILM_MM: Final = 36.0


def check_package() -> None:
    """Raise RecordingError when the package for USD is not there."""
    require("pxr.Usd", "usd", _PURPOSE)


def write_usd(performance: Performance, model: FaceModel, path: Path) -> list[str]:
    """Write one layer: ``.usda`` is text, ``.usd`` and ``.usdc`` are binary; returns what else people should know.

    Raises:
        RecordingError: the package ``usd-core`` is not installed.
        OSError: there is no room, or the file cannot be written.
    """
    usd, geom, tf = (require(f"pxr.{name}", "usd", _PURPOSE) for name in ("Usd", "UsdGeom", "Tf"))
    try:
        stage = usd.Stage.CreateNew(str(path))
        _describe(stage, performance)
        world = geom.Xform.Define(stage, "/take")
        stage.SetDefaultPrim(world.GetPrim())
        codes = _time_codes(performance)
        _add_camera(stage, performance)
        for track in performance.tracks:
            _Character(stage, build_rig(performance, track, model), codes).write()
        stage.GetRootLayer().Save()
    except tf.ErrorException as error:
        told = " ".join(str(error).split())
        reason = re.search(r"Error occurred writing file: ([^']+)", told)
        raise OSError(reason[1] if reason else told[:200]) from error
    return []


def _describe(stage: Any, performance: Performance) -> None:
    geom = require("pxr.UsdGeom", "usd", _PURPOSE)
    geom.SetStageUpAxis(stage, geom.Tokens.y)
    geom.SetStageMetersPerUnit(stage, 1.0)
    rate = float(performance.rate)
    stage.SetTimeCodesPerSecond(rate)
    stage.SetFramesPerSecond(rate)
    codes = _time_codes(performance)
    stage.SetStartTimeCode(codes[0])
    stage.SetEndTimeCode(codes[-1])
    facts = {
        "rate": [performance.rate.numerator, performance.rate.denominator],
        "start_s": str(performance.times_s[0]),
        "faces": [{"name": track.name, "ids": list(track.ids)} for track in performance.tracks],
        "source": performance.take.meta.get("source"),
        "tool": performance.take.meta.get("tool"),
    }
    stage.GetRootLayer().customLayerData = {"faceTake": json.dumps(facts)}


def _time_codes(performance: Performance) -> list[float]:
    codes = []
    for time in performance.times_s:
        code = float((time - performance.times_s[0]) * performance.rate)
        # Times that were rounded to nanoseconds still mean whole frames.
        codes.append(float(round(code)) if abs(code - round(code)) < _WHOLE else code)
    return codes


def _add_camera(stage: Any, performance: Performance) -> None:
    geom, gf = require("pxr.UsdGeom", "usd", _PURPOSE), require("pxr.Gf", "usd", _PURPOSE)
    take, row = performance.take, performance.first_row
    width, height = (int(side) for side in take["frame_size"][row])
    k = take["K"][row].astype(float)
    camera = geom.Camera.Define(stage, "/take/camera")
    # Lengths of a camera are tenths of a scene unit: only their proportions matter here.
    mm_per_px = _FILM_MM / width
    camera.CreateHorizontalApertureAttr(_FILM_MM)
    camera.CreateVerticalApertureAttr(height * mm_per_px)
    camera.CreateFocalLengthAttr(float(k[0, 0]) * mm_per_px)
    camera.CreateHorizontalApertureOffsetAttr((width / 2.0 - float(k[0, 2])) * mm_per_px)
    camera.CreateVerticalApertureOffsetAttr((float(k[1, 2]) - height / 2.0) * mm_per_px)
    camera.CreateClippingRangeAttr(gf.Vec2f(0.01, 100.0))


class _Character:
    """One rig as prims below ``/take``."""

    def __init__(self, stage: Any, rig: Rig, codes: list[float]) -> None:
        self._stage, self._rig, self._codes = stage, rig, codes
        self._path = f"/take/{rig.name}"
        for name in ("Gf", "Sdf", "UsdGeom", "UsdSkel", "Vt"):
            setattr(self, f"_{name.lower()}", require(f"pxr.{name}", "usd", _PURPOSE))

    _gf: Any
    _sdf: Any
    _usdgeom: Any
    _usdskel: Any
    _vt: Any

    def write(self) -> None:
        root = self._usdskel.Root.Define(self._stage, self._path)
        self._write_pose(root)
        skeleton = self._write_skeleton()
        mesh = self._write_mesh()
        self._write_shapes(mesh)
        animation = self._write_animation()
        for prim in (root.GetPrim(), skeleton.GetPrim(), mesh.GetPrim()):
            self._usdskel.BindingAPI.Apply(prim)
        self._usdskel.BindingAPI(mesh.GetPrim()).CreateSkeletonRel().SetTargets([skeleton.GetPath()])
        self._usdskel.BindingAPI(skeleton.GetPrim()).CreateAnimationSourceRel().SetTargets([animation.GetPath()])

    def _joint_paths(self) -> list[str]:
        paths: list[str] = []
        for joint, name in enumerate(JOINT_NAMES):
            parent = PARENTS[joint]
            paths.append(name if parent is None else f"{paths[parent]}/{name}")
        return paths

    def _write_pose(self, root: Any) -> None:
        translate = root.AddTranslateOp()
        orient = root.AddOrientOp()
        visibility = root.CreateVisibilityAttr()
        shown: bool | None = None
        for row, code in enumerate(self._codes):
            translate.Set(self._gf.Vec3d(*self._rig.translations[row, ROOT].astype(float).tolist()), code)
            orient.Set(self._quaternion(self._rig.rotations[row, ROOT]), code)
            present = bool(self._rig.present[row])
            if present != shown:
                shown = present
                token = self._usdgeom.Tokens.inherited if present else self._usdgeom.Tokens.invisible
                visibility.Set(token, code)

    def _quaternion(self, xyzw: Any) -> Any:
        x, y, z, w = (float(value) for value in xyzw)
        return self._gf.Quatf(w, x, y, z)

    def _write_skeleton(self) -> Any:
        rig = self._rig
        skeleton = self._usdskel.Skeleton.Define(self._stage, f"{self._path}/skeleton")
        rests, binds = [], []
        for joint in range(len(JOINT_NAMES)):
            parent = PARENTS[joint]
            bound = np.zeros(3) if joint == ROOT else rig.joints[joint]
            origin = np.zeros(3) if parent is None or parent == ROOT else rig.joints[parent]
            binds.append(self._gf.Matrix4d(1.0).SetTranslate(self._gf.Vec3d(*bound.tolist())))
            rests.append(self._gf.Matrix4d(1.0).SetTranslate(self._gf.Vec3d(*(bound - origin).tolist())))
        skeleton.CreateJointsAttr(self._joint_paths())
        skeleton.CreateBindTransformsAttr(self._vt.Matrix4dArray(binds))
        skeleton.CreateRestTransformsAttr(self._vt.Matrix4dArray(rests))
        return skeleton

    def _write_mesh(self) -> Any:
        rig, vt, geom = self._rig, self._vt, self._usdgeom
        mesh = geom.Mesh.Define(self._stage, f"{self._path}/mesh")
        mesh.CreatePointsAttr(vt.Vec3fArray.FromNumpy(np.ascontiguousarray(rig.vertices, np.float32)))
        mesh.CreateFaceVertexCountsAttr(vt.IntArray.FromNumpy(np.full(len(rig.triangles), 3, np.int32)))
        mesh.CreateFaceVertexIndicesAttr(vt.IntArray.FromNumpy(np.ascontiguousarray(rig.triangles.reshape(-1))))
        mesh.CreateSubdivisionSchemeAttr(geom.Tokens.none)
        mesh.CreateNormalsAttr(vt.Vec3fArray.FromNumpy(np.ascontiguousarray(rig.normals, np.float32)))
        mesh.SetNormalsInterpolation(geom.Tokens.vertex)
        mesh.CreateExtentAttr(vt.Vec3fArray.FromNumpy(_extent(rig)))
        primvars = geom.PrimvarsAPI(mesh)
        types = self._sdf.ValueTypeNames
        uv = primvars.CreatePrimvar("st", types.TexCoord2fArray, geom.Tokens.vertex)
        uv.Set(vt.Vec2fArray.FromNumpy(np.ascontiguousarray(rig.uv, np.float32)))
        colour = mesh.CreateDisplayColorPrimvar(geom.Tokens.vertex)
        colour.Set(vt.Vec3fArray.FromNumpy(np.ascontiguousarray(rig.colours, np.float32)))
        binding = self._usdskel.BindingAPI.Apply(mesh.GetPrim())
        width = rig.joint_indices.shape[1]
        indices = binding.CreateJointIndicesPrimvar(False, width)
        indices.Set(vt.IntArray.FromNumpy(np.ascontiguousarray(rig.joint_indices.reshape(-1), np.int32)))
        weights = binding.CreateJointWeightsPrimvar(False, width)
        weights.Set(vt.FloatArray.FromNumpy(np.ascontiguousarray(rig.joint_weights.reshape(-1), np.float32)))
        binding.CreateGeomBindTransformAttr(self._gf.Matrix4d(1.0))
        return mesh

    def _write_shapes(self, mesh: Any) -> None:
        names = self._shape_names()
        targets = []
        for name, morph in zip(names, self._rig.morphs, strict=True):
            shape = self._usdskel.BlendShape.Define(self._stage, f"{self._path}/mesh/{name}")
            moved = np.flatnonzero(np.any(morph != 0.0, axis=1))
            moved = moved if moved.size else np.zeros(1, np.intp)
            shape.CreateOffsetsAttr(self._vt.Vec3fArray.FromNumpy(np.ascontiguousarray(morph[moved], np.float32)))
            shape.CreatePointIndicesAttr(self._vt.IntArray.FromNumpy(moved.astype(np.int32)))
            targets.append(shape.GetPath())
        binding = self._usdskel.BindingAPI(mesh.GetPrim())
        binding.CreateBlendShapesAttr(names)
        binding.CreateBlendShapeTargetsRel().SetTargets(targets)

    def _shape_names(self) -> list[str]:
        tf = require("pxr.Tf", "usd", _PURPOSE)
        return [str(tf.MakeValidIdentifier(name)) for name in self._rig.morph_names]

    def _write_animation(self) -> Any:
        rig = self._rig
        animation = self._usdskel.Animation.Define(self._stage, f"{self._path}/skeleton/animation")
        animation.CreateJointsAttr(self._joint_paths())
        animation.CreateBlendShapesAttr(self._shape_names())
        rotations, translations = animation.CreateRotationsAttr(), animation.CreateTranslationsAttr()
        weights = animation.CreateBlendShapeWeightsAttr()
        count = len(JOINT_NAMES)
        animation.CreateScalesAttr(self._vt.Vec3hArray(count, self._gf.Vec3h(1.0, 1.0, 1.0)))
        for row, code in enumerate(self._codes):
            turns = [self._quaternion(rig.rotations[row, joint]) for joint in range(count)]
            moves = rig.translations[row].astype(np.float32).copy()
            # The head's pose is the character's own transform.
            turns[ROOT], moves[ROOT] = self._gf.Quatf(1.0, 0.0, 0.0, 0.0), 0.0
            rotations.Set(self._vt.QuatfArray(turns), code)
            translations.Set(self._vt.Vec3fArray.FromNumpy(moves), code)
            weights.Set(self._vt.FloatArray.FromNumpy(np.ascontiguousarray(rig.weights[row], np.float32)), code)
        return animation


def _extent(rig: Rig) -> Any:
    """A box around the neutral face, with room for what expressions move."""
    room = float(np.abs(rig.morphs).max()) if rig.morphs.size else 0.0
    room = math.ceil(room * 1000.0) / 1000.0
    return np.stack([rig.vertices.min(axis=0) - room, rig.vertices.max(axis=0) + room]).astype(np.float32)
