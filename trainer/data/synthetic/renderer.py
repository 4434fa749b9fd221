"""Heads of one face model in linear light, with all that is known about them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor

from tracker.face_model.head_points import landmark_embedding
from tracker.face_model.model import FaceModel
from tracker.rendering.contours import LANDMARK_SET
from tracker.rendering.skin import SKIN_PX, Complexion, paint_face
from trainer.data.synthetic.assets import Assets
from trainer.data.synthetic.lighting import HeadLight, Lights
from trainer.data.synthetic.looks import Looks
from trainer.data.synthetic.poses import Poses, crop_cameras
from trainer.data.synthetic.shell import ShellPainter
from trainer.data.synthetic.styles import Styles
from trainer.data.synthetic.textures import TextureBank, smoothstep
from trainer.data.synthetic.torso import Torso
from trainer.data.synthetic.wardrobe import Wardrobe
from trainer.image_formation.camera import CropCameras
from trainer.image_formation.face_model import PointSet, TorchFaceModel
from trainer.image_formation.normals import NormalField
from trainer.image_formation.points import visible_points
from trainer.image_formation.rasteriser import Raster, rasterise
from trainer.image_formation.shading import shade

_OUTER_EYE_CORNERS: Final = (33, 263)
_SLACK_M: Final = 0.004
"""Points this far behind what their pixel shows are still seen: meshes are coarse, pixels are not points."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """A batch of heads as the light from them would fall into a crop."""

    colour: Tensor
    """(B, 3, H, W) linear."""
    depth: Tensor
    """(B, H, W) metres of what is seen, hair included; infinite where background is."""
    points: Tensor
    """(B, N, 3) landmarks: x, y as fractions of the crop's side, z on the same scale, 0 at the head's origin."""
    camera_points: Tensor
    """(B, N, 3) the same, metres, in axes of the large picture's camera."""
    visible: Tensor
    """(B, N) bool: in the picture, and not behind the head itself, its hair or what it wears."""
    cameras: CropCameras
    vertices: Tensor
    """(B, V, 3) camera axes."""


