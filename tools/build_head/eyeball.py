"""The eyeballs: anatomical in size, the same for everybody, in place of MakeHuman's larger spheres.

Adults' eyes hardly differ in size, and gaze follows from how far the iris travels: about 10.7 mm from the centre of
rotation to the plane of the iris, whose radius is 5.9 mm. MakeHuman's eyeballs have a radius of 16 mm, which would make
every gaze too small by a third.
The sphere here is a little larger than a real one (13.8 mm, its centre 1.8 mm behind the centre of rotation) so that the lids,
which were sculpted around the large sphere, still meet it.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

RADIUS_M: Final = 0.0138
IRIS_RADIUS_M: Final = 0.0059
CENTRE_DEPTH_M: Final = 0.0120
"""From the front of MakeHuman's eyeball, which the lids touch, back to the centre of rotation."""
SEGMENTS: Final = 16
PUPIL_RADIUS_M: Final = 0.002
_LIMBUS_OUTER_M: Final = 0.0065
_RING_ANGLES_RAD: Final = np.radians([38.0, 52.0, 68.0, 90.0, 125.0])
RINGS: Final = 3 + len(_RING_ANGLES_RAD)
VERTICES: Final = 2 + RINGS * SEGMENTS
IRIS_RING: Final = 1
"""Index of the ring on the border of the iris."""

Array = NDArray[np.float64]


def eyeball_vertices() -> Array:
    """(VERTICES, 3) offsets from the centre of rotation, metres: front pole, rings from front to back, back pole."""
    behind = CENTRE_DEPTH_M - RADIUS_M
    limbus = np.sqrt(RADIUS_M**2 - IRIS_RADIUS_M**2)
    # The iris is flat: pupil, its border and the pole lie in the plane of the limbus.
    rings = [
        (PUPIL_RADIUS_M, limbus),
        (IRIS_RADIUS_M, limbus),
        (_LIMBUS_OUTER_M, float(np.sqrt(RADIUS_M**2 - _LIMBUS_OUTER_M**2))),
    ]
    rings += [(RADIUS_M * float(np.sin(a)), RADIUS_M * float(np.cos(a))) for a in _RING_ANGLES_RAD]
    turn = np.arange(SEGMENTS) * 2 * np.pi / SEGMENTS
    points = [np.array([[0.0, 0.0, limbus]])]
    # sin and cos of multiples of 90 degrees leave 1e-17 behind; rounding keeps mirror images exact.
    circle = np.round(np.stack([np.cos(turn), np.sin(turn)], axis=1), 12)
    points += [np.column_stack([radius * circle, np.full(SEGMENTS, depth)]) for radius, depth in rings]
    points.append(np.array([[0.0, 0.0, -RADIUS_M]]))
    result: Array = np.concatenate(points) + np.array([0.0, 0.0, behind])
    return result


def eyeball_faces() -> NDArray[np.int64]:
    """(n, 3) triangles, counter-clockwise seen from outside, symmetric under ``eyeball_mirror`` up to their diagonals."""
    faces: list[tuple[int, int, int]] = []
    for s in range(SEGMENTS):
        after = (s + 1) % SEGMENTS
        faces.append((0, 1 + s, 1 + after))
        for ring in range(RINGS - 1):
            a, b = 1 + ring * SEGMENTS + s, 1 + ring * SEGMENTS + after
            c, d = a + SEGMENTS, b + SEGMENTS
            # Diagonals lean towards the vertical meridian on both halves, so that mirroring maps faces onto faces.
            right_half = SEGMENTS // 4 <= s < 3 * SEGMENTS // 4
            faces += [(a, c, b), (b, c, d)] if right_half else [(a, c, d), (a, d, b)]
        last = 1 + (RINGS - 1) * SEGMENTS
        faces.append((VERTICES - 1, last + after, last + s))
    return np.array(faces)


def eyeball_mirror() -> NDArray[np.int64]:
    """(VERTICES,) vertex of the other eye that mirrors each vertex of this one."""
    s = np.arange(SEGMENTS)
    across = (SEGMENTS // 2 - s) % SEGMENTS
    rings = [1 + ring * SEGMENTS + across for ring in range(RINGS)]
    return np.concatenate([[0], *rings, [VERTICES - 1]])


def eyeball_uv(left: bool) -> Array:
    """(VERTICES, 2) texture coordinates: a disc in the empty part of MakeHuman's layout, angle from the front as radius."""
    points = eyeball_vertices() + np.array([0.0, 0.0, RADIUS_M - CENTRE_DEPTH_M])
    angle = np.arctan2(np.hypot(points[:, 0], points[:, 1]), points[:, 2]) / np.pi
    azimuth = np.arctan2(points[:, 1], points[:, 0])
    centre = np.array([0.15 if left else 0.40, 0.25])
    result: Array = centre + 0.11 * angle[:, None] * np.stack([np.cos(azimuth), np.sin(azimuth)], axis=1)
    return result
