"""ARKit's 52 weights in the weights of a model whose expressions are its own, such as FLAME's, and back.

Forward, one column an expression: the bounded ridge least-squares weights that make the model's mesh move as the expression does
(``solve_arkit_map``). Backward, the most likely weights between 0 and 1: with e = A s + n, s ~ N(m, S) and n ~ N(0, N) those are
m + K (e - A m), K = S A' (A S A' + N)^-1, and where that leaves the bounds it is held on them and the rest solved again, once
(``ArkitReader``): antagonists such as looking left and right would share every motion otherwise. What the model cannot show
(the tongue) is the mean's, and a prior with the same m, S and N fits such models.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tracker.arkit import ARKIT_INDEX, ARKIT_NAMES
from tracker.face_model.model import EYE_LEFT, EYE_RIGHT, JAW, FaceModel
from tracker.face_model.store import load_face_model
from tracker.rotations import matrix_from_rotvec

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

_ROUNDS: Final = 4
_RIDGE_M: Final = 3e-5
"""How far (RMS) a vertex may stay off its place before a weight grows by one more unit."""
_STEP_RAD: Final = 1e-3
_SMALLEST_MOTION_M: Final = 1e-4
"""Expressions whose largest vertex motion stays below have no counterpart on the mesh (the tongue of a head without one)."""
_SKIN: Final = 0.5
_ENOUGH_VERTICES: Final = 1500
_EXPLAINED_ENOUGH: Final = 0.8
_CONTROL_NOISE: Final = {
    "jaw_pitch": 0.02, "jaw_yaw": 0.01, "jaw_roll": 0.01, "eye_left_pitch": 0.03, "eye_left_yaw": 0.03,
    "eye_right_pitch": 0.03, "eye_right_yaw": 0.03, "eyelid_left": 0.1, "eyelid_right": 0.1,
}  # fmt: skip
"""Radians and closure that ARKit's expressions leave unexplained."""
_LOOK: Final = "eyeLook"


@dataclass(frozen=True, slots=True)
class ArkitMap:
    """How a model makes ARKit's expressions."""

    forward: Float32
    """(Ne, 52) the model's weights per unit of each ARKit weight."""
    explained: Float32
    """(52,) share of the squared vertex motion of each expression that the model makes; 0 where it has no counterpart."""


def solve_arkit_map(
    model: FaceModel, targets: NDArray[np.floating], gaze: NDArray[np.floating], rows: NDArray[np.integer] | None = None
) -> ArkitMap:
    """Solve for the weights that make each ARKit expression.

    Args:
        model: the model, with or without ``CONTROL_NAMES``.
        targets: (V, 3, 52) metres: where every vertex of the mean head goes with each expression at 1, turns of jaw included.
        gaze: (52, 2, 3) radians: axis-angle of the left, the right eye with each expression; eyeballs follow it exactly.
        rows: vertices to look at; by default the skin.

    Raises:
        ValueError: a shape is wrong.
    """
    if targets.shape != (model.vertex_count, 3, len(ARKIT_NAMES)) or gaze.shape != (len(ARKIT_NAMES), 2, 3):
        raise ValueError(
            f"expected targets ({model.vertex_count}, 3, 52) and gaze (52, 2, 3), got {targets.shape} and {gaze.shape}"
        )
    if rows is None:
        rows = np.flatnonzero(model.skin_mask > _SKIN)
    part = _Part(model, rows)
    count = len(ARKIT_NAMES)
    forward = np.zeros((model.expression_count, count))
    explained = np.zeros(count)
    turned = _eye_weights(model, gaze)
    for index in range(count):
        goal = targets[rows, :, index].astype(np.float64)
        if np.linalg.norm(goal, axis=1).max(initial=0.0) < _SMALLEST_MOTION_M and not gaze[index].any():
            continue
        forward[:, index] = _solve(part, goal, turned[:, index])
        total = float((goal**2).sum())
        # A turned eyeball without any skin is followed exactly.
        explained[index] = 1.0
        if total > 0.0:
            missed = float(((part.motion(forward[:, index]) - goal) ** 2).sum())
            # Where the eyeball's turn is given, the skin around it can end up worse than at rest.
            explained[index] = max(0.0, 1.0 - missed / total)
    return ArkitMap(forward.astype(np.float32), explained.astype(np.float32))


