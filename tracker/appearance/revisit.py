"""The appearance of a take that is there already: from what it holds, and from its video where it does not."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from tracker.appearance.learned import LearnedSkin
from tracker.appearance.stage import AppearanceStage
from tracker.face_model.model import FaceModel
from tracker.recording.appearance import albedo_of
from tracker.recording.take import Take
from tracker.types import Face, FrameResult, ImageRGB


class Revisit:
    """Faces of a take with albedo, light and occlusion at every point, given its video in order."""

    def __init__(self, take: Take, model: FaceModel) -> None:
        self.stage = AppearanceStage(model, every_frame=True)
        self._recorded = take.header.regions is not None and "albedo_face_id" in take.arrays
        if self._recorded and (take.meta.get("settings") or {}).get("flame"):
            # Its albedo is at the points of the head that was fitted, not at those of the model it is given in.
            self._recorded = False
        self.has_skin = False
        if self._recorded and len(take["albedo_face_id"]) and take["albedo"].shape[1] == self.stage.points.count:
            for face_id in take["albedo_face_id"].tolist():
                albedo = albedo_of(take.arrays, face_id)
                if albedo is not None:
                    self.stage.adopt(face_id, LearnedSkin.from_albedo(albedo), fixed=True)
                    self.has_skin = True

    def learn(self, frames: Iterable[tuple[ImageRGB, FrameResult]]) -> None:
        """Get to know the skin of all faces in frames of the video; needed unless ``has_skin``."""
        known: dict[int, LearnedSkin] = {}
        for image, result in frames:
            for face in self.stage.process(image, result.faces, result.camera, result.t_capture_ns):
                skin = self.stage.learned(face.id)
                if skin is not None:
                    known[face.id] = skin
        self.stage.reset()
        for face_id, skin in known.items():
            self.stage.adopt(face_id, skin, fixed=True)
        self.has_skin = bool(known)

    def faces(self, image: ImageRGB, result: FrameResult) -> tuple[Face, ...]:
        """The faces of a frame; light is the recorded one where there is one. Where the frame tells nothing, light is None."""
        faces = self.stage.process(image, result.faces, result.camera, result.t_capture_ns)
        if not self._recorded:
            return faces
        return tuple(
            replace(face, light=before.light) if before.light is not None and face.light is not None else face
            for face, before in zip(faces, result.faces, strict=True)
        )
