"""Skin, light and occlusion in takes (docs/takes.md): as records, as columns, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tracker.srgb import LINEAR, to_codes
from tracker.types import Albedo, Face, Float32, Illumination, Occlusion
from tracker.unit_codes import from_unit_codes, to_unit_codes

Array = NDArray[Any]
Record = dict[str, Any]

SH_NUMBERS: Final = 27
ALBEDO_KEYS: Final = ("albedo", "albedo_seen", "albedo_coverage", "albedo_version", "albedo_face_id")


class AppearanceEncoder:
    """Adds to the records of faces. Keeps track of which albedos have been written."""

    def __init__(self) -> None:
        self._versions: dict[int, int] = {}

    def add_to(self, record: Record, face: Face) -> None:
        """Add what is known about the appearance of ``face``; the albedo only where it changed."""
        if face.light is not None:
            record["light"] = {
                "sh": np.ascontiguousarray(face.light.sh.T, np.float32).reshape(-1),
                "exposure": float(face.light.exposure),
                "white_balance": np.asarray(face.light.white_balance, np.float32),
            }
        if face.occlusion is not None:
            regions = np.asarray(face.occlusion.regions, np.float32)
            record["occlusion"] = {"fraction": float(face.occlusion.fraction), "regions": regions}
        albedo = face.albedo
        if albedo is not None and self._versions.get(face.id) != albedo.version:
            self._versions[face.id] = albedo.version
            record["albedo"] = {
                "version": albedo.version,
                "coverage": float(albedo.coverage),
                "points": to_codes(albedo.points).astype(np.float32).reshape(-1),
                "seen": to_unit_codes(albedo.seen).astype(np.float32),
            }


def row_fields(regions: int) -> list[Any]:
    """The columns that takes with appearance have for every face."""
    return [
        ("light_sh", "<f4", (3, 9)),
        ("light_white_balance", "<f4", (3,)),
        ("light_exposure", "<f4"),
        ("occlusion", "<f4"),
        ("occlusion_regions", "<f4", (regions,)),
    ]


def fill_row(row: Any, face: Mapping[str, Any]) -> None:
    """Set those columns from a record; zero where the frame told nothing."""
    light, occlusion = face.get("light"), face.get("occlusion")
    row["light_sh"] = 0.0 if light is None else light["sh"].reshape(3, 9)
    row["light_white_balance"] = 0.0 if light is None else light["white_balance"]
    row["light_exposure"] = 0.0 if light is None else light["exposure"]
    row["occlusion"] = 0.0 if occlusion is None else occlusion["fraction"]
    row["occlusion_regions"] = 0.0 if occlusion is None else occlusion["regions"]


def albedo_arrays(albedos: Mapping[int, Mapping[str, Any]]) -> dict[str, Array]:
    """The arrays of a take (see ``ALBEDO_KEYS``) for the last albedo record of each face id."""
    last = list(albedos.values())
    points = len(last[0]["seen"]) if last else 0
    codes = [np.asarray(record["points"]).reshape(-1, 3) for record in last]
    return {
        "albedo": np.array(codes, np.uint8).reshape(len(last), points, 3),
        "albedo_seen": np.array([record["seen"] for record in last], np.uint8).reshape(len(last), points),
        "albedo_coverage": np.array([record["coverage"] for record in last], np.float32),
        "albedo_version": np.array([record["version"] for record in last], np.int64),
        "albedo_face_id": np.array(list(albedos), np.int64),
    }


def light_of(arrays: Mapping[str, Array], prefix: str, row: int) -> Illumination | None:
    """The light of a face in a frame; None where it was not estimated."""
    key = f"{prefix}light_exposure"
    if key not in arrays or not arrays[key][row] > 0.0:
        return None
    sh = np.ascontiguousarray(arrays[f"{prefix}light_sh"][row].T)
    return Illumination(sh, float(arrays[key][row]), arrays[f"{prefix}light_white_balance"][row])


def occlusion_of(arrays: Mapping[str, Array], prefix: str, row: int) -> Occlusion | None:
    """The occlusion of a face in a frame, without its points; None where it was not estimated."""
    if light_of(arrays, prefix, row) is None:
        return None
    fraction = float(arrays[f"{prefix}occlusion"][row])
    nothing: Float32 = np.zeros(0, np.float32)
    return Occlusion(fraction, arrays[f"{prefix}occlusion_regions"][row], nothing, np.zeros(0, np.bool_))


def albedo_of(arrays: Mapping[str, Array], face_id: int) -> Albedo | None:
    """The last albedo of a face in the take; None where none was estimated."""
    if "albedo_face_id" not in arrays:
        return None
    rows = np.flatnonzero(arrays["albedo_face_id"] == face_id)
    if not rows.size:
        return None
    row = int(rows[0])
    seen = from_unit_codes(arrays["albedo_seen"][row])
    coverage, version = float(arrays["albedo_coverage"][row]), int(arrays["albedo_version"][row])
    return Albedo(LINEAR[arrays["albedo"][row]], seen, coverage, version)


def csv_columns(regions: Sequence[str]) -> tuple[str, ...]:
    """Names of what ``csv_numbers`` gives."""
    return ("light_exposure", "occlusion", *(f"occlusion_{name}" for name in regions))


def csv_numbers(face: Face, regions: int) -> list[float]:
    """Exposure and occlusion of a face, zero where they were not estimated."""
    exposure = 0.0 if face.light is None else face.light.exposure
    if face.occlusion is None:
        return [exposure, 0.0, *[0.0] * regions]
    return [exposure, face.occlusion.fraction, *face.occlusion.regions.tolist()]
