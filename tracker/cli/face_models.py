"""``tracker models import|info|remove``: the face models that people bring. Not a verb of its own."""

from __future__ import annotations

import argparse
import json
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from tracker.face_model import FaceModel
    from tracker.face_model.importing.source_model import SourceModel

_FAMILIES: Final = {"flame": "FLAME", "basel": "Basel Face Model", "gnm": "GNM Head", "ict": "ICT-FaceKit"}


def run(args: argparse.Namespace) -> int:
    """Carry out one of the actions; returns the exit code."""
    actions = {"import": _import, "info": _info, "remove": _remove}
    return actions[args.action](args)


def _import(args: argparse.Namespace) -> int:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    from tracker.cache import check_writable
    from tracker.errors import FaceModelError
    from tracker.face_model.importing.convert import chosen_name, import_face_model
    from tracker.face_model.importing.library import library_path
    from tracker.face_model.importing.recognise import read_source

    console = Console(highlight=False)
    if args.name is not None:
        library_path(args.name)  # refuse before the long work
    with console.status(f"reading {args.path}") as status:
        source = read_source(
            args.path.expanduser(),
            args.expressions.expanduser() if args.expressions else None,
            lambda done, total: status.update(f"reading {args.path}: {done} of {total} files"),
        )
    name = chosen_name(source, args.name, force=args.force)
    try:
        check_writable(library_path(name))
    except OSError as error:
        raise FaceModelError(
            f"cannot write {library_path(name)}: {error.strerror or error}; TRACKER_DATA moves the folder of face models"
        ) from error
    _say(console, _found(source))
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:3.0f} %"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bars:
        task = bars.add_task("registering to the built-in head", total=1.0)

        def progress(step: str, done: float) -> None:
            bars.update(task, description=step, completed=done)

        imported = import_face_model(source, name, progress, arkit_expressions=args.arkit_expressions)
    for line in imported.report.lines():
        console.print(line, markup=False, soft_wrap=True)
    console.print(f"look at the landmarks: {imported.picture}", markup=False, soft_wrap=True)
    console.print(f"imported as '{name}': {imported.path}", markup=False, soft_wrap=True)
    console.print(f"track with it: tracker run --face-model {name}", markup=False, soft_wrap=True)
    return 0


def _info(args: argparse.Namespace) -> int:
    from rich.console import Console

    from tracker.errors import FaceModelError
    from tracker.face_model import load_face_model
    from tracker.face_model.importing.library import BUILTIN_NAME, find_face_model
    from tracker.face_model.store import builtin_path
    from tracker.face_model.writing import is_undamaged

    path = builtin_path() if args.model == BUILTIN_NAME else find_face_model(args.model)
    model = load_face_model(args.model)
    try:
        undamaged = is_undamaged(path)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise FaceModelError(f"{path} is damaged ({' '.join(str(error).split())}); import it again") from error
    _say(Console(highlight=False), [("file", str(path)), *_facts(model)])
    if not undamaged:
        raise FaceModelError(f"{path} is damaged: its content is not what was imported; import it again with --force")
    return 0


def _remove(args: argparse.Namespace) -> int:
    from rich.console import Console

    from tracker.errors import ConfigError, FaceModelError
    from tracker.face_model.importing.library import BUILTIN_NAME, imported_names, remove_face_model

    if args.name in imported_names() and args.name != BUILTIN_NAME and not args.yes:
        if not sys.stdin.isatty():
            raise ConfigError("nobody is there to ask: confirm with --yes")
        sys.stdout.write(f"remove the face model '{args.name}'? [y/N] ")
        sys.stdout.flush()
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            raise FaceModelError(f"'{args.name}' was kept")
    path = remove_face_model(args.name)
    Console(highlight=False).print(f"removed '{args.name}' ({path})", markup=False, soft_wrap=True)
    return 0


def model_table() -> Table:
    """The built-in head and the imported models, one a row."""
    from rich.table import Column, Table

    from tracker.face_model.importing.library import BUILTIN_NAME, imported_names, library_dir
    from tracker.face_model.store import builtin_path

    table = Table(
        Column("face model", overflow="fold"),
        "MB",
        "state",
        "version",
        "licence",
        box=None,
        pad_edge=False,
    )
    rows = [(BUILTIN_NAME, builtin_path()), *((name, library_dir() / f"{name}.npz") for name in imported_names())]
    for name, path in rows:
        state, version, licence = "ready", "", ""
        try:
            meta = _meta(path)
            version, licence = str(meta.get("version", "")), str(meta.get("licence", "")).partition(":")[0]
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            state = "damaged"
        size = f"{path.stat().st_size / 1e6:.1f}" if path.is_file() else ""
        table.add_row(name, size, state, version, licence)
    return table


