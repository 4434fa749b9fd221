"""Renders as labelled crops on disk, with the teacher's word on faces that it knows how to read.

The built-in head's landmarks and the network's do not mean quite the same places. Where a render shows a face as the teacher
knows them, its answer is the label of the 478 points, as on real frames; beyond 60 degrees the geometry is; in between their
blend. What the teacher has no word for comes from the geometry always.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from trainer.data.synthetic.config import SyntheticConfig
from trainer.data.synthetic.stream import SyntheticStream
from trainer.data.video.gather import FACE, LARGEST_SCATTER, as_shard, tracker_crop
from trainer.data.video.shard import STORED_PX, Shard, nothing_known
from trainer.data.video.teacher import Teacher

_TEACHER_UNTIL, _GEOMETRY_FROM = np.radians(40.0), np.radians(60.0)
_LARGEST_GAP: Final = 0.03
"""Median distance of teacher and geometry, over the crop's side, beyond which the teacher has not understood the picture."""
_GEOMETRY_SIGMA: Final = 0.010
_HEAD_SIGMA: Final = 0.004


def render(count: int, teacher: Teacher, seed: int = 0, batch_size: int = 8) -> Shard:
    """``count`` rendered heads, a third of them turned further than people at a screen turn."""
    stream = SyntheticStream(
        SyntheticConfig(
            batch_size=batch_size, seed=seed, crop_size=STORED_PX, supersample=1.0, degrade=False, occluders=0.0,
            negatives=0.0, large_poses=0.5,
        )
    )  # fmt: skip
    rows: list[dict[str, Any]] = []
    number = 0
    while len(rows) < count:
        batch = stream.batch(number)
        for k in range(len(batch)):
            image = np.ascontiguousarray((batch.image[k].permute(1, 2, 0).numpy() * 255.0 + 0.5).astype(np.uint8))
            known = {name: value[0] for name, value in nothing_known(1).items()}
            points = batch.points[k].numpy().astype(np.float32)
            rotation = batch.rotation[k].numpy()
            turn = float(np.arccos(np.clip(-rotation[2, 2], -1.0, 1.0)))
            trust = float(np.clip((_GEOMETRY_FROM - turn) / (_GEOMETRY_FROM - _TEACHER_UNTIL), 0.0, 1.0))
            known["sigma"][:] = np.where(np.arange(len(points)) < FACE, _GEOMETRY_SIGMA, _HEAD_SIGMA)
            if trust > 0.0:
                lesson = teacher.look(image, tracker_crop(points[:FACE] * STORED_PX))
                told = lesson.points / np.float32(STORED_PX)
                gap = np.linalg.norm(told[:, :2] - points[:FACE, :2], axis=1)
                if (
                    lesson.presence < 0.8
                    or np.median(lesson.scatter) > LARGEST_SCATTER * STORED_PX
                    or np.median(gap) > _LARGEST_GAP
                ):
                    continue
                points[:FACE, :2] += trust * (told[:, :2] - points[:FACE, :2])
                if trust == 1.0:
                    known["scores"] = lesson.scores
            rows.append({
                **known, "crops": image, "points": points, "visible": batch.visible[k].numpy().astype(np.float32),
                "rotation": rotation.astype(np.float32), "identity": batch.identity[k].numpy().astype(np.float32),
                "light": batch.light[k].numpy().astype(np.float32), "focal": np.float32(batch.focal[k]),
                "expression": batch.expression[k].numpy().astype(np.float32), "source": "synthetic",
                "person": f"rendered{seed}-{number}-{k}",
            })  # fmt: skip
        number += 1
    return as_shard(rows)
