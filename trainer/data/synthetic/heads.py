"""Heads of other face models in the clothes of the built-in one.

Registration tells where every vertex of the built-in head lies on another model's head. So the other model's shapes and
expressions can be said on the built-in mesh: its skins, landmark sets, hair and glasses then fit without change, and all heads of
a batch are drawn in one go as members of one wider population.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from io import BytesIO
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor

from tracker.arkit import ARKIT_NAMES
from tracker.errors import ConfigError, FaceModelError
from tracker.face_model.model import EYE_LEFT, EYE_RIGHT, FaceModel

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

BUILTIN: Final = "builtin"
_NEAR: Final = 8
_NEAR_WHOLE: Final = 60
_EYES: Final = (("eye_left", EYE_LEFT), ("eye_right", EYE_RIGHT))
_RIGID: Final = ("teeth",)
_JAW_LIMITS: Final = (0.5, 1.5)
_MOST_SHUT: Final = 1.5
_LIDS: Final = {
    "eyeBlinkRight": ((160, 144), (159, 145), (158, 153)),
    "eyeBlinkLeft": ((387, 373), (386, 374), (385, 380)),
}
"""Points of ``mediapipe478`` on the upper and the lower lid of each eye."""


@dataclass(frozen=True, slots=True)
class CarriedHead:
    """A face model on the built-in mesh: V vertices, Ni identity components, ARKit's 52 expressions."""

    name: str
    licence: str
    template: Float32
    """(V, 3) metres."""
    identity_basis: Float32
    """(V, 3, Ni)."""
    expression_basis: Float32
    """(V, 3, 52) whole displacements, the jaw's included; eyeballs turn by ``joint_drive``."""
    joint_template: Float32
    """(J, 3)."""
    joint_identity: Float32
    """(J, 3, Ni)."""
    joint_drive: Float32
    """(52, J, 3)."""

    def packed(self) -> bytes:
        """As an .npz: bases in half precision."""
        out = BytesIO()
        arrays = {field.name: np.asarray(getattr(self, field.name)) for field in fields(self)}
        for name in ("identity_basis", "expression_basis", "joint_identity"):
            arrays[name] = arrays[name].astype(np.float16)
        np.savez_compressed(out, **arrays)  # type: ignore[arg-type]
        return out.getvalue()

    @classmethod
    def unpacked(cls, data: bytes) -> CarriedHead:
        """The way back. Raises ``ValueError`` or ``KeyError`` when the data is none."""
        with np.load(BytesIO(data), allow_pickle=False) as arrays:
            values = {field.name: arrays[field.name] for field in fields(cls)}
        name, licence = (str(values.pop(key)) for key in ("name", "licence"))
        return cls(name, licence, **{key: value.astype(np.float32) for key, value in values.items()})


