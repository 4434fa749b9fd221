"""How accurate, steady and robust the tracker is. Each question is a subcommand; each takes --json FILE.

    python tools/evaluate.py synthetic      rendered people of known pose, expression and identity
    python tools/evaluate.py stills         photographs with 68 points of dlib's predictor
    python tools/evaluate.py steadiness     jitter at rest and lag in motion, raw and smoothed
    python tools/evaluate.py robustness     frames lost and invented: clips, roll, small faces, no faces, darkness
    python tools/evaluate.py expressions    does a smile come out as a smile? known performances and labelled clips
    python tools/evaluate.py conditions     how landmarks suffer from size, light, blur and grain, for `tracker hello`
    python tools/evaluate.py identity       does identity hold still, and tell people apart? What does enrolling buy?
    python tools/evaluate.py two-pass       does knowing shape and skin beforehand help? `process` in one pass and in two
    python tools/evaluate.py people         is another person noticed, and one person never taken for two?
    python tools/evaluate.py flame          renders of the FLAME-structured head: jaw, eyes, lids, and ARKit's words for them
    python tools/evaluate.py models         built-in, ICT and FLAME-structured heads: true in 3D? what does a fit cost?
    python tools/evaluate.py appearance     skin apart from light; occluders, jitter, brightness steps with and without; cost
    python tools/evaluate.py encoders       the encoders side by side: stills, losses, jitter, occluders, yaw, scores, sigma, cost

Baselines (the mean face, MediaPipe) stand beside. MediaPipe is installed into an environment of its own on first use; --no-peers
leaves it out. What needs the development data beside the checkout is left out where that is absent.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from rich.console import Console
from rich.table import Table

from tools.evaluation import (
    conditions,
    encoder_picture,
    encoders,
    expressions,
    flame,
    ict,
    identity,
    models,
    people,
    registration,
    robustness,
    steadiness,
    stills,
    synthetic,
    tracking_models,
    two_pass,
)
from tools.evaluation.appearance import question as appearance
from tools.evaluation.expression_material import KINDS, Kind, Studio
from tools.evaluation.tracking import Follower
from tools.peers.client import SubjectError, SubjectProcess
from tools.peers.environment import PeersError
from tools.peers.start import start
from tools.structured_models.flame_model import flame_face_model
from tracker.config import ENCODERS
from tracker.errors import ConfigError, TrackerError
from tracker.face_model import load_face_model
from tracker.fitting.fitter import FitConfig
from tracker.smoothing import SmoothingConfig
from tracker.smoothing.one_euro import OneEuroConfig


def run_synthetic(args: argparse.Namespace) -> dict[str, Any]:
    kinds: list[synthetic.Kind] = [kind for kind in ("builtin", "ict") if kind in args.kinds]
    if not ict.available() and "ict" in kinds:
        sys.stderr.write("evaluate: no ICT heads: the development data is not beside the checkout\n")
        kinds.remove("ict")
    people, every = (1, 4) if args.quick else (args.people, args.every)
    with _peer("face_landmarker", args) as peer:
        return synthetic.evaluate(
            load_face_model(args.face_model), Follower(), peer, kinds=kinds, people=people, every=every, fit_config=_fit(args)
        )  # fmt: skip


def run_stills(args: argparse.Namespace) -> dict[str, Any]:
    if not stills.available():
        raise ConfigError("the photographs are part of the development data, which is not beside the checkout")
    with _peer("face_landmarker", args) as peer:
        return stills.evaluate(load_face_model(args.face_model), Follower(), peer)


def run_steadiness(args: argparse.Namespace) -> dict[str, Any]:
    smoothing, fitting = _smoothing(args), _fit(args)
    material = steadiness.prepare(Follower(), args.clips, 100 if args.quick else 240)
    result = steadiness.evaluate(load_face_model(args.face_model), material, smoothing, fitting)
    for name in ("face_landmarker", "facemesh"):
        with _peer(name, args) as peer:
            if peer is not None:
                result[name] = steadiness.peer_stills(peer)
    return result


def run_robustness(args: argparse.Namespace) -> dict[str, Any]:
    with _peer("face_landmarker", args) as peer:
        return robustness.evaluate(Follower(), peer, limit=60 if args.quick else None)


def run_expressions(args: argparse.Namespace) -> dict[str, Any]:
    kinds: list[Kind] = [kind for kind in args.kinds if not kind.startswith("ict") or ict.available()]
    if len(kinds) < len(args.kinds):
        sys.stderr.write("evaluate: no ICT heads: the development data is not beside the checkout\n")
    people = args.person[:1] if args.quick else args.person
    with _peer("face_landmarker", args) as peer:
        return expressions.evaluate(
            load_face_model(args.face_model), Studio(peer, fresh=args.fresh), kinds=kinds, people=people, fit_config=_fit(args)
        )  # fmt: skip


def run_conditions(args: argparse.Namespace) -> dict[str, Any]:
    return conditions.evaluate()


def run_identity(args: argparse.Namespace) -> dict[str, Any]:
    return identity.evaluate(load_face_model(args.face_model), Follower(), _fit(args), quick=args.quick)


def run_flame(args: argparse.Namespace) -> dict[str, Any]:
    people, every = (1, 6) if args.quick else (2, 3)
    return flame.evaluate(flame_face_model(), {"builtin": load_face_model()}, Follower(), people=people, every=every)


def run_models(args: argparse.Namespace) -> dict[str, Any]:
    faces, fitting = tracking_models.load(args.face_models), _fit(args)
    follower = Follower()
    return models.evaluate(faces, follower.set_name, models.prepare(follower, quick=args.quick), args.picture, fitting)


def run_registration(args: argparse.Namespace) -> dict[str, Any]:
    return registration.evaluate(quick=args.quick)


def run_two_pass(args: argparse.Namespace) -> dict[str, Any]:
    return two_pass.evaluate(quick=args.quick)


def run_people(args: argparse.Namespace) -> dict[str, Any]:
    return people.evaluate(2 if args.quick else None)


def run_appearance(args: argparse.Namespace) -> dict[str, Any]:
    return appearance.evaluate(load_face_model(args.face_model), Follower(), parts=tuple(args.parts), quick=args.quick)


def run_encoders(args: argparse.Namespace) -> dict[str, Any]:
    if args.picture is not None:
        encoder_picture.draw(tuple(args.encoders), args.picture)
    return encoders.evaluate(load_face_model(args.face_model), args.encoders, parts=args.parts, quick=args.quick)


def main(argv: Sequence[str] | None = None) -> int:
    args = _parser().parse_args(argv)
    try:
        result = args.run(args)
    except (TrackerError, PeersError, SubjectError) as error:
        sys.stderr.write(f"evaluate: {error}\n")
        return 1
    show(args.question, result)
    if args.json is not None:
        args.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return 0


def show(question: str, result: dict[str, Any]) -> None:
    """Print nested figures as one table, a row per leaf; long lists of expressions stay in the JSON file."""
    table = Table(title=question, show_header=False)
    table.add_column("figure")
    table.add_column("value")
    for path, value in _leaves(result):
        table.add_row(path, str(value))
    Console().print(table)


def _leaves(figures: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in figures.items():
        path = f"{prefix}{name}"
        if name == "expressions":
            continue
        if isinstance(value, dict) and not all(
            isinstance(inner, (int, float)) or inner is None for inner in value.values()
        ):
            yield from _leaves(value, f"{path}.")
        elif isinstance(value, dict):
            yield path, "  ".join(f"{key} {inner}" for key, inner in value.items())
        else:
            yield path, value


@contextmanager
def _peer(name: str, args: argparse.Namespace) -> Iterator[SubjectProcess | None]:
    if args.no_peers:
        yield None
        return
    with start(name) as peer:
        yield peer


def _fit(args: argparse.Namespace) -> FitConfig:
    """The fit's settings with the ``--fit`` overrides, e.g. ``correlated_landmarks=20``."""
    config = FitConfig()
    for name, value in args.fit:
        if name not in {field.name for field in fields(FitConfig)} or name == "identity":
            raise ConfigError(f"--fit: there is no setting '{name}' in FitConfig")
        config = replace(config, **{name: type(getattr(config, name))(float(value))})
    return config


