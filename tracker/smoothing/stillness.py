"""Whether the picture of a face stands still, as surely as the camera's noise allows.

Landmarks wander by more than the picture does: most of what a resting head seems to do is theirs. The picture tells. From what
the same place showed a moment ago it differs by noise alone, or also by what a shift of the whole face, of a part of it, or of
an eyelid would change: the difference projected on the slopes of the picture, per block of a pyramid, over what is left without
it (an F test of the optical flow of Lucas and Kanade 1981, with the noise estimated from the same picture). The reference stays
while the face is still, so that slow motion adds up until it is seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from tracker.types import ImageRGB

Float32 = NDArray[np.float32]

_CELLS: Final = 8
"""Blocks of the finest level across and down; the coarser ones have half as many, down to one."""
_CELL_PX: Final = 8
"""Side of a cell in the reduced picture."""
_LEAST_FACE_PX: Final = 40.0
_REFERENCE_FRAMES: Final = 16
"""The reference is the mean of so many frames."""
_STILL_FRAMES: Final = 3
"""Frames without motion from which a face is taken to be still."""
_SUSPECT: Final = 9.0
_SURE: Final = 14.0
"""F values of the block that moves most; by chance one of the 85 exceeds the first in one frame of a hundred. Two such frames
in a row, or one of the second, are motion."""
_OTHER: Final = 3.0
"""Times the noise of the quietest cells that a block may differ by what is no shift: light, or something before the face."""
_PAUSE_FRAMES: Final = 3
"""After motion so many frames are not looked at: what moves goes on moving."""
_LEAST_VARIANCE: Final = 0.01
"""Of an 8-bit code: a picture without noise still has rounding."""


class PictureStillness:
    """Watches the picture of one face."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Another picture, or a gap."""
        self._window: tuple[int, int, int] | None = None
        self._size = (0, 0)
        self._reference: Float32 = np.zeros(0, np.float32)
        self._centred: Float32 = np.zeros(0, np.float32)
        self._averaged = 0
        self._slopes: tuple[Float32, Float32] = (self._reference, self._reference)
        self._levels: list[Float32] = []
        self._quiet = 0
        self._suspected = False
        self._pause = 0

    def __call__(self, image: ImageRGB, box: NDArray[np.floating]) -> bool:
        """Whether a face whose ``box`` (4,) is left, top, width, height in ``image`` (H, W, 3) has not moved for some frames.

        Faces below 40 px and those that the picture's edge cuts are never still.
        """
        if self._pause:
            self._pause -= 1
            return False
        if image.shape[:2] != self._size or self._window is None:
            return self._begin(image, box)
        seen = self._seen(image, self._window)
        moved = self._moved(seen)
        if moved >= _SURE or (moved >= _SUSPECT and self._suspected):
            self.reset()
            self._pause = _PAUSE_FRAMES
            return False
        self._suspected = moved >= _SUSPECT
        self._quiet += 1
        if self._averaged < _REFERENCE_FRAMES:
            self._averaged += 1
            self._refer(self._reference + (seen - self._reference) / np.float32(self._averaged))
        return self._quiet >= _STILL_FRAMES

    def _begin(self, image: ImageRGB, box: NDArray[np.floating]) -> bool:
        self.reset()
        side = float(min(box[2], box[3]))
        if not side >= _LEAST_FACE_PX:
            return False
        step = max(1, int(side / (_CELLS * _CELL_PX)))
        window = step * _CELLS * min(_CELL_PX, int(side / (_CELLS * step)))
        left, top = (round(float(box[axis] + box[axis + 2] / 2.0)) - window // 2 for axis in (0, 1))
        height, width = image.shape[:2]
        if left < 0 or top < 0 or left + window > width or top + window > height:
            return False
        self._window, self._size = (left, top, window), (height, width)
        self._step = step
        self._refer(self._seen(image, self._window))
        self._averaged = 1
        return False

    def _seen(self, image: ImageRGB, window: tuple[int, int, int]) -> Float32:
        left, top, side = window
        grey = cv2.cvtColor(image[top : top + side, left : left + side], cv2.COLOR_RGB2GRAY)
        codes = grey.astype(np.float32)
        if self._step > 1:
            codes = np.asarray(cv2.resize(codes, (side // self._step,) * 2, interpolation=cv2.INTER_AREA), np.float32)
        return codes

    def _refer(self, reference: Float32) -> None:
        """Compare with ``reference`` from now on."""
        self._reference, self._centred = reference, reference - reference.mean()
        smooth = cv2.blur(reference, (3, 3), borderType=cv2.BORDER_REPLICATE)
        x = np.asarray(cv2.Sobel(smooth, cv2.CV_32F, 1, 0, ksize=3, scale=1 / 8), np.float32)
        y = np.asarray(cv2.Sobel(smooth, cv2.CV_32F, 0, 1, ksize=3, scale=1 / 8), np.float32)
        self._slopes = x, y
        self._levels = _pyramid([x, y, x * x, x * y, y * y])

    def _moved(self, seen: Float32) -> float:
        """The F value of the block that moved most; infinite where something else than a shift happened."""
        # A step of exposure is none of the face's.
        centred = seen - seen.mean()
        gain = float(np.vdot(centred, self._centred)) / max(float(np.vdot(self._centred, self._centred)), 1e-6)
        if gain <= 0.0:
            return np.inf
        away = centred * np.float32(1.0 / gain) - self._centred
        x, y = self._slopes
        levels = _pyramid([away, away * away, x * away, y * away])
        noise, most = 0.0, 0.0
        pixels = away.size / _CELLS**2
        for (mean_x, mean_y, xx, xy, yy), (mean, squared, along_x, along_y) in zip(self._levels, levels, strict=True):
            # All as variances about the means of the block, per pixel.
            xx, xy, yy = xx - mean_x * mean_x, xy - mean_x * mean_y, yy - mean_y * mean_y
            along_x, along_y = along_x - mean_x * mean, along_y - mean_y * mean
            determinant = np.maximum(xx * yy - xy * xy, 1e-4 * (xx + yy) ** 2 + 1e-20)
            shift = (yy * along_x * along_x - 2.0 * xy * along_x * along_y + xx * along_y * along_y) / determinant
            left = np.maximum(squared - mean * mean - shift, 0.0)
            if not noise:
                noise = max(float(np.median(left)) * pixels / (pixels - 3.0), _LEAST_VARIANCE)
            if float(left.max()) > _OTHER * noise:
                return np.inf
            most = max(most, float((shift / np.maximum(left, 0.5 * noise)).max()) * pixels / 2.0)
            pixels *= 4.0
        return most


def _pyramid(fields: Sequence[Float32]) -> list[Float32]:
    """Means of C fields (S, S) over 8 by 8 cells, (C, 64), and over ever larger blocks of them down to all, (C, 1)."""
    count, side = len(fields), _CELLS
    cells = [cv2.resize(field, (side, side), interpolation=cv2.INTER_AREA) for field in fields]
    means = np.stack(cells).astype(np.float32)
    levels = [means.reshape(count, -1)]
    while side > 1:
        side //= 2
        means = means.reshape(count, side, 2, side, 2).sum(axis=(2, 4)) * np.float32(0.25)
        levels.append(means.reshape(count, -1))
    return levels
