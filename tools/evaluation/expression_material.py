"""Observations of rendered performances and labelled clips, made once and kept in the user's cache.

Rendering and networks take minutes, a fit seconds: with the observations at hand a setting of the expression prior is judged at
once. The name of each cached file holds a digest of everything its content depends on.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from tools.evaluation import ict, textured
from tools.evaluation.clips import SHARED, frames_of
from tools.evaluation.performances import performance
from tools.evaluation.performers import perform_builtin, perform_ict, perform_textured
from tools.evaluation.tracking import Encoded, Follower
from tools.peers.client import SubjectProcess
from tracker.cache import atomic_target, ensure_cache_dir
from tracker.face_model import load_face_model
from tracker.types import FaceObservation, Landmarks

Kind = Literal["builtin", "ict", "builtin-skin", "ict-skin"]
KINDS: Final[tuple[Kind, ...]] = ("builtin", "ict", "builtin-skin", "ict-skin")
FPS: Final = 30.0

_REPOSITORY: Final = Path(__file__).resolve().parents[2]
_ENCODER: Final = ("tracker/landmarks", "tracker/detection")
_RENDERERS: Final = (
    "tools/evaluation/performances.py", "tools/evaluation/performers.py", "tools/evaluation/ict.py",
    "tools/evaluation/textured.py",
    "tracker/rendering/scene.py", "tracker/rendering/skin.py", "tracker/rendering/lighting.py",
    "tracker/rendering/shading.py", "tracker/face_model/data/builtin_head.npz",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Material:
    """One stream as the networks saw it."""

    name: str
    encoded: list[Encoded]
    fps: float
    truth: NDArray[np.float32] | None
    """(T, 52) true weights of a rendered person."""
    act: NDArray[np.intp] | None
    """(T,) the act of its performance that each frame belongs to."""
    peer: NDArray[np.float32] | None
    """(T, 52) MediaPipe's scores, NaN where it saw no face; None when it was not asked."""


class Studio:
    """Makes material; networks are loaded only when something is not in the cache."""

    def __init__(self, peer: SubjectProcess | None = None, *, fresh: bool = False) -> None:
        self._peer = peer
        self._fresh = fresh
        self._follower: Follower | None = None

    def rendered(self, kind: Kind, seed: int) -> Material:
        """Person ``seed`` of a kind through the whole performance."""
        path = _cached(f"{kind}{seed}", (*_ENCODER, *_RENDERERS))
        known = self._known(path)
        if known is not None:
            return known
        acted = performance(seed if kind.startswith("builtin") else seed + 500)
        motion = (acted.expression, acted.rotation, acted.translation)
        if kind == "builtin":
            images = perform_builtin(load_face_model("builtin"), seed, *motion)
        elif kind == "ict":
            images = perform_ict(ict.load(), seed, *motion)
        else:
            model = load_face_model("builtin") if kind == "builtin-skin" else textured.ict_truth()
            images = perform_textured(model, seed, *motion)
        encoded = self._networks().encode_images(images, FPS)
        material = Material(f"{kind} {seed}", encoded, FPS, acted.expression, acted.act, self._peer_scores(images, FPS))
        _write(path, material)
        return material

    def clip(self, name: str) -> Material:
        """A clip of the development data."""
        source = SHARED / "clips" / name
        path = _cached(source.stem, _ENCODER)
        known = self._known(path)
        if known is not None:
            return known
        frames = list(frames_of(source))
        fps = (len(frames) - 1) * 1e9 / max(frames[-1].t_capture_ns - frames[0].t_capture_ns, 1)
        peer = self._peer_scores(np.stack([frame.image for frame in frames]), fps)
        material = Material(name, self._networks().encode(frames), fps, None, None, peer)
        _write(path, material)
        return material

    def _known(self, path: Path) -> Material | None:
        if self._fresh or not path.is_file():
            return None
        material = _read(path)
        return None if self._peer is not None and material.peer is None else material

    def _networks(self) -> Follower:
        self._follower = self._follower or Follower()
        return self._follower

    def _peer_scores(self, images: NDArray[np.uint8], fps: float) -> NDArray[np.float32] | None:
        if self._peer is None:
            return None
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "frames.npy"
            np.save(path, images)
            return self._peer.see(0, self._peer.load(path, fps))["scores"]


@cache
def _digest(parts: Sequence[str]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        path = _REPOSITORY / part
        files = sorted(each for each in path.rglob("*") if each.suffix in (".py", ".npz")) if path.is_dir() else [path]
        for each in files:
            digest.update(each.read_bytes())
    return digest.hexdigest()[:10]


def _cached(name: str, depends_on: tuple[str, ...]) -> Path:
    return ensure_cache_dir("evaluation") / f"expressions-{name}-{_digest(depends_on)}.npz"


def _write(path: Path, material: Material) -> None:
    seen = [each.observations[0] if each.observations else None for each in material.encoded]
    kept = [each for each in seen if each is not None]
    optional = {
        name: value
        for name, value in (("truth", material.truth), ("act", material.act), ("peer", material.peer))
        if value is not None
    }
    with atomic_target(path) as partial, partial.open("wb") as stream:
        np.savez(
            stream,
            name=np.array(material.name),
            fps=np.array(material.fps),
            size=np.array([material.encoded[0].width, material.encoded[0].height]),
            t_capture_ns=np.array([each.t_capture_ns for each in material.encoded]),
            found=np.array([each is not None for each in seen]),
            points=np.stack([each.landmarks.points for each in kept]),
            sigma=np.stack([each.landmarks.sigma for each in kept]),
            set_name=np.array(kept[0].landmarks.set_name),
            scalars=np.array([(each.face_id, each.age, each.presence) for each in kept]),
            box=np.stack([each.box for each in kept]),
            hint=np.stack([np.zeros(52, np.float32) if each.arkit_hint is None else each.arkit_hint for each in kept]),
            **optional,
        )


def _read(path: Path) -> Material:
    with np.load(path) as stored:
        data = {name: stored[name] for name in stored.files}
    encoded: list[Encoded] = []
    position = 0
    width, height = (int(side) for side in data["size"])
    for index, found in enumerate(data["found"]):
        observations = []
        if found:
            face_id, age, presence = data["scalars"][position]
            observations.append(
                FaceObservation(
                    int(face_id),
                    int(age),
                    Landmarks(str(data["set_name"]), data["points"][position], data["sigma"][position]),
                    float(presence),
                    data["box"][position],
                    data["hint"][position],
                )
            )
            position += 1
        encoded.append(Encoded(index, int(data["t_capture_ns"][index]), width, height, observations))
    return Material(
        str(data["name"]), encoded, float(data["fps"]), data.get("truth"), data.get("act"), data.get("peer")
    )