def carry_head(model: FaceModel, builtin: FaceModel) -> CarriedHead:
    """Say another model's population and expressions on the built-in mesh. Takes about ten seconds.

    Skin moves as the other model's does where registration found a counterpart, and is continued smoothly elsewhere. Eyeballs
    take the other's place and size. Mouth and sockets go along with the skin near them; teeth and tongue do what
    the built-in ones do in an expression, as far as the other's jaw goes.

    Args:
        model: imported, with expressions under ARKit's names; those that it lacks are the built-in head's.
        builtin: the head that is drawn.

    Raises:
        FaceModelError: the model has no expressions under ARKit's names, or cannot be registered.
        NetworkAssetError: the networks have not been fetched.
    """
    from tracker.face_model.importing.expression_transfer import builtin_deltas
    from tracker.face_model.importing.registration import register
    from tracker.face_model.importing.registration.harmonic import extend
    from tracker.face_model.importing.registration.head_template import head_template

    named = [name for name in ARKIT_NAMES if name in model.expression_names]
    if not named:
        raise FaceModelError(
            f"face model '{model.name}' has no expressions under ARKit's names; synthetic faces need them "
            "(import it with --arkit-expressions)"
        )
    is_skin = model.parts == model.part_names.index("skin")
    found = register(model.template, model.faces, skin_faces=np.flatnonzero(is_skin[model.faces].all(axis=1)))
    skin = head_template()
    known = found.builtin_on_mesh.valid[skin.vertex_ids]
    follow = _Follower(builtin, skin.vertex_ids)

    def on_skin(values: NDArray[np.floating]) -> Float64:
        """(n, 3 K) of (V', 3, K)."""
        carried = found.builtin_on_mesh.carry(values, model.faces)[skin.vertex_ids]
        return extend(carried.reshape(len(carried), -1), known, skin.faces)

    count = model.identity_count
    identity = follow(on_skin(model.identity_basis)).reshape(-1, 3, count)
    template = found.deformed.copy()
    for part, _ in _EYES:
        own, other = _rows(builtin, part), _rows(model, part)
        (centre, radius), (place, size) = _ball(builtin.template[own]), _ball(model.template[other])
        template[own] = (builtin.template[own] - centre) * (size / radius) + place
        identity[own] = model.identity_basis[other].mean(axis=0)
    own_deltas = builtin_deltas()
    expression = own_deltas.copy()
    for part, _ in _EYES:
        expression[_rows(builtin, part)] = 0.0
    index = [ARKIT_NAMES.index(name) for name in named]
    wanted = on_skin(model.expression_basis[:, :, [model.expression_names.index(name) for name in named]])
    on_mesh = follow(wanted - own_deltas[skin.vertex_ids][:, :, index].reshape(len(wanted), -1))
    changed = own_deltas[:, :, index] + on_mesh.reshape(-1, 3, len(index))
    bends = np.isin(builtin.parts, [builtin.part_names.index(name) for name in ("skin", "inner_mouth", "eye_socket")])
    for column, row in enumerate(index):
        expression[bends, :, row] = changed[bends, :, column]
    _scale_jaw(expression, own_deltas, wanted.reshape(len(wanted), 3, -1), index, skin.vertex_ids, builtin)
    _shut(expression, template, own_deltas, builtin)
    drive = np.zeros((len(ARKIT_NAMES), len(builtin.joint_template), 3))
    for _, joint in _EYES:
        drive[index, joint] = model.joint_drive[[model.expression_names.index(name) for name in named], joint]
    return CarriedHead(
        model.name,
        model.licence,
        template.astype(np.float32),
        identity.astype(np.float32),
        expression.astype(np.float32),
        model.joint_template,
        model.joint_identity,
        drive.astype(np.float32),
    )


class _Follower:
    """Spreads what the skin does to the parts behind it."""

    def __init__(self, builtin: FaceModel, skin: NDArray[np.intp]) -> None:
        self._skin = skin
        self._count = builtin.vertex_count
        self._near: list[tuple[NDArray[np.intp], NDArray[np.intp], Float64]] = []
        for part in set(builtin.part_names) - {"skin"}:
            rows = _rows(builtin, part)
            place = builtin.template[rows].astype(np.float64)
            asked = place.mean(axis=0, keepdims=True) if part in _RIGID else place
            distance = np.linalg.norm(asked[:, None] - builtin.template[skin][None], axis=2)
            near = np.argpartition(distance, _NEAR_WHOLE, axis=1)[:, : _NEAR_WHOLE if part in _RIGID else _NEAR]
            share = 1.0 / (np.take_along_axis(distance, near, 1) + 1e-4) ** 2
            self._near.append((rows, near, share / share.sum(axis=1, keepdims=True)))

    def __call__(self, values: Float64) -> Float64:
        """(V, C) of (n, C) at the skin."""
        out = np.zeros((self._count, values.shape[1]))
        out[self._skin] = values
        for rows, near, share in self._near:
            out[rows] = np.einsum("nk,nkc->nc", share, values[near])
        return out


def _scale_jaw(
    expression: Float64, own: Float64, wanted: Float64, index: list[int], skin: NDArray[np.intp], builtin: FaceModel
) -> None:
    """Teeth and tongue, in place: as far as the other's chin goes, compared with the built-in head's."""
    chin = builtin.regions[skin, builtin.region_names.index("chin")]
    inner = np.isin(builtin.parts, [builtin.part_names.index(name) for name in ("teeth", "tongue")])
    for column, name in enumerate(index):
        mine, other = own[skin[chin], :, name], wanted[chin, :, column]
        share = float((mine * other).sum() / max((mine * mine).sum(), 1e-9))
        expression[inner, :, name] = own[inner, :, name] * np.clip(share, *_JAW_LIMITS)


def _shut(expression: Float64, template: Float64, own: Float64, builtin: FaceModel) -> None:
    """Blinks, in place, made to shut the eye as far as the built-in head's do: a slit is all that registration's error leaves."""
    for name, pairs in _LIDS.items():
        index = ARKIT_NAMES.index(name)
        upper, lower = np.array(pairs).T

        def gap(vertices: NDArray[np.floating], upper: Any = upper, lower: Any = lower) -> float:
            points = builtin.landmarks(np.asarray(vertices, np.float32), "mediapipe478")
            return float((points[upper, 1] - points[lower, 1]).mean())

        left_open = gap(builtin.template + own[:, :, index]) / gap(builtin.template)
        whole, shut = gap(template), gap(template + expression[:, :, index])
        share = (1.0 - left_open) * whole / max(whole - shut, 1e-6)
        expression[:, :, index] *= np.clip(share, 1.0, _MOST_SHUT)


