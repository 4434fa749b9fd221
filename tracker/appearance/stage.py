"""The appearance stage: skin, light and occlusion of every fitted face, frame by frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tracker.appearance.albedo import AlbedoBelief
from tracker.appearance.glimpse import LEAST_POINTS, Glimpse, Glimpses
from tracker.appearance.learned import LearnedSkin
from tracker.appearance.light import LUMA, exposure_of, floored, solve_light, white_balance_of
from tracker.appearance.occlusion import OcclusionField
from tracker.appearance.points import POINT_COUNT, SkinPoints, place_points
from tracker.appearance.sampling import Cutout
from tracker.appearance.surface import SeenSkin, SkinShape, SkinSurface
from tracker.appearance.tone import ToneAnchor
from tracker.appearance.view import skin_view
from tracker.camera import Camera
from tracker.face_model.model import FaceModel
from tracker.types import Albedo, Face, FaceParams, Illumination, ImageRGB, Occlusion, SkinView

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

_FORGET_AFTER_NS: Final = 10_000_000_000
_HOLD: Final = 0.02
"""Information of the light of a frame ago, in shares of what one frame says about an average term."""
_HOLD_IN_DOUBT: Final = 1.0
"""More of it in a pose that is in complete doubt: light solved there would confirm it."""
_CODE_STEP: Final = 0.003
"""Error of dark colours in linear light: half an 8-bit step and the camera's noise."""
_GRAZING: Final = 0.15
_SLANTED, _MOST_SLANTED = 0.06, 0.5
"""Error of log luminance per slant of the skin (1 / cosine - 1): rims take on what is behind them."""
_FRESH_SOLVES, _RESUMED_SOLVES = 4, 1
"""Reweighted solves for the light, without and with the light of a frame ago to start from."""
_FIRST_SWEEPS: Final = 8
_TAIL: Final = 5.0
_LEAK: Final = 0.02
"""Even what looks covered teaches this much: a beard taken for an object becomes skin after some seconds."""
_GOOD_FIT: Final = 0.012
"""Median landmark misfit over face width at which a frame counts half."""
_AROUND: Final = 6
"""Skin points that speak for a landmark."""
_COVERING: Final = (0.06, 0.12)
"""Share of the skin that looks covered beyond what usually does from which something may be, and surely is, before the face."""
_TEACHING_DOUBT: Final = 0.3
"""A pose in more doubt teaches nothing about the skin."""
_EVERY_FRAME: Final = 30
_TEACH_NS: Final = 45_000_000
_TEACH_KNOWN_NS: Final = 110_000_000
"""So many first frames all teach the skin, then every second one at 30 Hz, and a skin that is known every fourth: neighbouring
frames say the same."""
_CARRIED_FRAMES: Final = 100.0
"""Of what another stream has taught, so much at most: make-up and beards change from day to day."""
_KNOWN_FRAMES: Final = 60
_REST_NS: Final = 45_000_000
"""A face that nothing happens to is looked at again in the first frame that is so much later: every second one at 30 Hz."""
_SAME_LIGHT: Final = 0.03
"""Change of log irradiance between looks, as a root mean square, that is no change."""
_MORE_COVER: Final = 0.02
_MUCH_COVER: Final = 0.06
"""By how much more of the skin may look covered than at the last look, and than usually ..."""
_COVER_RATE: Final = 0.02
"""... which is learned so fast."""
_PUBLISH_EVERY: Final = 15
_PUBLISH_CHANGE: Final = 0.01


@dataclass(frozen=True, slots=True)
class Explained:
    """A frame of one face, explained: what the photometric term and pictures of the estimate are made from."""

    seen: SeenSkin
    """All skin points of the face, in the picture."""
    cutout: Cutout
    """The averaged picture that colours were read from."""
    index: NDArray[np.intp]
    """(M,) the points that were visible and neither black nor white; the rest is about them."""
    colour: Float32
    """(3, M) linear RGB that the picture shows."""
    irradiance: Float32
    """(3, M) light on skin of mean tone: ``predicted`` is ``exp(albedo.log)`` times this."""
    predicted: Float32
    """(3, M) linear RGB that skin would show."""
    residual: Float32
    """(3, M) log of ``colour`` over ``predicted``."""
    variance: Float32
    """(M,) of the residual's luminance, were the point uncovered."""