class HeadRenderer:
    """Draws heads of one model. Everything lives on ``device``.

    Args:
        model: a face model with a ``mediapipe478`` embedding.
        landmark_set: of the labels.
        assets: skins and eyes.
        device: where it draws.
        coordinates: (V, 2) where vertices look into the skins' chart, if the model is not the built-in head.
    """

    def __init__(self, model: FaceModel, landmark_set: str, assets: Assets, device: torch.device) -> None:
        self.model, self.device = model, device
        self.embedding = landmark_embedding(model, landmark_set)
        self.head = TorchFaceModel(model).to(device)
        self._normals = NormalField(model.faces, model.vertex_count).to(device)
        self._torso = Torso(model, device)
        self._torso_normals = NormalField(self._torso.faces, int(self._torso.faces.max()) + 1).to(device)
        torso_faces = torch.tensor(self._torso.faces, device=device) + model.vertex_count
        self._opaque = torch.cat([self.head.faces, torso_faces])
        self.wardrobe = Wardrobe(model, device)
        self._shell = ShellPainter(self.wardrobe, device)
        self._light = HeadLight(model, device)
        self._frame = PointSet(model.faces, model.embedding(LANDMARK_SET)).to(device)
        self._marks = PointSet(model.faces, self.embedding).to(device)
        self._skins = TextureBank(assets.skins, device)
        self._eyes = TextureBank(assets.eyes, device)
        self._strands = TextureBank(assets.strands[None, ..., None], device)
        paint = paint_face(model, Complexion())
        eyes = np.isin(model.parts, [model.part_names.index(name) for name in ("eye_left", "eye_right")])
        coordinates = paint.coordinates - np.where(eyes[:, None], np.array([0.0, SKIN_PX], np.float32), 0.0)
        self._fixed = torch.tensor(
            np.column_stack([coordinates, paint.gloss, paint.hair]), dtype=torch.float32, device=device
        )
        self._tint = torch.tensor(paint.tint, device=device)
        self._is_eye = torch.tensor(eyes, device=device)
        self._is_skin = torch.tensor(model.parts == model.part_names.index("skin"), device=device)

    def pose(self, identity: Tensor, expression: Tensor, poses: Poses) -> tuple[Tensor, Tensor]:
        """Vertices (B, V, 3) in head axes and in camera axes."""
        head = self.head(identity, expression)
        rotation = poses.rotation.to(self.device)
        return head, head @ rotation.transpose(1, 2) + poses.translation.to(self.device)[:, None]

    @torch.no_grad()
    def render(
        self,
        identity: Tensor,
        expression: Tensor,
        poses: Poses,
        looks: Looks,
        styles: Styles,
        lights: Lights,
        behind: Tensor,
    ) -> Rendered:
        """Draw heads before pictures ``behind`` (B, 3, H, H), linear.

        Args:
            identity: (B, Ni).
            expression: (B, Ne) the model's own weights.
            poses: where they are and how they are cropped.
            looks: what they wear.
            styles: hair, hats, glasses, clothes.
            lights: camera axes.
            behind: backgrounds; their size is that of the drawing.
        """
        size = behind.shape[-1]
        head, vertices = self.pose(identity, expression, poses)
        cameras = crop_cameras(self._frame(vertices), poses, _OUTER_EYE_CORNERS)
        rotation = poses.rotation.to(self.device)
        centre = poses.translation.to(self.device)[:, None]
        torso = self._torso(poses.torso.to(self.device), 0.9 + 0.3 * styles.lens / 0.025)
        torso_seen = torso @ rotation.transpose(1, 2) + centre
        both = torch.cat([vertices, torso_seen], 1)
        raster = rasterise(cameras.project(both) * size, both[..., 2], self._opaque, size, size)
        normals = self._normals(head)
        harmonics = lights.harmonics()
        picture = behind.permute(0, 2, 3, 1).reshape(-1, 3).clone()
        place = raster.image * (size * size) + raster.pixel
        is_head = raster.corners[:, 0] < vertices.shape[1]
        part = raster.rows(is_head)
        irradiance, reached = self._light(normals, rotation, lights)
        picture[place[is_head]] = self._shade(
            part, head, normals @ rotation.transpose(1, 2), irradiance, reached, poses, looks, lights
        )
        part = raster.rows(~is_head, vertices.shape[1])
        turned = self._torso_normals(torso) @ rotation.transpose(1, 2)
        picture[place[~is_head]] = self._cloth(part, turned, torso, harmonics, styles)
        depth = raster.spread(raster.interpolate(both[..., 2:]), float("inf"))[..., 0]
        worn = self.wardrobe(head, styles)
        worn_seen = worn.vertices @ rotation.transpose(1, 2) + centre
        # What is not worn is put behind the camera, where nothing is drawn.
        worn_depth = torch.where(worn.shown, worn_seen[..., 2], torch.full_like(worn_seen[..., 2], -1.0))
        flat_worn = cameras.project(worn_seen) * size
        self._shell(picture, depth, flat_worn, worn_depth, worn_seen, styles, harmonics, size)
        marks = self._marks(vertices)
        flat = cameras.project(marks)
        origin = poses.translation.to(self.device)
        ahead = cameras.looking_at_crop[:, 2]
        away = torch.einsum("bni,bi->bn", marks - origin[:, None], ahead)
        scale = cameras.focal / torch.einsum("bi,bi->b", origin, ahead)
        points = torch.cat([flat, (away * scale[:, None])[..., None]], -1)
        seen = visible_points(depth, flat * size, marks[..., 2], _SLACK_M)
        colour = picture.view(-1, size, size, 3).permute(0, 3, 1, 2)
        return Rendered(colour, depth, points, marks, seen, cameras, vertices)

    def _cloth(self, raster: Raster, normals: Tensor, torso: Tensor, harmonics: Tensor, styles: Styles) -> Tensor:
        lit = shade(normals, harmonics).clamp_min(0.0)
        values = raster.interpolate(torch.cat([lit, torso], -1))
        weave = torch.sin(values[:, 3] * 900.0) * torch.sin(values[:, 4] * 900.0)
        folds = torch.sin(values[:, 3] * 40.0 + torch.sin(values[:, 4] * 25.0) * 2.0)
        return styles.cloth[raster.image] * values[:, :3] * (0.85 + 0.06 * weave + 0.12 * folds)[:, None]

    def _shade(
        self, raster: Raster, head: Tensor, normals: Tensor, irradiance: Tensor, reached: Tensor, poses: Poses, looks: Looks,
        lights: Lights,
    ) -> Tensor:  # fmt: skip
        """Linear colour (N, 3) of the covered pixels."""
        image = raster.image
        mottle = self._mottling(head, looks)
        moving = raster.interpolate(torch.cat([irradiance * self._tint * torch.exp(mottle), normals, reached], -1))
        fixed = raster.interpolate(self._fixed)
        place, gloss, hair_distance = fixed[:, :2], fixed[:, 2], fixed[:, 3]
        eye = self._is_eye[raster.corners[:, 0]]
        albedo = torch.empty(len(image), 3, device=self.device)
        skin_rows, eye_rows = torch.nonzero(~eye)[:, 0], torch.nonzero(eye)[:, 0]
        albedo[eye_rows] = self._eye_albedo(place[eye_rows], image[eye_rows], looks)
        skin, gloss_skin = self._skin_albedo(place[skin_rows], hair_distance[skin_rows], raster, skin_rows, looks)
        albedo[skin_rows] = skin
        gloss = gloss.index_copy(0, skin_rows, gloss[skin_rows] * gloss_skin)
        view = torch.nn.functional.normalize(-poses.translation.to(self.device), dim=1)
        shine = torch.zeros_like(albedo)
        normal = torch.nn.functional.normalize(moving[:, 3:6], dim=1)
        for k in range(lights.lamp.shape[1]):
            half = torch.nn.functional.normalize(lights.lamp[:, k] + view, dim=1)[image]
            facing = (normal * half).sum(1).clamp(0.0, 1.0)
            wide, tight = 0.55 * facing**18 + 0.45 * facing**60, facing**350
            lobe = torch.where(eye, 4.0 * tight, wide * gloss * 0.3 * looks.gloss[image]) * moving[:, 6 + k]
            shine += lobe[:, None] * lights.lamp_colour[:, k][image]
        for k in range(lights.axis.shape[1]):
            half = torch.nn.functional.normalize(lights.axis[:, k] + view, dim=1)[image]
            facing = (normal * half).sum(1).clamp(0.0, 1.0)
            lobe = torch.where(eye, 0.35 * facing**120, 0.05 * gloss * looks.gloss[image] * facing**14)
            shine += lobe[:, None] * lights.colour[:, k][image]
        return albedo * moving[:, :3] + shine

    def _mottling(self, head: Tensor, looks: Looks) -> Tensor:
        """Log reflectance (B, V, 3) that the looks add to the skin; nothing elsewhere."""
        # Alike on both sides.
        place = self.head.template * torch.tensor([0.0, 1.0, 1.0], device=self.device)
        place[:, 0] = self.head.template[:, 0].abs()
        waves = torch.cos(torch.einsum("vi,bwi->bvw", place, looks.wave) + looks.phase[:, None])
        return (waves @ looks.swing + looks.tone[:, None]) * self._is_skin[:, None]

    def _eye_albedo(self, place: Tensor, image: Tensor, looks: Looks) -> Tensor:
        code = self._eyes.sample(looks.eye[image], place)
        return code * code * looks.sclera[image, None]

    def _skin_albedo(
        self, place: Tensor, hair_distance: Tensor, raster: Raster, rows: Tensor, looks: Looks
    ) -> tuple[Tensor, Tensor]:
        """Reflectance (N, 3), and a factor (N,) on the gloss."""
        image = raster.image[rows]
        mirrored = looks.mirrored[image] > 0.5
        turned = torch.where(mirrored, (SKIN_PX - 1.0) - place[:, 0], place[:, 0])
        place_in_skin = torch.stack([turned, place[:, 1]], 1)
        code = self._skins.sample(looks.skin[image], place_in_skin)
        mixed = torch.nonzero(looks.share[image] > 0.0)[:, 0]
        if len(mixed):
            second = self._skins.sample(looks.other[image[mixed]], place_in_skin[mixed])
            code = code.index_copy(0, mixed, torch.lerp(code[mixed], second, looks.share[image[mixed], None]))
        albedo = code * code
        distance = hair_distance - looks.hairline[image]
        near = torch.nonzero(distance > -0.008)[:, 0]
        strand = self._strands.sample(torch.zeros_like(near), place[near]) * (255.0 / 128.0)
        cover = smoothstep(-0.002, 0.006, distance[near, None] + 0.004 * (strand - 1.0))
        hair = looks.hair[image[near]] * (0.35 + strand * strand) + 0.02 * (strand - 0.7).clamp_min(0.0)
        albedo = albedo.index_copy(0, near, torch.lerp(albedo[near], hair, cover))
        dull = torch.ones_like(distance).index_copy(0, near, 1.0 - 0.8 * cover[:, 0])
        return albedo, dull
