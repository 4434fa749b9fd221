"""Theseus and the tracker's own solver on the same problems: how far apart their faces lie, and how long each takes.

    python -m tools.compare_solvers
    python -m tools.compare_solvers --landmarks mediapipe478 --faces 8

A problem is a sampled face seen by a camera, its landmarks with noise, and one cost for both: reprojection in standard deviations
under Cauchy's function, unit Gaussians on identity and expression. Both go through the two stages from the same pose.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from tracker.camera import Camera
from tracker.errors import TrackerError
from tracker.face_model import FaceModel, load_face_model
from tracker.fitting.landmark_model import LandmarkModel
from tracker.fitting.residuals import FitState, IdentityPrior, Target
from tracker.fitting.solver import Solver
from tracker.rotations import matrix_from_rotvec
from trainer.fit_layer import FaceFit, FitConfig, FitLayer
from trainer.fit_layer.start import start_pose

_CAUCHY: Final = 3.0
_FOCAL_PX: Final = 800.0
_CENTRE_PX: Final = (320.0, 180.0)


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a run measured."""

    apart: NDArray[np.float64]
    """(F,) mean distance between the two faces' landmark points in camera axes, as a share of the eye distance."""
    apart_head: NDArray[np.float64]
    """(F,) the same in head axes: shape and expression alone."""
    theseus_ms: float
    """A face, in one batch."""
    ours_ms: float
    """A face, one after the other."""


def compare(
    model: FaceModel,
    landmark_set: str,
    faces: int,
    *,
    noise_px: float = 1.0,
    bounded: bool = False,
    iterations: int = 20,
    seed: int = 0,
) -> Comparison:
    """Solve ``faces`` problems with both.

    Args:
        model: any face model in the neutral format.
        landmark_set: one of its embeddings.
        faces: how many problems.
        noise_px: of the landmarks, and what both believe it to be.
        bounded: keep expression weights inside their bounds: exactly in ours, by a penalty in Theseus.
        iterations: of each stage, at most.
        seed: of the problems.

    Raises:
        TrainingError: Theseus is not installed.
    """
    config = FitConfig(
        cauchy=_CAUCHY, bounds_weight=30.0 if bounded else 0.0, rigid_iterations=iterations, iterations=iterations
    )
    layer = FitLayer(model, landmark_set, config, torch.float64)
    own = LandmarkModel(model, landmark_set)
    rng = np.random.default_rng(seed)
    camera = torch.tensor([[_FOCAL_PX, *_CENTRE_PX]], dtype=torch.float64).expand(faces, 3)
    turns = [matrix_from_rotvec(rng.uniform(-0.4, 0.4, 3)) @ np.diag([1.0, -1.0, -1.0]) for _ in range(faces)]
    shape = (faces, model.expression_count)
    truth = FaceFit(
        torch.tensor(np.stack(turns)),
        torch.tensor(rng.uniform(-0.05, 0.05, (faces, 3)) + np.array([0.0, 0.0, 0.5])),
        torch.tensor(rng.uniform(0.0, 0.5, shape) * rng.integers(0, 2, shape)),
        torch.tensor(rng.normal(0.0, 1.0, (faces, model.identity_count))),
    )
    landmarks = layer.project(truth, camera)
    landmarks = landmarks + noise_px * torch.tensor(rng.normal(0.0, 1.0, landmarks.shape))
    # Our model leaves out points that slide over the face: Theseus does too, so that both see the same.
    confidence = torch.zeros(faces, layer.points.count, dtype=torch.float64)
    confidence[:, own.order] = torch.tensor(np.sqrt(own.weight) / noise_px, dtype=torch.float64)
    with torch.no_grad():
        neutral = layer.points(torch.zeros_like(truth.expression), torch.zeros_like(truth.identity))
        rotation, translation = start_pose(landmarks, confidence, camera, neutral)
        start = FaceFit(rotation, translation, torch.zeros_like(truth.expression), torch.zeros_like(truth.identity))
        layer(landmarks[:1], confidence[:1], camera[:1])
        begun = time.perf_counter()
        theirs = layer(landmarks, confidence, camera, start)
        theseus_ms = (time.perf_counter() - begun) * 1e3 / faces
    begun = time.perf_counter()
    found = [_ours(model, own, landmarks[row], noise_px, start, row, bounded, iterations) for row in range(faces)]
    ours_ms = (time.perf_counter() - begun) * 1e3 / faces
    ours = FaceFit(*(torch.stack(parts) for parts in zip(*found, strict=True)))
    chosen = torch.tensor(own.order)
    heads = [layer.points(fit.expression, fit.identity)[:, chosen] for fit in (theirs, ours)]
    places = [
        head @ fit.rotation.transpose(1, 2) + fit.translation[:, None]
        for head, fit in zip(heads, (theirs, ours), strict=True)
    ]
    eyes = _eye_distance(model)
    return Comparison(
        ((places[0] - places[1]).norm(dim=2).mean(dim=1) / eyes).numpy(),
        ((heads[0] - heads[1]).norm(dim=2).mean(dim=1) / eyes).numpy(),
        theseus_ms,
        ours_ms,
    )