@dataclass(slots=True)
class _Person:
    shape: SkinShape
    albedo: AlbedoBelief
    occlusion: OcclusionField
    glimpses: Glimpses
    seen_ns: int
    tone: ToneAnchor = field(default_factory=ToneAnchor)
    light: Float64 | None = None
    """(9, 3) relative to the mean tone: it lights skin of reflectance ``exp(albedo.log)``."""
    centre: Float32 | None = None
    last: Explained | None = None
    published: Albedo | None = None
    published_log: Float32 | None = None
    since_published: int = 0
    frames: int = 0
    doubt: float = 0.0
    """0..1 how far its pose in the current frame is in doubt."""
    looked_ns: int = 0
    taught_ns: int = 0
    """When the last frames that were explained and that taught something about the skin were captured."""
    covered: float = 0.0
    usually_covered: float = 0.0
    """Share of the skin that looked covered at the last look, and that usually does: glasses, a fringe."""
    light_moved: float = np.inf
    """Root mean square change of log irradiance between the last two looks."""
    steady: bool = False
    """Whether light and cover were at the last look what they were before."""
    resting: tuple[Illumination, Occlusion] | None = None
    """Of the last look."""
    around: dict[str, Float32] = field(default_factory=dict)
    """``landmark_occlusion`` of the last look."""
    fixed: bool = False
    """Whether the skin is not learned from frames any more."""