class _Part:
    """Some vertices of the mean head as a function of all weights."""

    def __init__(self, model: FaceModel, rows: NDArray[np.integer]) -> None:
        correctives = model.pose_correctives
        # The same model with nothing but these vertices: posing it costs what they cost.
        self.model = replace(
            model,
            template=model.template[rows],
            identity_basis=np.zeros((len(rows), 3, 0), np.float32),
            joint_identity=np.zeros((*model.joint_identity.shape[:2], 0), np.float32),
            expression_basis=model.expression_basis[rows],
            skin_weights=model.skin_weights[rows],
            pose_correctives=None if correctives is None else correctives[rows],
        )
        self.basis = self.model.expression_basis.astype(np.float64)
        self._rest = self._points(np.zeros(model.expression_count))
        self.turning = np.flatnonzero(np.abs(model.joint_drive).sum(axis=(1, 2)) > 0.0)
        self.lower = model.expression_bounds[:, 0].astype(np.float64)
        self.upper = model.expression_bounds[:, 1].astype(np.float64)

    def _points(self, weights: Float64) -> Float64:
        params = self.model.params_of(weights.astype(np.float32), np.zeros(3), np.zeros(3))
        points: Float64 = self.model.vertices_head(np.zeros(0, np.float32), params).astype(np.float64)
        return points

    def motion(self, weights: Float64) -> Float64:
        """(n, 3) metres away from the relaxed head."""
        moved: Float64 = self._points(weights) - self._rest
        return moved

    def jacobian(self, weights: Float64) -> Float64:
        """(n, 3, Ne)."""
        driven = self.model.driven_rotations(weights)
        skin = self.model.skin_weights.astype(np.float64)
        turn = np.zeros((len(skin), 3, 3)) + np.eye(3)
        for joint in (JAW, EYE_LEFT, EYE_RIGHT):
            turn += skin[:, joint, None, None] * (matrix_from_rotvec(driven[joint]) - np.eye(3))
        jacobian: Float64 = np.matmul(turn, self.basis)
        base = self._points(weights)
        for column in self.turning:
            moved = weights.copy()
            moved[column] += _STEP_RAD
            jacobian[:, :, column] = (self._points(moved) - base) / _STEP_RAD
        return jacobian


def _eye_weights(model: FaceModel, gaze: NDArray[np.floating]) -> Float64:
    """(Ne, 52) weights that turn the eyeballs as each expression does, NaN for weights that turn no eye."""
    drive = model.joint_drive[:, [EYE_LEFT, EYE_RIGHT]].astype(np.float64).reshape(model.expression_count, 6)
    turned = np.full((model.expression_count, len(ARKIT_NAMES)), np.nan)
    eyes = np.flatnonzero(np.abs(drive).sum(axis=1) > 0.0)
    if eyes.size:
        turned[eyes] = np.linalg.pinv(drive[eyes].T) @ gaze.reshape(len(ARKIT_NAMES), 6).T.astype(np.float64)
    return turned


def _solve(part: _Part, goal: Float64, turned: Float64) -> Float64:
    """(Ne,) Gauss-Newton with an active set for the bounds."""
    given = np.isfinite(turned)
    weights = np.where(given, turned, 0.0)
    ridge = _RIDGE_M**2 * len(goal) * np.eye(len(weights))
    for _ in range(_ROUNDS):
        jacobian = part.jacobian(weights).reshape(-1, len(weights))
        residual = (goal - part.motion(weights)).ravel()
        normal = jacobian.T @ jacobian + ridge
        # The next weights, not the step, carry the ridge.
        right = jacobian.T @ (residual + jacobian @ weights)
        held = given.copy()
        for _ in range(_ROUNDS):
            free = np.flatnonzero(~held)
            solved = np.linalg.solve(
                normal[np.ix_(free, free)], right[free] - normal[np.ix_(free, held)] @ weights[held]
            )
            weights[free] = np.clip(solved, part.lower[free], part.upper[free])
            outside = weights[free] != solved
            if not outside.any():
                break
            held[free[outside]] = True
    return weights


