"""The first look at a clip of one person: everything that an enrolment is made from, frame by frame."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tracker.appearance.learned import LearnedSkin
from tracker.appearance.typical import TypicalSkin
from tracker.camera import Camera
from tracker.enrolment.enroller import Enroller
from tracker.enrolment.file import Enrolment
from tracker.errors import EnrolmentError
from tracker.types import Frame, FrameResult

if TYPE_CHECKING:
    from tracker.appearance.stage import Explained
    from tracker.tracking import FrameTracker


class Survey:
    """Shows frames to a tracker and to an ``Enroller``, and keeps what the tracker learns about the skin.

    Args:
        tracker: one that follows a single face; it must not have seen another stream before (``FrameTracker.reset``).
    """

    def __init__(self, tracker: FrameTracker) -> None:
        self._tracker = tracker
        self._face_id: int | None = None
        self._skin: LearnedSkin | None = None
        self._typical = TypicalSkin()
        self._explained: Explained | None = None
        self.enroller = Enroller(tracker.fitted_model, tracker.set_name)

    def look(self, frame: Frame) -> FrameResult:
        """Take in the next frame; returns what was tracked in it.

        Raises:
            EnrolmentError: it shows another person, or another shot.
        """
        encoded = self._tracker.encode(frame)
        result = self._tracker.fit(encoded)
        if not encoded.observations:
            return result
        seen = encoded.observations[0]
        if self._face_id not in (None, seen.face_id):
            raise EnrolmentError(
                f"the face was lost and another came in frame {frame.index}: a clip is wanted in which one person stays in view"
            )
        self._face_id = seen.face_id
        self._skin = self._tracker.skin_of(seen.face_id) or self._skin
        explained = self._tracker.explained(seen.face_id)
        if explained is not None and explained is not self._explained:
            self._typical.add(explained)
            self._explained = explained
        camera = Camera.for_image(frame.width, frame.height, self._tracker.config.focal_for(frame.width))
        self.enroller.add(seen, camera, cut=encoded.cut)
        return result

    def with_skin(self, enrolment: Enrolment) -> Enrolment:
        """An enrolment of the same person with what is known about the skin."""
        if self._skin is None:
            return enrolment
        return replace(enrolment, albedo=self._typical.refined(self._skin).to_array())