class AppearanceStage:
    """Estimates skin, light and occlusion of fitted faces, one belief per face id.

    Args:
        model: the face model that the faces are fitted with.
        count: skin points.
        every_frame: look at every frame. Without it faces that nothing happens to keep light and cover for up to 45 ms.
    """

    def __init__(self, model: FaceModel, count: int = POINT_COUNT, *, every_frame: bool = False) -> None:
        self._rests = not every_frame
        self.points: SkinPoints = place_points(model, count)
        self.surface = SkinSurface(model, self.points)
        self._model = model
        self._regions = self.points.regions.astype(np.float32)
        self._around: dict[str, tuple[NDArray[np.intp], Float32]] = {}
        self._people: dict[int, _Person] = {}
        self._adopted: dict[int, tuple[LearnedSkin, bool]] = {}

    def process(self, image: ImageRGB, faces: Sequence[Face], camera: Camera, t_capture_ns: int) -> tuple[Face, ...]:
        """``faces`` with ``light``, ``occlusion`` and ``albedo``.

        A face too small, too dark or too far out of the picture to tell keeps its albedo and has neither light nor occlusion in
        this frame.
        """
        done = tuple(self._face(image, face, camera, t_capture_ns) for face in faces)
        for person in self._people.values():
            # Also of faces that were looked at and then lost: a source may draw the next frame into the same array.
            person.glimpses.drop()
        self._people = {
            face_id: person
            for face_id, person in self._people.items()
            if abs(t_capture_ns - person.seen_ns) < _FORGET_AFTER_NS
        }
        return done

    def forget(self, face_id: int) -> None:
        """Another person has this id from now on."""
        self._people.pop(face_id, None)
        self._adopted.pop(face_id, None)

    def adopt(self, face_id: int, skin: LearnedSkin, *, fixed: bool = False) -> None:
        """Take a face to have this skin, from its next frame on until it is forgotten.

        Args:
            face_id: the face.
            skin: as ``learned`` gave it, here or in another stream with the same face model.
            fixed: whether frames teach nothing more about it.
        """
        self._people.pop(face_id, None)
        self._adopted[face_id] = skin, fixed

    def learned(self, face_id: int) -> LearnedSkin | None:
        """All that is known about the skin of a face; None for one that is not known yet."""
        person = self._people.get(face_id)
        if person is None or person.published is None:
            return None
        log = person.albedo.log + person.tone.log_tone[:, None]
        return LearnedSkin(
            np.ascontiguousarray(np.exp(log).T, np.float32),
            person.albedo.frames,
            person.occlusion.variance.copy(),
            person.occlusion.detail_variance.copy(),
        )

    def cut(self) -> None:
        """The next frame is of another shot: skin stays, light and what was covered start anew."""
        for person in self._people.values():
            person.light = None
            person.centre = None
            person.steady = False
            person.occlusion.uncover()

    def reset(self) -> None:
        """Forget everybody: the next frame is the first of another stream."""
        self._people.clear()
        self._adopted.clear()

    def landmark_occlusion(self, face_id: int, set_name: str) -> Float32 | None:
        """Probability (L,) that each landmark of a set was covered in the last frame of a face, 0..1; landmarks without skin
        around them (eyes, irises) take their surroundings'. None for a face that is not known yet.

        Raises:
            FaceModelError: the model has no landmark set of that name.
        """
        person = self._people.get(face_id)
        if person is None:
            return None
        if set_name not in self._around:
            self._around[set_name] = _points_around(self._model, self.points, set_name)
        if set_name not in person.around:
            index, weight = self._around[set_name]
            person.around[set_name] = np.einsum("lk,lk->l", person.occlusion.probability[index], weight)
        return person.around[set_name]

    def covered_fraction(self, face_id: int) -> float:
        """Share of the visible skin of a face that was covered in its last frame, 0..1."""
        person = self._people.get(face_id)
        if person is None or person.last is None:
            return 0.0
        return float(person.occlusion.probability[person.last.index].mean())

    def doubt(self, face_id: int, doubt: float) -> None:
        """Say how far the pose that comes next for a face is in doubt, 0..1, until something else is said."""
        person = self._people.get(face_id)
        if person is not None:
            # Without anything in front, the face has come to look different: that is to be learned.
            there = (person.covered - person.usually_covered - _COVERING[0]) / (_COVERING[1] - _COVERING[0])
            person.doubt = doubt * min(max(there, 0.0), 1.0)

    def needs_look(self, face_id: int, t_capture_ns: int) -> bool:
        """Whether a frame should be looked at for a face, because something happens to it or because the last look is over 45 ms
        old. Frames that need no look may still have one.
        """
        person = self._people.get(face_id)
        return person is None or not (self._rests and person.steady and 0 <= t_capture_ns - person.looked_ns < _REST_NS)

    def view(
        self, image: ImageRGB, face_id: int, params: FaceParams, identity: Float32, camera: Camera
    ) -> SkinView | None:
        """What the picture shows at the skin points of a pose that is only tried; nothing is learned from it.

        None for a face whose skin is not known yet, and for poses that put it out of the picture.
        """
        person = self._people.get(face_id)
        if person is None or person.light is None:
            return None
        known = np.minimum(person.albedo.seen * 1.5, np.float32(1.0))
        if np.count_nonzero(known > 0.5) < LEAST_POINTS:
            return None
        self._take_shape(person, identity)
        glimpse = person.glimpses(image, person.shape, params, camera)
        if glimpse is None:
            return None
        occlusion, albedo = person.occlusion, person.albedo
        return skin_view(
            glimpse,
            albedo.log,
            occlusion.variance + albedo.variance,
            known,
            occlusion.probability,
            self.points.is_bare,
            self.surface.stiffness,
            person.light,
        )

    def albedo(self, face_id: int) -> Albedo | None:
        """What is known about the skin of a face as of the last frame; faces carry it only when it changed enough to matter."""
        person = self._people.get(face_id)
        if person is None or person.published is None:
            return None
        return self._albedo(person, person.published.version)

    def explained(self, face_id: int) -> Explained | None:
        """The last frame of a face that could be explained."""
        person = self._people.get(face_id)
        return None if person is None else person.last

    def _face(self, image: ImageRGB, face: Face, camera: Camera, t_capture_ns: int) -> Face:
        person = self._person(face, t_capture_ns)
        if not self.needs_look(face.id, t_capture_ns) and not person.glimpses.has(image):
            assert person.resting is not None
            light, occlusion = person.resting
            return replace(face, light=light, occlusion=occlusion, albedo=person.published)
        glimpse = person.glimpses(image, person.shape, face.raw, camera)
        explained = None if glimpse is None else self._explain(person, glimpse)
        if explained is None:
            person.light = None
            person.centre = None
            person.steady = False
            return replace(face, albedo=person.published)
        probability = self._occlusion(person, explained)
        self._learn(person, explained, probability, face, t_capture_ns)
        person.last, person.looked_ns = explained, t_capture_ns
        light, occlusion = self._light(person), self._covered(person, explained, probability)
        self._settle(person, occlusion.fraction)
        person.resting = light, occlusion
        return replace(face, light=light, occlusion=occlusion, albedo=self._published(person))

    def _settle(self, person: _Person, covered: float) -> None:
        """Judge whether anything happens to the face."""
        as_before = covered < min(person.covered + _MORE_COVER, person.usually_covered + _MUCH_COVER)
        person.steady = person.frames > _KNOWN_FRAMES and person.light_moved < _SAME_LIGHT and as_before
        person.covered = covered
        person.usually_covered += max(_COVER_RATE, 1.0 / (person.frames + 1)) * (covered - person.usually_covered)

    def _person(self, face: Face, t_capture_ns: int) -> _Person:
        person = self._people.get(face.id)
        if person is None:
            person = _Person(
                self.surface.shape(face.identity),
                AlbedoBelief(self.points),
                OcclusionField(self.points),
                Glimpses(self.surface),
                t_capture_ns,
            )
            if face.id in self._adopted:
                self._give(person, *self._adopted[face.id])
            self._people[face.id] = person
        self._take_shape(person, face.identity)
        person.seen_ns = t_capture_ns
        return person

    def _take_shape(self, person: _Person, identity: Float32) -> None:
        known = person.shape.identity
        if known is not identity and not np.array_equal(known, identity):
            person.shape = self.surface.shape(identity)

    def _give(self, person: _Person, skin: LearnedSkin, fixed: bool) -> None:
        log = np.ascontiguousarray(np.log(skin.reflectance).T)
        tone = log[:, self.points.is_bare].mean(axis=1)
        frames = skin.frames if fixed else np.minimum(skin.frames, np.float32(_CARRIED_FRAMES))
        person.albedo.adopt(log - tone[:, None], frames)
        person.tone.fix(tone)
        person.occlusion.variance = skin.variance.copy()
        person.occlusion.detail_variance = skin.detail_variance.copy()
        person.fixed = fixed

    def _explain(self, person: _Person, glimpse: Glimpse) -> Explained | None:
        unclipped = np.flatnonzero(glimpse.unclipped)
        if unclipped.size < LEAST_POINTS:
            return None
        seen, index, colour, basis = glimpse.seen, glimpse.index, glimpse.colour, glimpse.basis
        albedo, occlusion, light = person.albedo, person.occlusion, person.light
        before = glimpse.under(albedo.log, light)
        if unclipped.size < index.size:
            index, before = index[unclipped], before.part(unclipped)
            colour, basis = np.take(colour, unclipped, axis=1), np.take(basis, unclipped, axis=1)
        unlit = np.exp(before.log_unlit)
        usual = occlusion.variance[index]
        variance = usual + albedo.variance[index] + np.float32(0.36) * albedo.edge[index]
        trust = np.minimum(seen.facing[index] * 2.0, 1.0) * (1.0 - occlusion.probability[index]) * (usual / variance)
        heavy = 1.0 / (np.float32(3.0 * _TAIL) * variance)
        irradiance, residual, away = before.irradiance, before.off, before.away
        weight = trust
        if light is not None:
            weight = trust / (1.0 + away * heavy)
            # A step of exposure or white balance moves the whole prior, at once.
            light = light * np.exp((residual @ weight) / weight.sum())
            weight = weight / np.square(LUMA @ irradiance)
        for sweep in range(_FRESH_SOLVES if light is None else _RESUMED_SOLVES):
            if sweep:
                away = np.square(residual).sum(axis=0)
                weight = trust / (np.square(LUMA @ irradiance) * (1.0 + away * heavy))
            solved = solve_light(basis, unlit, weight, light, _HOLD + _HOLD_IN_DOUBT * person.doubt)
            irradiance = floored(solved.astype(np.float32).T @ basis)
            residual = before.log_unlit - np.log(irradiance)
        person.light_moved = np.inf if light is None else float(np.sqrt(np.square(residual - before.off).mean()))
        person.light = solved
        predicted = colour * np.exp(-residual)
        return Explained(seen, glimpse.cutout, index, colour, irradiance, predicted, residual, variance)

    def _occlusion(self, person: _Person, explained: Explained) -> Float32:
        index, albedo = explained.index, person.albedo
        noise = np.square(np.float32(_CODE_STEP) / (LUMA @ explained.predicted))
        person.around.clear()
        slant = 1.0 / np.maximum(explained.seen.facing[index], np.float32(_GRAZING)) - 1.0
        noise += np.square(np.minimum(np.float32(_SLANTED) * slant, np.float32(_MOST_SLANTED)))
        return person.occlusion.observe(
            index,
            explained.residual,
            albedo.variance[index] + noise,
            albedo.edge[index],
            explained.seen.stretch[index],
        )

    def _learn(
        self, person: _Person, explained: Explained, probability: Float32, face: Face, t_capture_ns: int
    ) -> None:
        seen, index, albedo = explained.seen, explained.index, person.albedo
        if person.fixed or person.doubt > _TEACHING_DOUBT:
            return
        free = 1.0 - probability
        view = np.square(np.minimum((seen.facing[index] - _GRAZING) * 2.0, 1.0))
        misfit = face.residual_px / max(float(face.box[2]), 1.0) / _GOOD_FIT
        centre = seen.pixels.mean(axis=1)
        moved = 0.0 if person.centre is None else float(np.linalg.norm(centre - person.centre)) / seen.spacing_px
        person.centre = centre
        sharp = 1.0 / (1.0 + (0.5 * moved) ** 2) * min(1.0, (seen.spacing_px / 2.0) ** 2)
        quality = sharp * face.confidence / (1.0 + misfit * misfit)
        if not person.tone.settled:
            bare = self.points.is_bare[index] & (probability < 0.5)
            if np.count_nonzero(bare) >= LEAST_POINTS:
                unlit = np.log(explained.irradiance[:, bare]) + explained.residual[:, bare]
                person.tone.observe(unlit.mean(axis=1))
        person.frames += 1
        pause_ns = _TEACH_KNOWN_NS if person.frames > _KNOWN_FRAMES else _TEACH_NS
        if person.frames > _EVERY_FRAME and 0 <= t_capture_ns - person.taught_ns < pause_ns:
            return
        person.taught_ns = t_capture_ns
        log_albedo = explained.residual + np.take(albedo.log, index, axis=1)
        albedo.learn(index, log_albedo, view * (free * free + _LEAK) * np.float32(quality))
        albedo.reconcile(1 if person.published is not None else _FIRST_SWEEPS)

    def _light(self, person: _Person) -> Illumination:
        assert person.light is not None
        sh = (person.light * np.exp(-person.tone.log_tone)).astype(np.float32)
        return Illumination(sh, exposure_of(sh), white_balance_of(sh))

    def _covered(self, person: _Person, explained: Explained, probability: Float32) -> Occlusion:
        shown = np.zeros((2, self.points.count), np.float32)
        shown[0, explained.index], shown[1, explained.index] = probability, 1.0
        covered, seen = shown @ self._regions
        shares = covered / np.maximum(seen, 1.0)
        return Occlusion(float(probability.mean()), shares, person.occlusion.probability, shown[1] > 0.0)

    def _published(self, person: _Person) -> Albedo:
        person.since_published += 1
        before = person.published
        if before is not None and person.since_published < _PUBLISH_EVERY:
            return before
        log = (person.albedo.log + person.tone.log_tone[:, None]).astype(np.float32)
        shown = person.published_log
        if before is not None and shown is not None and float(np.abs(log - shown).mean()) < _PUBLISH_CHANGE:
            return before
        person.published = self._albedo(person, 1 if before is None else before.version + 1)
        person.published_log, person.since_published = log, 0
        return person.published

    def _albedo(self, person: _Person, version: int) -> Albedo:
        log = (person.albedo.log + person.tone.log_tone[:, None]).astype(np.float32)
        known = person.albedo.seen
        return Albedo(
            points=np.ascontiguousarray(np.clip(np.exp(log), 0.0, 1.0).T),
            seen=known,
            coverage=float((known > 0.5).mean()),
            version=version,
        )


def _points_around(model: FaceModel, points: SkinPoints, set_name: str) -> tuple[NDArray[np.intp], Float32]:
    """The ``_AROUND`` skin points nearest to each landmark, (L, K), and their shares, which fall with distance."""
    landmarks = model.landmarks(model.template, set_name)
    squared = (
        (landmarks**2).sum(axis=1)[:, None] + (points.template**2).sum(axis=1) - 2.0 * landmarks @ points.template.T
    )
    index = np.argpartition(squared, _AROUND, axis=1)[:, :_AROUND]
    near = np.maximum(np.take_along_axis(squared, index, axis=1), 0.0)
    weight = 1.0 / (near + points.spacing_m**2)
    return index, (weight / weight.sum(axis=1, keepdims=True)).astype(np.float32)
