"""Landmarks in, face parameters out, with gradients: two-stage Levenberg-Marquardt by Theseus (the thesis, section 3.4).

First rotation and translation, then all parameters. The layer can stand at the end of a network: gradients of a loss on the
parameters reach the landmarks and their confidences, and with ``unroll`` the initial parameters too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor, nn

from tracker.extras import require
from tracker.face_model import FaceModel
from trainer.errors import TrainingError
from trainer.fit_layer.config import FitConfig
from trainer.fit_layer.landmark_model import TorchLandmarkModel
from trainer.fit_layer.start import start_pose
from trainer.image_formation.rotations import matrix_from_rotvec

_TAIL_DAMPING: Final = 1e-6


@dataclass(frozen=True, slots=True)
class FaceFit:
    """Parameters of a batch of faces: where a fit starts, and what it ends with."""

    rotation: Tensor
    """(B, 3, 3) head axes to camera axes."""
    translation: Tensor
    """(B, 3) metres."""
    expression: Tensor
    """(B, Ne) all weights, controls included."""
    identity: Tensor
    """(B, Ni)."""
    cost: Tensor | None = None
    """(B,) half the sum of squares at the end."""


class FitLayer(nn.Module):
    """Fits a face model to landmarks.

    Args:
        model: any face model in the neutral format.
        landmark_set: one of its embeddings, or ``(faces, barycentric)``.
        config: iterations, weights, the way back.
        dtype: of the solve; float64 where gradients are checked.

    Raises:
        TrainingError: Theseus is not installed.
    """

    bounds: Tensor

    def __init__(
        self, model: FaceModel, landmark_set: Any, config: FitConfig | None = None, dtype: torch.dtype = torch.float32
    ) -> None:
        super().__init__()
        require_theseus()
        self.config = config if config is not None else FitConfig()
        self.points = TorchLandmarkModel(model, landmark_set, dtype)
        bounds = torch.tensor(model.expression_bounds, dtype=dtype).T.reshape(1, -1)
        self.register_buffer("bounds", bounds, persistent=False)
        self._dtype = dtype
        self._rigid = self._solver(rigid=True) if self.config.rigid_iterations else None
        self._full = self._solver(rigid=False)

    def forward(self, landmarks: Tensor, confidence: Tensor, camera: Tensor, start: FaceFit | None = None) -> FaceFit:
        """Fit.

        Args:
            landmarks: (B, L, 2) in the unit of ``camera``: pixels, or fractions of a crop's side. NaN where unknown.
            confidence: (B, L) what residuals are multiplied by: 1 / sigma, or a network's own confidence. 0 leaves a point out.
            camera: (B, 3) focal length and principal point.
            start: initial parameters, such as a network's. By default a weak-perspective pose of the mean face.

        Raises:
            TrainingError: shapes that do not fit the landmark set.
        """
        count = self.points.count
        if landmarks.shape[1:] != (count, 2) or confidence.shape[1:] != (count,) or camera.shape[1:] != (3,):
            raise TrainingError(
                f"the fit of {count} landmarks takes landmarks (B, {count}, 2), confidence (B, {count}) and camera (B, 3), got "
                f"{tuple(landmarks.shape)}, {tuple(confidence.shape)} and {tuple(camera.shape)}"
            )
        known = ~landmarks.isnan().any(dim=2)
        landmarks = torch.where(known[:, :, None], landmarks, camera[:, None, 1:]).to(self._dtype)
        confidence = torch.where(known, confidence, torch.zeros_like(confidence)).to(self._dtype)
        camera = camera.to(self._dtype)
        start = self._start(landmarks, confidence, camera, start)
        self._to(landmarks.device)
        if self._rigid is not None:
            found, _ = self._solve(self._rigid, landmarks, confidence, camera, start, self.config.rigid_iterations)
            start = FaceFit(found.rotation, found.translation, start.expression, start.identity)
        fitted, cost = self._solve(self._full, landmarks, confidence, camera, start, self.config.iterations)
        return FaceFit(fitted.rotation, fitted.translation, fitted.expression, fitted.identity, cost)

    def project(self, fit: FaceFit, camera: Tensor) -> Tensor:
        """Landmarks (B, L, 2) of parameters."""
        head = self.points(fit.expression, fit.identity)
        place = head @ fit.rotation.transpose(1, 2) + fit.translation[:, None]
        projected: Tensor = place[:, :, :2] / place[:, :, 2:] * camera[:, None, :1] + camera[:, None, 1:]
        return projected

    def _solve(
        self, layer: Any, landmarks: Tensor, confidence: Tensor, camera: Tensor, start: FaceFit, iterations: int
    ) -> tuple[FaceFit, Tensor]:
        inputs = {
            "landmarks": landmarks.flatten(1),
            "confidence": confidence,
            "camera": camera,
            "start": start.rotation.flatten(1),
            "turn": torch.zeros_like(start.translation),
            "translation": start.translation,
            "expression": start.expression,
            "identity": start.identity,
        }
        rigid = layer is self._rigid
        backward = self.config.backward
        options: dict[str, Any] = {
            "damping": self.config.damping,
            "adaptive_damping": True,
            "ellipsoidal_damping": True,
        }
        if backward in ("unroll", "dlm"):
            options["backward_mode"] = backward
        # Unless everything is unrolled, stage one only finds where stage two starts.
        through = backward == "unroll" or (backward == "dlm" and not rigid)
        layer.optimizer.set_params(max_iterations=iterations)
        with torch.set_grad_enabled(torch.is_grad_enabled() and through):
            solved, info = layer.forward(inputs, optimizer_kwargs=options)
        learning = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in inputs.values())
        if backward == "exact" and not rigid and learning:
            solved = _attached(layer.objective, inputs, solved)
        elif backward in ("implicit", "truncated") and not rigid and learning:
            # With steps that are never refused: near the solution rounding alone refuses some, and with them their gradients.
            layer.optimizer.set_params(max_iterations=self.config.backward_iterations if backward == "truncated" else 1)
            tail = {"damping": _TAIL_DAMPING, "ellipsoidal_damping": True, "backward_mode": "unroll"}
            detached = {name: value.detach() for name, value in solved.items()}
            solved, info = layer.forward({**inputs, **detached}, optimizer_kwargs=tail)
        fit = FaceFit(
            matrix_from_rotvec(solved["turn"]) @ start.rotation,
            solved["translation"],
            start.expression if rigid else solved["expression"],
            start.identity if rigid else solved["identity"],
        )
        return fit, info.last_err.detach().to(landmarks)

    def _start(self, landmarks: Tensor, confidence: Tensor, camera: Tensor, start: FaceFit | None) -> FaceFit:
        batch = len(landmarks)
        if start is not None:
            return FaceFit(
                *(t.to(self._dtype) for t in (start.rotation, start.translation, start.expression, start.identity))
            )
        expression = landmarks.new_zeros(batch, self.points.expression_count)
        identity = landmarks.new_zeros(batch, self.points.identity_count)
        with torch.no_grad():
            rotation, translation = start_pose(landmarks, confidence, camera, self.points(expression, identity))
        return FaceFit(rotation, translation, expression, identity)

    def _solver(self, rigid: bool) -> Any:
        import theseus as th

        from trainer.fit_layer.costs import Bounds, Reprojection

        config, dtype = self.config, self._dtype
        count, ne, ni = self.points.count, self.points.expression_count, self.points.identity_count

        def given(name: str, size: int) -> Any:
            return th.Variable(torch.zeros(1, size, dtype=dtype), name=name)

        def unknown(name: str, size: int) -> Any:
            return th.Vector(size, name=name, dtype=dtype)

        def weight(value: float) -> Any:
            return th.ScaleCostWeight(torch.tensor([[value]], dtype=dtype))

        pose = (unknown("turn", 3), unknown("translation", 3))
        shape = (unknown("expression", ne), unknown("identity", ni))
        observed = (given("landmarks", 2 * count), given("confidence", count), given("camera", 3), given("start", 9))
        objective = th.Objective(dtype=dtype)
        objective.add(
            Reprojection(self.points, pose, shape, observed, rigid, config.cauchy, weight(1.0), "reprojection")
        )
        if not rigid:
            for values, factor in zip(shape, (config.expression_weight, config.identity_weight), strict=True):
                if factor:
                    mean = th.Vector(tensor=torch.zeros(1, values.dof(), dtype=dtype), name=f"{values.name}_mean")
                    objective.add(th.Difference(values, mean, weight(factor), name=f"{values.name}_l2"))
            if config.bounds_weight:
                limits = th.Variable(self.bounds.clone(), name="bounds")
                objective.add(Bounds(shape[0], limits, weight(config.bounds_weight), "expression_bounds"))
        # A refused step leaves the cost as it is, which tolerances above zero take for convergence.
        optimizer = th.LevenbergMarquardt(
            objective, linear_solver_cls=th.CholeskyDenseSolver, abs_err_tolerance=0.0, rel_err_tolerance=0.0
        )
        # Every term is batched already; vectorising would also take linearised residuals for those that the cost is made of.
        return th.TheseusLayer(optimizer, vectorize=False)

    def _to(self, device: torch.device) -> None:
        # Theseus keeps its variables outside of the module's tree.
        for layer in (self._rigid, self._full):
            if layer is not None and layer.device != device:
                layer.to(device=device)


def _attached(objective: Any, inputs: dict[str, Tensor], solved: dict[str, Tensor]) -> dict[str, Tensor]:
    """The solution x as a function of the inputs: x - H^-1 grad C(x, inputs), one step of Newton's method.

    Its derivative by the inputs is the implicit function theorem's, -H^-1 d grad C / d inputs.
    """
    unknowns = {name: value.detach().requires_grad_() for name, value in solved.items()}
    objective.update({**inputs, **unknowns})
    cost = objective.error_metric().sum()
    gradient = torch.cat(torch.autograd.grad(cost, list(unknowns.values()), create_graph=True), dim=1)
    batch, size = gradient.shape
    directions = torch.eye(size, dtype=gradient.dtype, device=gradient.device)[:, None].expand(-1, batch, -1)
    rows = torch.autograd.grad(
        gradient, list(unknowns.values()), directions, retain_graph=True, is_grads_batched=True, materialize_grads=True
    )
    hessian = torch.cat([row.detach() for row in rows], dim=2).transpose(0, 1)
    step = torch.linalg.solve(hessian, gradient)
    sizes = [value.shape[1] for value in unknowns.values()]
    moved = torch.cat([value.detach() for value in unknowns.values()], dim=1) - step
    return dict(zip(unknowns, moved.split(sizes, dim=1), strict=True))


def require_theseus() -> None:
    """Raises ``TrainingError`` with the way to install it when Theseus is missing."""
    try:
        require("theseus", "theseus", "fitting as a layer", TrainingError)
    except TrainingError:
        raise TrainingError(
            "fitting as a layer needs Theseus, which is built against torch and libsuitesparse-dev: run `make theseus`"
        ) from None