class ArkitReader:
    """ARKit weights from a model's own weights."""

    def __init__(self, forward: NDArray[np.floating], sigma: NDArray[np.floating], noise: NDArray[np.floating]) -> None:
        """Prepare.

        Args:
            forward: (Ne, 52) of ``ArkitMap``.
            sigma: (52,) how far ARKit weights stray from their mean.
            noise: (Ne,) how far the model's weights stray from what ARKit weights make of them.
        """
        self._forward: Float64 = np.asarray(forward, np.float64)
        spread: Float64 = self._forward * np.asarray(sigma, np.float64) ** 2
        own: Float64 = np.asarray(noise, np.float64) ** 2
        self.covariance: Float64 = np.matmul(spread, self._forward.T) + np.diag(own)
        """(Ne, Ne) of the model's weights around their mean."""
        prior = 1.0 / np.asarray(sigma, np.float64) ** 2
        self._prior: Float64 = prior
        self._evidence: Float64 = (self._forward / own[:, None]).T
        self._information: Float64 = np.diag(prior) + np.matmul(self._evidence, self._forward)
        self._gain: Float64 = np.linalg.solve(self._information, self._evidence)
        # What does not reach the mesh is taken from the mean as it is.
        self._offset: Float64 = np.eye(len(prior)) - self._gain @ self._forward

    def mean_weights(self, arkit: NDArray[np.floating]) -> Float64:
        """(Ne,) the model's weights that ARKit weights (52,) make."""
        weights: Float64 = self._forward @ arkit
        return weights

    def __call__(self, weights: NDArray[np.floating], mean: NDArray[np.floating] | None = None) -> Float32:
        """ARKit weights (52,) in 0..1 of a face with weights (Ne,), where ``mean`` (52,) was expected (None: nothing)."""
        expected = np.zeros(len(self._prior)) if mean is None else np.asarray(mean, np.float64)
        found: Float64 = self._gain @ weights + self._offset @ expected
        clipped = np.clip(found, 0.0, 1.0)
        free = np.flatnonzero(found == clipped)
        if 0 < free.size < found.size:
            held = np.flatnonzero((found != clipped) & (clipped > 0.0))
            right = (self._prior * expected + self._evidence @ weights)[free]
            right -= self._information[np.ix_(free, held)] @ clipped[held]
            clipped[free] = np.linalg.solve(self._information[np.ix_(free, free)], right)
        arkit: Float32 = np.clip(clipped, 0.0, 1.0).astype(np.float32)
        return arkit


def default_noise(model: FaceModel, coefficient: float = 0.35) -> Float64:
    """(Ne,) how far weights stray from ARKit's expressions: ``coefficient`` standard deviations of the population for
    expressions scaled to N(0, 1), less for joints and lids, which ARKit's expressions name well.
    """
    noise = np.full(model.expression_count, coefficient)
    for index in range(len(model.published_names), model.expression_count):
        noise[index] = _CONTROL_NOISE[model.expression_names[index]]
    return noise


def plausible_weights(count: int, seed: int = 0) -> Float32:
    """(count, 52) ARKit weights as faces make them: a few at a time, both sides mostly alike, opposites apart."""
    rng = np.random.default_rng(seed)
    active = rng.uniform(size=(count, len(ARKIT_NAMES))) < 0.12
    weights = np.where(active, rng.uniform(0.1, 1.0, (count, len(ARKIT_NAMES))), 0.0)
    for name, index in ARKIT_INDEX.items():
        if name.endswith("Left") and (partner := ARKIT_INDEX.get(name.removesuffix("Left") + "Right")) is not None:
            if name.startswith((_LOOK, "jaw")) or name == "mouthLeft":
                continue
            alike = rng.uniform(size=count) < 0.75
            weights[alike, partner] = np.clip(weights[alike, index] * rng.normal(1.0, 0.1, int(alike.sum())), 0.0, 1.0)
    for a, b in (("jawLeft", "jawRight"), ("mouthLeft", "mouthRight")):
        weights[:, ARKIT_INDEX[b]] *= weights[:, ARKIT_INDEX[a]] == 0.0
    yaw, pitch = rng.uniform(-0.7, 0.7, count), rng.uniform(-0.7, 0.7, count)
    for side, sign in (("Left", 1.0), ("Right", -1.0)):
        weights[:, ARKIT_INDEX[f"eyeLookOut{side}"]] = np.clip(sign * yaw, 0.0, 1.0)
        weights[:, ARKIT_INDEX[f"eyeLookIn{side}"]] = np.clip(-sign * yaw, 0.0, 1.0)
        weights[:, ARKIT_INDEX[f"eyeLookUp{side}"]] = np.clip(pitch, 0.0, 1.0)
        weights[:, ARKIT_INDEX[f"eyeLookDown{side}"]] = np.clip(-pitch, 0.0, 1.0)
    jaw, close = ARKIT_INDEX["jawOpen"], ARKIT_INDEX["mouthClose"]
    weights[:, close] = np.minimum(weights[:, close], weights[:, jaw])
    return weights.astype(np.float32)


