"""Photograph-like renderings of a face model with known parameters: test pictures whose truth is known exactly.

They are made to be seen by landmark networks: soft environment light with shadows, pigmented skin, lips, brows, lashes, irises
and hair, a torso and a blurred room behind, drawn at twice the resolution and reduced in linear light.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from tracker.camera import Camera
from tracker.face_model.model import FaceModel
from tracker.rendering.lighting import HeadLighting, Light
from tracker.rendering.rasterizer import Raster, rasterize
from tracker.rendering.shading import NormalField, smoothstep
from tracker.rendering.skin import Complexion, Paint, paint_face
from tracker.rotations import matrix_from_rotvec
from tracker.srgb import from_linear
from tracker.types import FaceParams, ImageRGB

Float32 = NDArray[np.float32]

_PACK: Final = 512
_HAIR_DEPTH_M: Final = 0.013
_GAMMA_STEPS: Final = 4096
_GRAIN_MARGIN: Final = 97


class FaceScene:
    """Renders one person of a face model in front of a room.

    Args:
        model: any face model with a ``mediapipe478`` embedding.
        complexion: skin, hair and eyes.
        light: the environment.
        supersample: pixels per output pixel and direction in the face's part of the picture.
        noise: standard deviation of the camera's noise, in 8-bit steps.
        paint: another atlas than the one that follows from ``complexion``, e.g. of photographed skin.
    """

    def __init__(
        self,
        model: FaceModel,
        complexion: Complexion | None = None,
        light: Light | None = None,
        supersample: float = 2.0,
        noise: float = 0.0,
        paint: Paint | None = None,
    ) -> None:
        self.model = model
        self.complexion = complexion or Complexion()
        self.light = light or Light()
        self._supersample = supersample
        self._noise = noise
        self.paint = paint or paint_face(model, self.complexion)
        self._lighting = HeadLighting(model)
        self._normals = NormalField(model.faces, model.vertex_count)
        # Hair grows along the normals of the scalp; its surface is all that is drawn of it.
        grown = smoothstep(-0.001, 0.030, self.paint.hair)[:, None] * _HAIR_DEPTH_M
        self._hair_offset = grown * self._normals(model.template) * _hair_bumps(model)
        self._collar = _collar(model)
        self._backgrounds: dict[tuple[int, int], Float32] = {}
        self._grain_fields: dict[tuple[int, int], NDArray[np.int16]] = {}
        self._to_display = _display_table()

    def render(self, identity: Float32, params: FaceParams, camera: Camera, frame: int = 0) -> ImageRGB:
        """A picture of ``camera``'s size, RGB uint8. ``frame`` seeds the camera noise; all else follows from the parameters."""
        picture = self._background(camera.width, camera.height).copy()
        rotation = matrix_from_rotvec(params.rotation).astype(np.float32)
        translation = np.asarray(params.translation, np.float32)
        head = self.model.vertices_head(identity, params)
        normals = self._normals(head)
        shown = head + self._hair_offset
        in_camera = shown @ rotation.T + translation
        if in_camera[:, 2].min() < 0.02:
            return self._developed(picture, frame)
        ring = self._collar @ rotation.T + translation
        front_arc, back_arc = _arcs(camera.project(ring), ring[:, 2])
        self._torso(picture, back_arc, front=False)

        points = camera.project(in_camera)
        box = _box(points, camera)
        if box is not None:
            self._head(picture, box, points, in_camera, normals, rotation, params)
        self._torso(picture, front_arc, front=True)
        return self._developed(picture, frame)

    def _head(
        self,
        picture: Float32,
        box: tuple[int, int, int, int],
        points: Float32,
        in_camera: Float32,
        normals: Float32,
        rotation: Float32,
        params: FaceParams,
    ) -> None:
        x0, y0, x1, y1 = box
        scale = self._supersample
        width, height = round((x1 - x0) * scale), round((y1 - y0) * scale)
        stretch = np.array([width / (x1 - x0), height / (y1 - y0)], np.float32)
        local = (points - np.array([x0, y0], np.float32)) * stretch
        raster = rasterize(local, in_camera[:, 2], self.model.faces, width, height)
        if not len(raster.pixel):
            return
        irradiance = self._lighting(normals, rotation, self.light) * self.paint.tint
        gloss = self._gloss(normals, rotation, in_camera)
        attributes = np.concatenate(
            [irradiance, gloss[:, None], self.paint.coordinates, self.paint.hair[:, None]], axis=1
        )
        # What lies behind is blurred anyway: enlarging it costs nothing visible and saves an alpha channel.
        part = picture[y0:y1, x0:x1]
        layer = np.asarray(cv2.resize(part, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
        layer.reshape(-1, 3)[raster.pixel] = self._shade(raster.interpolate(attributes))
        part[:] = cv2.resize(layer, (x1 - x0, y1 - y0), interpolation=cv2.INTER_AREA)
        self._catchlights(picture, raster, box, in_camera, local, params)

    def _shade(self, values: Float32) -> Float32:
        """Linear colour (N, 3) from light (3), gloss, atlas coordinates (2) and distance to the hairline."""
        albedo8 = _sample(self.paint.atlas, values[:, 4:6])
        # The atlas holds square roots.
        albedo = np.asarray(cv2.multiply(albedo8, albedo8, scale=1.0 / 65025.0, dtype=cv2.CV_32F), np.float32)
        hairy = np.flatnonzero(values[:, 6] > -0.006)
        if len(hairy):
            near_hair = np.take(values, hairy, axis=0, mode="clip")
            strand = _sample(self.paint.strands, near_hair[:, 4:6]).astype(np.float32) / np.float32(128.0)
            cover = smoothstep(-0.002, 0.006, near_hair[:, 6:] + np.float32(0.004) * (strand - 1.0))
            # Hair shines more than its pigment says, in stripes along the strands.
            hair = np.asarray(self.complexion.hair, np.float32) * (0.35 + strand * strand)
            hair += np.float32(0.02) * np.clip(strand - np.float32(0.7), 0.0, None)
            skin = np.take(albedo, hairy, axis=0, mode="clip")
            albedo[hairy] = skin + (hair - skin) * cover
            values[hairy, 3] *= 1.0 - 0.8 * cover[:, 0]
        albedo *= values[:, :3]
        albedo += values[:, 3:4]
        return albedo

    def _gloss(self, normals: Float32, rotation: Float32, in_camera: Float32) -> Float32:
        """Surface reflection of the lamp per vertex (V,), linear."""
        view = -in_camera / np.linalg.norm(in_camera, axis=1, keepdims=True)
        lamp = np.asarray(self.light.direction, np.float32)
        half = view + lamp / np.linalg.norm(lamp)
        half /= np.linalg.norm(half, axis=1, keepdims=True)
        facing = np.clip(np.einsum("vi,vi->v", normals @ rotation.T, half), 0.0, 1.0)
        strength = 0.16 * float(np.mean(self.light.lamp)) / 2.0
        gloss: Float32 = self.paint.gloss * strength * (0.55 * facing**18 + 0.45 * facing**60)
        return gloss

    def _catchlights(
        self,
        picture: Float32,
        raster: Raster,
        box: tuple[int, int, int, int],
        in_camera: Float32,
        local: Float32,
        params: FaceParams,
    ) -> None:
        """The lamp's reflection on the eyes: small, bright, and what makes them look alive."""
        lamp = np.asarray(self.light.direction, np.float32)
        lamp = lamp / np.linalg.norm(lamp)
        scale = self._supersample
        for name in ("eye_left", "eye_right"):
            if name not in self.model.part_names:
                continue
            rows = np.flatnonzero(self.model.parts == self.model.part_names.index(name))
            if not len(rows):
                continue
            ball = in_camera[rows]
            centre = (ball.min(axis=0) + ball.max(axis=0)) / 2.0
            half = lamp - centre / np.linalg.norm(centre)
            half /= np.linalg.norm(half)
            nearest = int(rows[np.argmax((ball - centre) @ half)])
            x, y = local[nearest]
            depth = float(raster.depth_at(local[nearest : nearest + 1])[0])
            if in_camera[nearest, 2] > depth + 0.002:
                continue
            eye_px = float(np.ptp(local[rows, 0])) / scale
            centre_px = np.array([x / scale + box[0], y / scale + box[1]])
            _add_spot(picture, centre_px, max(0.5, 0.035 * eye_px), 0.55)

    def _torso(self, picture: Float32, arc: Float32, front: bool) -> None:
        """Shoulders in cloth below one half of the collar: its back lies behind the neck, its front before it."""
        height, width = picture.shape[:2]
        left, right = arc[0, 0], arc[-1, 0]
        middle, span = (left + right) / 2.0, max(right - left, 2.0)
        base = float((arc[0, 1] + arc[-1, 1]) / 2.0)
        t = np.linspace(0.0, 1.0, 14)
        # Shoulders fall away from the neck in a flat S.
        fall = span * (0.10 + 0.42 * t**1.4 + 0.9 * np.clip(t - 0.8, 0.0, None) * 5.0 * t)
        reach = span * (0.5 + 1.15 * t)
        right_side = np.stack([middle + reach, base + fall], axis=1)
        left_side = np.stack([middle - reach, base + fall], axis=1)[::-1]
        bottom = np.array([[right_side[-1, 0], height + 50.0], [left_side[0, 0], height + 50.0]])
        outline = np.concatenate([arc, right_side, bottom, left_side])
        y0 = int(np.clip(np.floor(outline[:, 1].min()) - 2, 0, height))
        if y0 >= height:
            return
        mask = np.zeros((height - y0, width), np.uint8)
        fixed = np.clip(np.rint((outline - [0.5, 0.5 + y0]) * 16), -(2**20), 2**20).astype(np.int32)
        cv2.fillPoly(mask, [fixed[:, None]], 255, cv2.LINE_AA, 4)
        cover = mask.astype(np.float32)[..., None] / 255.0
        shade = np.linspace(0.85, 0.45, height - y0, dtype=np.float32)[:, None, None] * (0.75 if front else 0.55)
        cloth = np.asarray(self.complexion.cloth, np.float32) * shade * float(np.mean(self.light.lamp))
        part = picture[y0:]
        part += (cloth - part) * cover

    def _background(self, width: int, height: int) -> Float32:
        """A blurred room: warm and cool patches and some soft straight edges, linear RGB (height, width, 3)."""
        if (width, height) not in self._backgrounds:
            rng = np.random.default_rng(self.complexion.seed + 1)
            small = np.array([0.30, 0.28, 0.26], np.float32) * np.ones((24, 32, 3), np.float32)
            small *= np.linspace(1.15, 0.65, 24, dtype=np.float32)[:, None, None]
            for _ in range(7):
                x, y = rng.integers(0, 30), rng.integers(0, 20)
                w, h = rng.integers(3, 12), rng.integers(4, 16)
                small[y : y + h, x : x + w] *= rng.uniform(0.5, 1.45) * rng.uniform(0.88, 1.12, 3).astype(np.float32)
            grown = cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)
            room = cv2.GaussianBlur(grown, (0, 0), max(1.0, width / 90.0))
            self._backgrounds[width, height] = np.asarray(room, np.float32)
        return self._backgrounds[width, height]

    def _developed(self, picture: Float32, frame: int) -> ImageRGB:
        """Linear light to 8-bit sRGB with a soft shoulder, and the camera's noise."""
        index = np.clip(picture * np.float32((_GAMMA_STEPS - 1) / 4.0), 0.0, _GAMMA_STEPS - 1).astype(np.uint16)
        image: ImageRGB = np.take(self._to_display, index, mode="clip")
        if self._noise:
            image = np.asarray(cv2.add(image, self._grain(image.shape, frame), dtype=cv2.CV_8U), np.uint8)
        return image

    def _grain(self, shape: tuple[int, ...], frame: int) -> NDArray[np.int16]:
        """The camera's noise in one frame (H, W, 3): a field drawn once, from which every frame cuts another part."""
        height, width = shape[:2]
        field = self._grain_fields.get((width, height))
        rng = np.random.default_rng((self.complexion.seed, frame))
        if field is None:
            size = (height + _GRAIN_MARGIN, width + _GRAIN_MARGIN, 3)
            noise = np.random.default_rng(self.complexion.seed).standard_normal(size, np.float32) * self._noise
            field = self._grain_fields[width, height] = np.rint(noise).astype(np.int16)
        x, y = (int(value) for value in rng.integers(0, _GRAIN_MARGIN, 2))
        return np.ascontiguousarray(field[y : y + height, x : x + width])


def render_sequence(
    model: FaceModel,
    identity: Float32,
    params: Iterable[FaceParams],
    camera: Camera,
    *,
    complexion: Complexion | None = None,
    light: Light | Sequence[Light] | None = None,
    supersample: float = 2.0,
    noise: float = 0.0,
) -> list[ImageRGB]:
    """Render one picture per set of parameters.

    Args:
        model: any face model with a ``mediapipe478`` embedding.
        identity: (Ni,) shape coefficients.
        params: what the face does, frame by frame; ``jaw`` and ``eyes`` are the joints' whole rotation
            (``FaceModel.with_joint_rotations`` sets them from the expression).
        camera: size and intrinsics of the pictures.
        complexion: skin, hair and eyes.
        light: one environment, or one per frame.
        supersample: see ``FaceScene``.
        noise: see ``FaceScene``.
    """
    lights = light if isinstance(light, Sequence) else None
    scene = FaceScene(model, complexion, None if isinstance(light, Sequence) else light, supersample, noise)
    images = []
    for frame, pose in enumerate(params):
        if lights is not None:
            scene.light = lights[frame]
        images.append(scene.render(identity, pose, camera, frame))
    return images


def _sample(image: NDArray[np.uint8], coordinates: Float32) -> NDArray[np.uint8]:
    """Bilinear samples (N, C) of an image at pixels (N, 2), whose centres are integers."""
    count = len(coordinates)
    # cv2.remap limits the length of a row, so the list becomes an image of many.
    packed = np.zeros((2, -(-count // _PACK) * _PACK), np.float32)
    packed[:, :count] = coordinates.T
    x, y = packed.reshape(2, -1, _PACK)
    seen = cv2.remap(image, x, y, cv2.INTER_LINEAR)
    samples: NDArray[np.uint8] = np.asarray(seen, np.uint8).reshape(packed.shape[1], -1)[:count]
    return samples


def _box(points: Float32, camera: Camera) -> tuple[int, int, int, int] | None:
    """The part of the picture that points lie in, one pixel wider: x0, y0, x1, y1."""
    low = np.floor(points.min(axis=0)).astype(int) - 1
    high = np.ceil(points.max(axis=0)).astype(int) + 1
    x0, y0 = max(0, int(low[0])), max(0, int(low[1]))
    x1, y1 = min(camera.width, int(high[0])), min(camera.height, int(high[1]))
    return (x0, y0, x1, y1) if x1 > x0 and y1 > y0 else None


def _collar(model: FaceModel) -> Float32:
    """A ring around the bottom of the neck in head axes, (24, 3)."""
    foot = float(model.template[:, 1].min())
    neck = model.template[model.template[:, 1] < foot + 0.045]
    middle = (neck.min(axis=0) + neck.max(axis=0)) / 2.0
    half = np.ptp(neck, axis=0) / 2.0 * 1.08
    turn = np.arange(24) / 24.0 * 2.0 * np.pi
    ring = np.stack(
        [middle[0] + half[0] * np.cos(turn), foot + 0.034 - 0.012 * np.sin(turn), middle[2] + half[2] * np.sin(turn)],
        axis=1,
    )
    return ring.astype(np.float32)


def _arcs(ring: Float32, depth: Float32) -> tuple[Float32, Float32]:
    """Cut a closed ring (N, 2) at its leftmost and rightmost points; the nearer and the farther arc, both left to right."""
    count = len(ring)
    left, right = int(np.argmin(ring[:, 0])), int(np.argmax(ring[:, 0]))
    forwards = (left + np.arange((right - left) % count + 1)) % count
    backwards = (left - np.arange((left - right) % count + 1)) % count
    if depth[forwards].mean() < depth[backwards].mean():
        return ring[forwards], ring[backwards]
    return ring[backwards], ring[forwards]


def _hair_bumps(model: FaceModel) -> Float32:
    """Locks: smooth variation of the hair's thickness, (V, 1) around 1."""
    p = model.template * 1000.0
    waves = np.sin(p[:, 0] / 9.0 + np.sin(p[:, 2] / 17.0)) + np.sin(p[:, 1] / 11.0 + p[:, 2] / 23.0)
    bumps: Float32 = (1.0 + 0.12 * waves).astype(np.float32)[:, None]
    return bumps


def _add_spot(picture: Float32, centre: NDArray[np.floating], reach_px: float, amount: float) -> None:
    size = int(np.ceil(3 * reach_px)) + 1
    x0, y0 = int(centre[0]) - size, int(centre[1]) - size
    x1, y1 = x0 + 2 * size + 1, y0 + 2 * size + 1
    if x0 < 0 or y0 < 0 or x1 > picture.shape[1] or y1 > picture.shape[0]:
        return
    x = np.exp(-0.5 * ((np.arange(x0, x1) + 0.5 - centre[0]) / reach_px) ** 2)
    y = np.exp(-0.5 * ((np.arange(y0, y1) + 0.5 - centre[1]) / reach_px) ** 2)
    picture[y0:y1, x0:x1] += (amount * np.outer(y, x)).astype(np.float32)[..., None]


def _display_table() -> NDArray[np.uint8]:
    """8-bit sRGB for linear light 0..4, with highlights rolled off."""
    linear = np.arange(_GAMMA_STEPS) / (_GAMMA_STEPS - 1) * 4.0
    rolled = np.where(linear < 0.6, linear, 0.6 + 0.4 * (1.0 - np.exp(-(linear - 0.6) / 0.4)))
    codes: NDArray[np.uint8] = (np.clip(from_linear(rolled), 0.0, 1.0) * 255.0 + 0.5).astype(np.uint8)
    return codes
