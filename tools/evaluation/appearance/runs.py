"""Fit and appearance over frames whose pixels are at hand, with the networks' view of them taken before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from time import thread_time
from typing import Final, Literal

from tools.evaluation.tracking import Encoded
from tracker.appearance import AppearanceStage
from tracker.camera import Camera
from tracker.face_model import FaceModel
from tracker.fitting.fitter import FitConfig
from tracker.fitting.picture import PictureConfig
from tracker.fitting.stage import FitStage
from tracker.rendering.occluders import Image
from tracker.types import Albedo, Face

Mode = Literal["off", "auto", "on"]
MODES: Final[tuple[Mode, ...]] = ("off", "auto", "on")
"""No appearance at all; the picture has a say in the pose while something is in front of the face; always."""


@dataclass(slots=True)
class Runner:
    """Runs of one face model; the appearance stage is built once."""

    model: FaceModel
    set_name: str
    stage: AppearanceStage = field(init=False)
    fit_ms: list[float] = field(default_factory=list)
    """Processor time of every fit since the list was cleared: what a busy machine adds in waiting does not count."""
    appearance_ms: list[float] = field(default_factory=list)
    albedos: list[Albedo | None] = field(default_factory=list)
    """The live estimate after each frame of the last run: what is published waits until a change is worth sending."""

    def __post_init__(self) -> None:
        self.stage = AppearanceStage(self.model)

    def __call__(
        self, images: Sequence[Image], encoded: Sequence[Encoded], mode: Mode, focal_px: float | None = None
    ) -> list[Face | None]:
        """The first face of each frame, or None."""
        self.stage.reset()
        self.albedos.clear()
        config = FitConfig(picture=PictureConfig(always=mode == "on"))
        fit = FitStage(self.model, self.set_name, config, skin=None if mode == "off" else self.stage)
        faces: list[Face | None] = []
        for image, seen in zip(images, encoded, strict=True):
            camera = Camera.for_image(seen.width, seen.height, focal_px)
            start = thread_time()
            found = fit.process(seen.observations, camera, seen.t_capture_ns, image)
            middle = thread_time()
            if mode != "off":
                found = self.stage.process(image, found, camera, seen.t_capture_ns)
                self.appearance_ms.append((thread_time() - middle) * 1e3)
            self.fit_ms.append((middle - start) * 1e3)
            faces.append(found[0] if found else None)
            self.albedos.append(self.stage.albedo(found[0].id) if found and mode != "off" else None)
        return faces