def _meta(path: Path) -> dict[str, object]:
    """The meta data of a model file, without reading its arrays."""
    import numpy as np

    with np.load(path, allow_pickle=False) as stored:
        meta: dict[str, object] = json.loads(str(stored["meta_json"]))
    return meta


def _found(source: SourceModel) -> list[tuple[str, str]]:
    lines = [
        ("found", f"{_FAMILIES.get(source.family, source.family)} {source.version}"),
        ("in", source.source),
        ("mesh", f"{source.vertex_count} vertices, {len(source.faces)} triangles"),
        ("components", f"{source.identity_count} identity, {source.expression_count} expression"),
        ("joints", "5, with skinning weights" if source.skin_weights is not None else "none in the file"),
    ]
    if source.pose_correctives is not None:
        lines.append(("correctives", f"{source.pose_correctives.shape[2]} pose features"))
    if source.albedo_mean is not None:
        count = 0 if source.albedo_basis is None else source.albedo_basis.shape[2]
        lines.append(("albedo", f"mean and {count} components"))
    lines.append(("embeddings", ", ".join(sorted(source.embeddings)) or "none beside the file"))
    lines.append(("licence", source.licence))
    if source.attribution:
        lines.append(("cite", source.attribution))
    lines.append(("sha256", source.sha256))
    lines.extend(("not used" if index == 0 else "", note) for index, note in enumerate(source.notes))
    return lines


def _facts(model: FaceModel) -> list[tuple[str, str]]:
    from tracker.face_model.arkit_map import describe_arkit_map

    weights = f"{len(model.published_names)} expression"
    if model.control_count:
        weights += f" and {model.control_count} controls of joints and lids"
    moved = [name for name, column in zip(("neck", "jaw", "left eye", "right eye"), range(1, 5), strict=True)
             if model.skin_weights[:, column].any()]  # fmt: skip
    lines = [
        ("name", model.name),
        ("version", model.version),
        ("mesh", f"{model.vertex_count} vertices, {len(model.faces)} triangles; {', '.join(model.part_names)}"),
        ("components", f"{model.identity_count} identity, {weights}"),
        ("joints", f"move the mesh: {', '.join(moved) or 'none'}"),
        ("embeddings", ", ".join(f"{name} ({len(e.faces)})" for name, e in sorted(model.embeddings.items())) or "none"),
        ("licence", model.licence),
    ]
    lines.extend(("arkit" if index == 0 else "", line) for index, line in enumerate(describe_arkit_map(model)))
    for key, label in (("attribution", "cite"), ("source", "made from"), ("source_sha256", "its sha256")):
        if model.meta.get(key):
            lines.append((label, model.meta[key]))
    lines.append(("sha256", model.sha256))
    limits = [line for line in model.meta.get("notes", "").split("\n") if line] + _limits(model)
    lines.extend(("cannot" if index == 0 else "", limit) for index, limit in enumerate(limits))
    return lines


def _limits(model: FaceModel) -> list[str]:
    from tracker.arkit import ARKIT_NAMES

    limits = []
    if "mediapipe478" not in model.embeddings:
        limits.append("track: it has no embedding of MediaPipe's landmarks")
    if not model.skin_weights[:, 2].any():
        limits.append("open the mouth by a jaw joint")
    if not model.skin_weights[:, 3:].any():
        limits.append("turn the eyes: it has no eyeballs")
    missing = [name for name in ARKIT_NAMES if name not in model.expression_names]
    if len(missing) == len(ARKIT_NAMES) and model.arkit_map is None:
        limits.append("publish ARKit's names as its own expressions: it has components of its own")
    elif missing and model.arkit_map is None:
        limits.append(f"show {', '.join(missing)}")
    if model.albedo_mean is None:
        limits.append("say what skin colours are likely: it has no albedo")
    return limits


def _say(console: Console, lines: list[tuple[str, str]]) -> None:
    width = max(len(label) for label, _ in lines)
    for label, text in lines:
        console.print(f"{label:<{width}}  {text}", markup=False, soft_wrap=True)