def _smoothing(args: argparse.Namespace) -> SmoothingConfig:
    """The smoothing's settings with the ``--smoothing`` overrides, e.g. ``rotation=0.5,80,3,2``."""
    config = SmoothingConfig()
    groups = [field.name for field in fields(SmoothingConfig) if field.name != "enabled"]
    for name, value in args.smoothing:
        if name not in groups:
            raise ConfigError(f"--smoothing: groups are {', '.join(groups)}; got '{name}'")
        try:
            numbers = [float(number) for number in value.split(",")]
            config = replace(config, **{name: OneEuroConfig(*numbers)})
        except (TypeError, ValueError) as error:
            wanted = ",".join(field.name for field in fields(OneEuroConfig))
            raise ConfigError(f"--smoothing {name}: expected {wanted}; got '{value}'") from error
    return config


def _setting(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"expected NAME=VALUE, got '{text}'")
    return name, value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    questions = parser.add_subparsers(dest="question", required=True, metavar="QUESTION")
    for name, function, text in (
        ("synthetic", run_synthetic, "rendered people of known pose, expression and identity"),
        ("stills", run_stills, "photographs with 68 points of dlib's predictor"),
        ("steadiness", run_steadiness, "jitter at rest and lag in motion"),
        ("robustness", run_robustness, "frames lost and invented"),
        ("conditions", run_conditions, "what landmarks suffer from"),
        ("expressions", run_expressions, "precision and recall of expressions, left and right apart"),
        (
            "two-pass",
            run_two_pass,
            "one pass over a clip and two: shape, first second, jitter, occluder from the first frame on",
        ),
        ("appearance", run_appearance, "skin, light and occlusion, and what they do for the fit"),
        ("encoders", run_encoders, "the networks side by side, on material that none of ours was trained on"),
        ("identity", run_identity, "drift, and the difference between people"),
        ("people", run_people, "another person noticed, one person never taken for two"),
        ("flame", run_flame, "renders of the FLAME-structured head, in its own parameters and in ARKit's words"),
        ("models", run_models, "built-in, ICT and FLAME-structured heads as the tracker's own"),
        ("registration", run_registration, "foreign heads brought onto the built-in one"),
    ):
        question = questions.add_parser(name, help=text, description=text)
        question.set_defaults(run=function, fit=[])
        question.add_argument("--json", type=Path, metavar="FILE", help="write the figures")
        question.add_argument("--quick", action="store_true", help="less material, for a first look")
        if name == "models":
            question.add_argument(
                "--face-models", nargs="+", default=tracking_models.NAMES, metavar="NAME|PATH",
                help="face models to fit; the first is what the others' time is compared with",
            )  # fmt: skip
            question.add_argument(
                "--picture", type=Path, metavar="FILE", help="write the scan coloured by its errors (.png)"
            )
        elif name not in ("flame", "registration"):
            question.add_argument("--no-peers", action="store_true", help="without MediaPipe as a baseline")
            question.add_argument("--face-model", default="builtin", metavar="NAME|PATH", help="face model to fit")
        if name in ("synthetic", "steadiness", "identity", "models"):
            question.add_argument(
                "--fit",
                type=_setting,
                action="append",
                default=[],
                metavar="NAME=VALUE",
                help="try another FitConfig value",
            )
        if name == "appearance":
            question.add_argument("--parts", nargs="+", choices=appearance.PARTS, default=appearance.PARTS)
        if name == "encoders":
            question.add_argument("--parts", nargs="+", choices=encoders.PARTS, default=encoders.PARTS)
            question.add_argument("--encoders", nargs="+", choices=ENCODERS, default=ENCODERS)
            question.add_argument(
                "--picture", type=Path, metavar="FILE", help="draw covered faces as the encoders see them"
            )
        if name == "synthetic":
            question.add_argument("--people", type=int, default=2, help="people of each kind (default 2)")
            question.add_argument("--every", type=int, default=1, metavar="N", help="keep every Nth frame (default 1)")
            question.add_argument("--kinds", nargs="+", choices=("builtin", "ict"), default=("builtin", "ict"))
        if name == "expressions":
            question.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
            question.add_argument(
                "--person", type=int, nargs="+", default=(0, 1, 2, 3), metavar="N",
                help="which people of each kind (default 0 1 2 3; the prior was tuned on 0 and 1)",
            )  # fmt: skip
            question.add_argument("--fresh", action="store_true", help="render and encode again what is in the cache")
        if name == "steadiness":
            question.add_argument("--clips", nargs="+", type=Path, help="clips with motion, for the lag")
            question.add_argument(
                "--smoothing", type=_setting, action="append", default=[], metavar="GROUP=NUMBERS",
                help="try other smoothing, e.g. rotation=0.5,80,3,2 (the fields of OneEuroConfig)",
            )  # fmt: skip
    return parser


if __name__ == "__main__":
    sys.exit(main())