def _rows(model: FaceModel, part: str) -> NDArray[np.intp]:
    if part not in model.part_names:
        raise FaceModelError(f"face model '{model.name}' has no part '{part}'; synthetic faces need eyeballs")
    return np.flatnonzero(model.parts == model.part_names.index(part))


def _ball(points: Float32) -> tuple[Float64, float]:
    """Centre and radius of an eyeball. The cornea bulges forward and does not count for the radius."""
    low, high = points.min(axis=0).astype(np.float64), points.max(axis=0).astype(np.float64)
    return (low + high) / 2.0, float(np.mean((high - low)[:2])) / 2.0


class Population:
    """The built-in head and carried ones as one face model, whose coefficients choose between them.

    Args:
        builtin: the head whose mesh they share.
        carried: others, drawn as often as the built-in one.
        names: those to draw, comma-separated; all if None.

    Raises:
        ConfigError: a name that is not there.
    """

    def __init__(self, builtin: FaceModel, carried: Sequence[CarriedHead], names: str | None = None) -> None:
        there = {BUILTIN: None} | {head.name: head for head in carried}
        chosen = list(there) if names is None else [name.strip() for name in names.split(",")]
        for name in chosen:
            if name not in there:
                raise ConfigError(
                    f"there is no head {name!r} among the assets ({', '.join(there)}): tracker models import it, "
                    f"then trainer prepare synthetic --heads {name}"
                )
        self.names = tuple(chosen)
        self._builtin = builtin
        self._heads = [head for name in chosen if (head := there[name]) is not None]
        self._order = torch.tensor(
            [0 if name == BUILTIN else 1 + [h.name for h in self._heads].index(name) for name in chosen]
        )
        self.model = _joined(builtin, self._heads)

    def draw(self, count: int, sigma: float, expression: Tensor, generator: Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Coefficients of drawn heads.

        Args:
            count: B.
            sigma: spread of identity coefficients, where 1 is a population's own.
            expression: (B, 52) ARKit weights.
            generator: of what is random.

        Returns:
            Identity (B, Ni') and weights (B, Ne') of ``model``, and the built-in head's identity (B, Ni), NaN for others.
        """
        own = self._builtin.identity_count
        identity = (torch.randn(count, own, generator=generator) * sigma).clamp(-3, 3)
        if not self._heads:
            return identity, expression, identity
        which = self._order[torch.randint(0, len(self._order), (count,), generator=generator)]
        is_own = (which == 0)[:, None]
        parts, weights = [identity * is_own], [expression * is_own]
        for number, head in enumerate(self._heads, 1):
            mine = (which == number)[:, None]
            drawn = (torch.randn(count, head.identity_basis.shape[2], generator=generator) * sigma).clamp(-3, 3)
            parts += [mine.float(), drawn * mine]
            weights.append(expression * mine)
        known = torch.where(is_own, identity, torch.full_like(identity, float("nan")))
        return torch.cat(parts, 1), torch.cat(weights, 1), known


def _joined(builtin: FaceModel, heads: Sequence[CarriedHead]) -> FaceModel:
    """One model with a coefficient that turns the built-in mean into each other's."""
    identity, expression = [builtin.identity_basis], [builtin.expression_basis]
    joints, drives = [builtin.joint_identity], [builtin.joint_drive]
    names, bounds = list(builtin.expression_names), [builtin.expression_bounds]
    for head in heads:
        identity += [(head.template - builtin.template)[:, :, None], head.identity_basis]
        joints += [(head.joint_template - builtin.joint_template)[:, :, None], head.joint_identity]
        expression.append(head.expression_basis)
        drives.append(head.joint_drive)
        names += [f"{head.name}:{name}" for name in ARKIT_NAMES]
        bounds.append(np.tile(np.array([0.0, 1.0], np.float32), (len(ARKIT_NAMES), 1)))
    return replace(
        builtin,
        identity_basis=np.concatenate(identity, axis=2),
        joint_identity=np.concatenate(joints, axis=2),
        expression_basis=np.concatenate(expression, axis=2),
        joint_drive=np.concatenate(drives),
        expression_names=tuple(names),
        expression_bounds=np.concatenate(bounds),
    )
