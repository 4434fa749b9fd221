"""From a foreign file to a model in the user's library."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from tracker import __version__
from tracker.errors import FaceModelError
from tracker.face_model.importing.library import imported_names, library_path
from tracker.face_model.importing.source_model import SourceModel
from tracker.face_model.importing.transfer import RegistrationReport, complete
from tracker.face_model.model import FaceModel
from tracker.face_model.writing import write_face_model

Progress = Callable[[str, float], None]
"""Told what is being done and how much of all is done, 0..1."""


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import made."""

    path: Path
    name: str
    sha256: str
    """Of the model's content."""
    model: FaceModel
    report: RegistrationReport
    picture: Path
    """Both heads with their landmarks, for a look at whether the registration is right."""


def chosen_name(source: SourceModel, name: str | None, *, force: bool = False) -> str:
    """The name a model will have in the library.

    Raises:
        FaceModelError: the name cannot be used, or is taken and ``force`` is not set.
    """
    chosen = name if name is not None else source.name
    library_path(chosen)
    if chosen in imported_names() and not force:
        raise FaceModelError(
            f"there is a face model '{chosen}' already: give another name with --name, or replace it with --force"
        )
    return chosen


def import_face_model(
    source: SourceModel, name: str, progress: Progress, *, arkit_expressions: bool = False
) -> Imported:
    """Complete a foreign model and put it into the library under ``name``, over one of that name.

    Raises:
        FaceModelError: it cannot be registered to the built-in head, or cannot be written.
    """
    path = library_path(name)
    model, report = complete(source, progress, arkit_expressions=arkit_expressions)
    meta = {
        **model.meta,
        "family": source.family,
        "source": Path(source.source).name,
        "source_sha256": source.sha256,
        "created_by": f"facestream-tracker {__version__}, tracker models import",
        "notes": "\n".join(source.notes),
    }
    model = replace(model, name=name, version=source.version, licence=source.licence, meta=meta)
    sha256 = write_face_model(path, model)
    picture = path.with_suffix(".png")
    report.write_picture(picture)
    return Imported(path, name, sha256, replace(model, sha256=sha256), report, picture)