def with_arkit_map(
    model: FaceModel, names: tuple[str, ...], targets: NDArray[np.floating], known: NDArray[np.bool_] | None = None
) -> FaceModel:
    """The model with its map solved for.

    Args:
        model: a model whose expressions are its own.
        names: the expressions of ``targets``, ARKit's in any order.
        targets: (V, 3, 52) metres: where every vertex of the mean head goes with each at 1, turns of the jaw included.
        known: (V,) vertices whose targets can be trusted; by default the skin.

    Raises:
        ValueError: a shape or a name is wrong.
    """
    if sorted(names) != sorted(ARKIT_NAMES) or targets.shape[2:] != (len(names),):
        raise ValueError(
            f"expected targets for ARKit's 52 expressions, got {len(names)} names and shape {targets.shape}"
        )
    order = [names.index(name) for name in ARKIT_NAMES]
    source = load_face_model()
    turned = source.joint_drive[[source.expression_names.index(name) for name in ARKIT_NAMES]]
    seen = model.skin_mask > _SKIN if known is None else known & (model.skin_mask > _SKIN)
    # Neighbours move alike: every so-manieth vertex says as much.
    rows = np.flatnonzero(seen)[:: max(1, int(seen.sum()) // _ENOUGH_VERTICES)]
    solved = solve_arkit_map(model, targets[:, :, order], turned[:, [EYE_LEFT, EYE_RIGHT]], rows)
    return replace(model, arkit_map=solved.forward, arkit_explained=solved.explained)


@dataclass(frozen=True, slots=True)
class RoundTrip:
    """What becomes of ARKit weights by way of the model, per expression."""

    correlation: Float64
    """(52,), NaN for those without a counterpart."""
    rmse: Float64
    """(52,)."""


def round_trip(model: FaceModel, reader: ArkitReader, count: int = 2000) -> RoundTrip:
    """``plausible_weights`` to the model's weights inside its bounds, and back with nothing known beforehand."""
    wanted = plausible_weights(count).astype(np.float64)
    weights = np.clip(
        (wanted @ model.arkit_map.T) if model.arkit_map is not None else np.zeros((count, model.expression_count)),
        model.expression_bounds[:, 0],
        model.expression_bounds[:, 1],
    )
    found = np.stack([reader(row) for row in weights]).astype(np.float64)
    correlation = np.full(len(ARKIT_NAMES), np.nan)
    for index in range(len(ARKIT_NAMES)):
        if found[:, index].std() > 1e-6:
            correlation[index] = np.corrcoef(wanted[:, index], found[:, index])[0, 1]
    rmse: Float64 = np.sqrt(((found - wanted) ** 2).mean(axis=0))
    return RoundTrip(correlation, rmse)


def describe_arkit_map(model: FaceModel) -> tuple[str, ...]:
    """Lines for people: how well the model makes ARKit's expressions, and which it cannot. Empty without a map."""
    if model.arkit_map is None or model.arkit_explained is None:
        return ()
    explained = model.arkit_explained
    known = np.abs(model.arkit_map).max(axis=0) > 0.0
    missing = [name for name in ARKIT_NAMES if not known[ARKIT_INDEX[name]]]
    poor = [
        f"{name} {explained[ARKIT_INDEX[name]]:.0%}"
        for name in ARKIT_NAMES
        # Gaze is the eyeball's turn, which is exact; the lids that follow it are a detail.
        if not name.startswith(_LOOK) and known[ARKIT_INDEX[name]] and explained[ARKIT_INDEX[name]] < _EXPLAINED_ENOUGH
    ]
    trip = round_trip(model, ArkitReader(model.arkit_map, np.full(len(ARKIT_NAMES), 0.3), default_noise(model)))
    lines = [
        f"ARKit map: {int(known.sum())} of 52 expressions, {np.median(explained[known]):.0%} of their motion in the median",
        f"there and back: correlation {np.nanmedian(trip.correlation):.2f}, error {np.median(trip.rmse):.3f} RMS (medians)",
    ]
    if poor:
        lines.append(f"made only in part: {', '.join(poor)}")
    if missing:
        lines.append(f"no counterpart: {', '.join(missing)} (published as the networks score them)")
    return tuple(lines)
