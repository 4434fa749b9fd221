"""What a stream of batches promises, so that it can be split over processes and taken up again at any place."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator

from trainer.data.batch import Batch


class Stream(ABC):
    """Batches by number. Batch ``i`` depends on the stream's settings (with their seed) and on ``i`` alone, never on what was
    asked for before, on global random states or on the process: so workers, several machines and resumed runs all see
    the same data.

    A random stream derives its generator from both numbers: ``numpy.random.default_rng((seed, index))``.
    """

    landmark_set: str
    """Name of the landmark set of ``Batch.points``."""
    face_model: str
    """Name of the face model of ``Batch.identity``."""
    crop_size: int
    """Side of the crops in pixels."""
    length: int | None = None
    """Batches in one pass; None: endless. A training stream is asked for batches beyond its length too, and starts
    another pass then; an evaluation goes from 0 to the length once."""

    @abstractmethod
    def batch(self, index: int) -> Batch:
        """Batch number ``index`` >= 0."""

    def __iter__(self) -> Iterator[Batch]:
        index = 0
        while self.length is None or index < self.length:
            yield self.batch(index)
            index += 1
