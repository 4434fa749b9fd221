"""What enrolling buys, and whether published standard deviations are honest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tools.evaluation import metrics
from tools.evaluation.subjects import subjects
from tools.evaluation.synthetic import face_area, shape_errors_mm
from tools.evaluation.tracking import Encoded, Follower, fit
from tracker.camera import Camera
from tracker.enrolment.enroller import Enroller, Report
from tracker.errors import EnrolmentError
from tracker.face_model import FaceModel
from tracker.fitting.fitter import FaceFitter
from tracker.fitting.identity import shape_metric
from tracker.fitting.landmark_model import LandmarkModel
from tracker.fitting.stage import FitStage
from tracker.types import Face

Float32 = NDArray[np.float32]


def enrol(model: FaceModel, set_name: str, encoded: Sequence[Encoded], focal_px: float | None, known: bool) -> Report:
    """Enrol from a stream. Raises EnrolmentError when it is too short."""
    enroller = Enroller(model, set_name)
    for seen in encoded:
        for observation in seen.observations[:1]:
            enroller.add(observation, Camera.for_image(seen.width, seen.height, focal_px))
    return enroller.solve(focal_known=known)


def halves(model: FaceModel, set_name: str, clips: dict[str, Sequence[Encoded]]) -> dict[str, Any]:
    """Each clip's second half, tracked with and without the enrolment from its first: shapes in the first second, expressions."""
    area = face_area(model)
    first_second: dict[str, list[float]] = {"live": [], "enrolled": []}
    bend: dict[str, list[float]] = {"live": [], "enrolled": []}
    apart, rejected = [], 0
    for encoded in clips.values():
        middle = len(encoded) // 2
        one, other = encoded[:middle], encoded[middle:]
        try:
            reports = [enrol(model, set_name, half, None, True) for half in (one, other)]
        except EnrolmentError:
            continue
        shapes = [model.neutral_vertices(report.enrolment.identity)[area] for report in reports]
        apart.append(_mm(*shapes))
        for name, enrolment in (("live", None), ("enrolled", reports[0].enrolment)):
            stage = FitStage(model, set_name, enrolment=enrolment)
            faces: list[Face] = []
            for seen in other:
                faces += stage.process(
                    seen.observations[:1], Camera.for_image(seen.width, seen.height), seen.t_capture_ns
                )
            rejected += sum(notice.kind == "other_person" for notice in stage.take_notices())
            start = [model.neutral_vertices(face.identity)[area] for face in faces[:30:3]]
            final = model.neutral_vertices(faces[-1].identity)[area]
            first_second[name].append(float(np.mean([_mm(shape, final) for shape in start])))
            weights = np.stack([face.arkit_raw for face in faces[:30] if face.arkit_raw is not None])
            bend[name].append(float(np.abs(np.diff(weights, n=2, axis=0)).mean()))
    return {
        "people": len(apart),
        "halves_apart_mm": round(float(np.mean(apart)), 3),
        "first_second_off_final_mm": {name: round(float(np.mean(values)), 3) for name, values in first_second.items()},
        "first_second_weight_jitter": {name: round(float(np.mean(values)), 4) for name, values in bend.items()},
        "rejected": rejected,
    }


def renders(model: FaceModel, follower: Follower, people: int, every: int) -> dict[str, Any]:
    """Rendered people of the built-in head: shape error live and enrolled, focal length found, and errors over predictions."""
    points = LandmarkModel(model, follower.set_name)
    metric = shape_metric(points.neutral_points(), points.identity_basis)
    live, enrolled, focals, scores, shapes = [], [], [], [], []
    for subject in subjects("builtin", model, people, every):
        encoded = follower.encode_images(subject.images, 30.0 / every)
        focal_px = subject.camera.focal_px
        faces = [face for face in fit(model, follower.set_name, encoded, focal_px=focal_px) if face is not None]
        report = enrol(model, follower.set_name, encoded, focal_px, False)
        known = enrol(model, follower.set_name, encoded, focal_px, True)
        live.append(shape_errors_mm(model, subject, faces[-1].identity))
        enrolled.append(shape_errors_mm(model, subject, known.enrolment.identity))
        if report.focal is not None:
            focals.append(report.focal.ratio)
        fitter = FaceFitter(model, follower.set_name)
        for seen in encoded:
            for observation in seen.observations:
                fitter.fit(observation, subject.camera)
        error = fitter.shape - subject.identity
        scores.append(float(np.sqrt(np.mean((error / fitter.identity.state.sigma) ** 2))))
        shapes.append(
            float(
                np.sqrt(error @ metric @ error / np.trace(metric @ fitter.modes.covariance(fitter.identity.covariance)))
            )
        )
    return {
        "live_mm": round(float(np.mean(live)), 3),
        "enrolled_mm": round(float(np.mean(enrolled)), 3),
        "focal_over_true": {"mean": round(float(np.mean(focals)), 3), "deviation": round(float(np.std(focals)), 3)},
        "coefficient_error_over_sigma_rms": round(float(np.mean(scores)), 2),
        "shape_error_over_predicted": round(float(np.mean(shapes)), 2),
    }


def _mm(one: Float32, other: Float32) -> float:
    return float(np.linalg.norm(metrics.aligned(one, other) - other, axis=1).mean() * 1e3)