def _ours(
    model: FaceModel,
    own: LandmarkModel,
    landmarks: torch.Tensor,
    noise_px: float,
    start: FaceFit,
    row: int,
    bounded: bool,
    iterations: int,
) -> tuple[torch.Tensor, ...]:
    count = model.expression_count
    bounds = model.expression_bounds if bounded else np.tile(np.array([-1e3, 1e3], np.float32), (count, 1))
    solver = Solver(own, bounds)
    target = Target(
        points=np.ascontiguousarray(landmarks.numpy()[own.order], np.float32),
        precision=(own.weight / noise_px**2).astype(np.float32),
        expression_mean=np.zeros(count, np.float32),
        expression_sigma=np.ones(count, np.float32),
        expression_coupling=np.zeros((count, count)),
    )
    camera = Camera(640, 360, _FOCAL_PX, *_CENTRE_PX)
    state = FitState(start.rotation[row].numpy(), start.translation[row].numpy(), np.zeros(count, np.float32))
    own.set_identity(np.zeros(model.identity_count, np.float32))
    # To the end, as Theseus goes: in the tracker a frame is content with less.
    rigid = solver.solve(camera, target, state, iterations=iterations, expression=False, tolerance=1e-9)
    prior = IdentityPrior(np.eye(model.identity_count), np.zeros(model.identity_count))
    full = solver.solve(camera, target, rigid.state, iterations=iterations, identity_prior=prior, tolerance=1e-9)
    values = (full.state.rotation, full.state.translation, full.state.expression, full.identity)
    return tuple(torch.tensor(np.asarray(value), dtype=torch.float64) for value in values)


def _eye_distance(model: FaceModel) -> float:
    return float(np.linalg.norm(model.joint_template[3] - model.joint_template[4]))


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--landmarks", default="mediapipe478", help="landmark set of the built-in head (default: mediapipe478)"
    )
    parser.add_argument("--faces", type=int, default=8, help="how many problems (default: 8)")
    parser.add_argument("--noise", type=float, default=1.0, help="noise of the landmarks in pixels (default: 1)")
    options = parser.parse_args(argv)
    torch.set_num_threads(1)
    model = load_face_model()
    print(
        "| expression weights | apart, camera axes | apart, head axes | worst face | Theseus, ms a face | ours, ms a face |"
    )
    print("|---|---|---|---|---|---|")
    for bounded, label in ((False, "free"), (True, "inside their bounds")):
        try:
            found = compare(model, options.landmarks, options.faces, noise_px=options.noise, bounded=bounded)
        except TrackerError as error:
            print(f"compare_solvers: {error}", file=sys.stderr)
            return error.exit_code
        print(
            f"| {label} | {np.median(found.apart):.1e} | {np.median(found.apart_head):.1e} | {found.apart.max():.1e} "
            f"| {found.theseus_ms:.0f} | {found.ours_ms:.0f} |"
        )
    print(f"shares of the eye distance, medians over {options.faces} faces with {options.landmarks}")
    print("one thread, at most 20 + 20 iterations")
    return 0


if __name__ == "__main__":
    sys.exit(main())
