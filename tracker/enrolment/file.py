"""What `tracker enroll` writes and `--identity` reads: one person's identity, one ``.npz`` without pickles.

meta_json    text: format, version, tool, created, model {name, sha256}, source, frames, views, focal
identity     (Ni,) coefficients
covariance   (Ni, Ni) of their error, in units of the population
rotations    (K, 3, 3) head rotations of the views they were learnt from
misfit       () how well the fit of this person normally is: median residual over face width
neutral      (52,) ARKit weights of the relaxed face; optional
albedo       (P, 6) skin at the points of the appearance model (``tracker.appearance.learned``); optional
"""

from __future__ import annotations

import io
import json
import math
import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

import tracker
from tracker.arkit import ARKIT_NAMES
from tracker.cache import atomic_target
from tracker.errors import EnrolmentError
from tracker.types import Float32

FORMAT: Final = "face-enrolment"
VERSION: Final = 1
Float64 = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Enrolment:
    """One person, as solved from many views."""

    model_name: str
    model_sha256: str
    identity: Float32
    """(Ni,)."""
    covariance: Float64
    """(Ni, Ni)."""
    rotations: Float64
    """(K, 3, 3)."""
    misfit: float
    focal_per_width: float | None = None
    """Focal length over the image's width, where the clip could tell it or the user had given it."""
    neutral: Float32 | None = None
    """(52,) ARKit weights of the relaxed face."""
    albedo: Float32 | None = None
    """(P, 6) what ``LearnedSkin.to_array`` gives."""
    about: dict[str, Any] = field(default_factory=dict)
    """What else ``meta_json`` says: source, created, frames, views, focal."""

    def check_model(self, name: str, sha256: str, path: str | Path = "the enrolment") -> None:
        """Raise EnrolmentError unless this was made with the face model of that name and digest."""
        if sha256 != self.model_sha256:
            raise EnrolmentError(
                f"{path} was made with face model {self.model_name} (sha256 {self.model_sha256[:8]}), not {name} ({sha256[:8]}): "
                "pass that model with --face-model, or enrol again with this one"
            )


def write_enrolment(path: Path, enrolment: Enrolment) -> None:
    """Write so that there is a whole file or none.

    Raises:
        EnrolmentError: the folder cannot be written.
    """
    meta = {
        **enrolment.about,
        "format": FORMAT,
        "version": VERSION,
        "tool": f"tracker {tracker.__version__}",
        "model": {"name": enrolment.model_name, "sha256": enrolment.model_sha256},
        "focal_per_width": enrolment.focal_per_width,
    }
    arrays: dict[str, NDArray[Any]] = {
        "meta_json": np.array(json.dumps(meta)),
        "identity": enrolment.identity.astype(np.float32),
        "covariance": enrolment.covariance.astype(np.float64),
        "rotations": enrolment.rotations.astype(np.float64),
        "misfit": np.array(enrolment.misfit),
    }
    if enrolment.neutral is not None:
        arrays["neutral"] = enrolment.neutral.astype(np.float32)
    if enrolment.albedo is not None:
        arrays["albedo"] = enrolment.albedo.astype(np.float32)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_target(path) as partial, partial.open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, **arrays)
    except OSError as error:
        raise EnrolmentError(f"cannot write {path}: {error.strerror or error}") from error


def read_enrolment(path: Path) -> Enrolment:
    """Read and check an enrolment.

    Raises:
        EnrolmentError: the file is missing, cut off, damaged, of another version, or no enrolment.
    """
    again = "make it with `tracker enroll CLIP -o me.npz`"
    try:
        blob = path.read_bytes()
    except OSError as error:
        raise EnrolmentError(f"cannot read {path}: {error.strerror or error}; {again}") from error
    try:
        with np.load(io.BytesIO(blob), allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        meta = json.loads(str(arrays["meta_json"]))
        if meta["format"] != FORMAT:
            raise ValueError(f"it is a {meta['format']}")
    except KeyError as error:
        raise EnrolmentError(f"{path} is no enrolment: it has no {error}; {again}") from error
    except (ValueError, TypeError, AttributeError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise EnrolmentError(f"{path} is no enrolment, or damaged ({' '.join(str(error).split())}); {again}") from error
    if meta.get("version") != VERSION:
        raise EnrolmentError(
            f"{path}: expected enrolment version {VERSION}, found {meta.get('version')}; update the tracker, or {again}"
        )
    try:
        return _assemble(arrays, meta)
    except (KeyError, ValueError, TypeError) as error:
        raise EnrolmentError(f"{path} is damaged ({' '.join(str(error).split())}); {again}") from error


def _assemble(arrays: dict[str, NDArray[Any]], meta: dict[str, Any]) -> Enrolment:
    identity = arrays["identity"].astype(np.float32)
    count, views = identity.size, len(arrays["rotations"])
    wanted = {"identity": (count,), "covariance": (count, count), "rotations": (views, 3, 3), "misfit": ()}
    if "neutral" in arrays:
        wanted["neutral"] = (len(ARKIT_NAMES),)
    for name, shape in wanted.items():
        if arrays[name].shape != shape:
            raise ValueError(f"{name} must have shape {shape}, got {arrays[name].shape}")
    for name, array in arrays.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ValueError(f"{name} holds NaN or infinity")
    misfit = float(arrays["misfit"])
    covariance = arrays["covariance"].astype(np.float64)
    if views < 1 or misfit <= 0.0 or np.linalg.eigvalsh(covariance).min() <= 0.0:
        raise ValueError("views, misfit or covariance are impossible")
    focal = meta.get("focal_per_width")
    if focal is not None and not (isinstance(focal, float) and math.isfinite(focal) and focal > 0.0):
        raise ValueError(f"focal_per_width is {focal!r}")
    own = ("format", "version", "model", "focal_per_width")
    return Enrolment(
        model_name=str(meta["model"]["name"]),
        model_sha256=str(meta["model"]["sha256"]),
        identity=identity,
        covariance=covariance,
        rotations=arrays["rotations"].astype(np.float64),
        misfit=misfit,
        focal_per_width=focal,
        neutral=arrays["neutral"].astype(np.float32) if "neutral" in arrays else None,
        albedo=arrays["albedo"].astype(np.float32) if "albedo" in arrays else None,
        about={key: value for key, value in meta.items() if key not in own},
    )
