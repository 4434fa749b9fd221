"""Where the assets of renders lie: a folder with one archive of encoded pictures, packed once and read by every run."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from tracker.cache import atomic_target, cache_dir
from tracker.errors import ConfigError
from tracker.face_model import load_face_model
from trainer.data.synthetic.assets import Assets, painted_assets
from trainer.data.synthetic.harvest import harvest
from trainer.data.synthetic.heads import CarriedHead, carry_head

ARCHIVE: Final = "synthetic_assets.zip"
_VERSION: Final = 1
_PAINTED: Final = 16
_SMALL_PAINTED: Final = 6
_QUALITY: Final = 93

Progress = Callable[[str], None]


def default_folder() -> Path:
    """Where the user's own assets lie."""
    return cache_dir("trainer")


def prepare_assets(
    folder: Path,
    people: Sequence[Path],
    places: Sequence[Path],
    progress: Progress = lambda line: None,
    heads: Sequence[str] = (),
) -> Path:
    """Make assets from painted skins, pictures of people and imported face models, and write them into a folder.

    Args:
        folder: of the archive, created if need be.
        people: videos and pictures, one person each, whose skin is unwrapped; they give backgrounds as well.
        places: videos and pictures that give backgrounds only.
        progress: told what is being done.
        heads: names or files of face models whose population and expressions are drawn beside the built-in head's.

    Returns:
        The archive.

    Raises:
        FaceModelError: a head cannot be read or carried over.
        SourceError: a source cannot be read.
        NetworkAssetError: the tracker's networks have not been fetched.
    """
    builtin = load_face_model()
    carried = []
    for name in heads:
        progress(f"carrying the heads of {name} over")
        carried.append(carry_head(load_face_model(name), builtin))
    progress("painting skins")
    painted = painted_assets(builtin, _PAINTED)
    skins, hair, backgrounds = list(painted.skins), list(painted.hair_colours), []
    origin: list[str] = ["painted"] * len(skins)
    for index, source in enumerate([*people, *places]):
        progress(f"looking at {source.name}")
        found = harvest(source, seed=index)
        backgrounds += found.backgrounds
        if index >= len(people):
            continue
        if found.skin is None:
            progress(f"no face large enough in {source.name}: backgrounds only")
            continue
        skins.append(found.skin)
        hair.append(np.asarray(found.hair, np.float32))
        origin.append(source.name)
    about = {"version": _VERSION, "origin": origin, "hair": [[float(v) for v in colour] for colour in hair]}
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / ARCHIVE
    with atomic_target(target) as partial, zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("about.json", json.dumps(about))
        for name, pictures in (("skin", skins), ("eye", list(painted.eyes)), ("background", backgrounds)):
            for index, picture in enumerate(pictures):
                archive.writestr(f"{name}/{index:03d}.jpg", _encoded(picture))
        for head in carried:
            archive.writestr(f"head/{head.name}.npz", head.packed())
        archive.writestr("strands.png", cv2.imencode(".png", painted.strands)[1].tobytes())
    return target


def load_assets(folder: str | Path | None = None) -> Assets:
    """The assets of a packed folder; by default those of the user's cache, or painted ones if none were prepared.

    Raises:
        ConfigError: the folder holds no assets, or ones of another version.
    """
    path = (default_folder() if folder is None else Path(folder)) / ARCHIVE
    if not path.is_file():
        if folder is None:
            return painted_assets(load_face_model(), _SMALL_PAINTED)
        raise ConfigError(f"no {ARCHIVE} in {folder}; make it with: trainer prepare synthetic --pack {folder}")
    try:
        with zipfile.ZipFile(path) as archive:
            about: dict[str, Any] = json.loads(archive.read("about.json"))
            if about["version"] != _VERSION:
                raise ConfigError(f"{path} is of version {about['version']}, expected {_VERSION}: prepare it again")
            pictures = {
                name: [
                    _decoded(archive.read(entry))
                    for entry in sorted(archive.namelist())
                    if entry.startswith(f"{name}/")
                ]
                for name in ("skin", "eye", "background")
            }
            heads = [
                CarriedHead.unpacked(archive.read(entry))
                for entry in sorted(archive.namelist())
                if entry.startswith("head/")
            ]
            strands = cv2.imdecode(np.frombuffer(archive.read("strands.png"), np.uint8), cv2.IMREAD_GRAYSCALE)
    except (zipfile.BadZipFile, KeyError, ValueError) as error:
        raise ConfigError(f"{path} is damaged ({error}); make it again with: trainer prepare synthetic") from error
    empty = np.zeros((0, 8, 8, 3), np.uint8)
    return Assets(
        np.stack(pictures["skin"]),
        np.array(about["hair"], np.float32),
        np.stack(pictures["eye"]),
        np.asarray(strands, np.uint8),
        np.stack(pictures["background"]) if pictures["background"] else empty,
        tuple(heads),
        tuple(about["origin"]),
    )


def _encoded(picture: NDArray[np.uint8]) -> bytes:
    # Full chroma: the codes are of reflectance, and skin is all in its colour.
    options = [
        cv2.IMWRITE_JPEG_QUALITY,
        _QUALITY,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
    ]
    return cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), options)[1].tobytes()


def _decoded(data: bytes) -> NDArray[np.uint8]:
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if picture is None:
        raise ValueError("a picture cannot be decoded")
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8)
