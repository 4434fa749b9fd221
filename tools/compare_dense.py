"""Compare losses, decoders, backbones, numbers of landmarks of the dense landmark method; Simic 2022, tables 4.1 to 4.6.

    nice -n 10 python tools/compare_dense.py --steps 150 --shards SHARDS     # all tables, prints Markdown
    python tools/compare_dense.py --tables losses --seeds 3 --steps 2000     # for a quiet machine

Cost: see docs/dense_landmarks.md. Crops are those of ``trainer prepare dense_landmarks --preset cpu-small``, or stored ones in
``--data``; the backbone is the tracker's own trunk, fixed: losses and decoders compare heads. ``--shards`` adds real crops with
pseudo-labels (``trainer prepare encoder``) to training, and people held out to the tables. ``backbones`` trains whole networks.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tools.evaluation.dense_backbones import train_backbones
from tools.evaluation.dense_fits import fit_errors
from tools.evaluation.dense_heads import (
    Features,
    Head,
    both,
    decile_text,
    features_of,
    store_real,
    train_head,
    trunk_ms,
)
from tools.evaluation.dense_throughput import throughput
from tracker.face_model.importing.dense_sets import with_dense_sets
from tracker.face_model.store import load_face_model
from trainer.data.stored import StoredStream
from trainer.methods.dense_landmarks.data import data_folder, prepare
from trainer.methods.dense_landmarks.plot import calibration_plot
from trainer.methods.dense_landmarks.points import rows_of
from trainer.methods.dense_landmarks.settings import PRESETS, DataSettings
from trainer.metrics.calibration import Calibration
from trainer.pictures import write_png

Settings = dict[str, Any]

LOSSES: list[tuple[str, Settings, float | None]] = [
    ("NGLL", {"loss": "ngll"}, 2.17),
    ("NGLL + VE", {"loss": "ngll", "vertex_edge": 1.0}, 2.18),
    ("ResLL", {"loss": "resll"}, 2.20),
    ("ResLL + VE", {"loss": "resll", "vertex_edge": 1.0}, 2.18),
    ("ResLL-Exp", {"loss": "resll_exp"}, 2.11),
    ("ResLL-Exp + VE", {"loss": "resll_exp", "vertex_edge": 1.0}, 2.13),
    ("ResLL-Exp, as (3.21) is written", {"loss": "resll_exp", "anchored": False}, None),
]
"""Name, settings, the thesis's MLME with a ResNet-50 on DAD-3DHeads (table 4.1)."""
DECODERS: list[tuple[str, Settings, str]] = [
    ("linear", {"decoder": "linear"}, "2.11 · 7.9 · 10.7 · 0.48 · 20 · 1.0"),
    ("linear + VE", {"decoder": "linear", "vertex_edge": 1.0}, "2.13 · 8.2 · 11.2 · 0.49 · 21 · 0.9"),
    ("MLP", {"decoder": "mlp"}, "-"),
    ("SpiralNet++", {"decoder": "spiral"}, "2.26 · 8.0 · 11.2 · 0.76 · 30 · 1.0"),
    ("SpiralNet++ + VE", {"decoder": "spiral", "vertex_edge": 1.0}, "2.01 · 8.1 · 10.9 · 0.51 · 21 · 1.0"),
]
"""Name, settings, the thesis's MLME, MVE face and head, MRLE, ms of landmarks, s of fitting, ResNet-50 (tables 4.3 to 4.5)."""
BACKBONES = {"resnet18": "2.11 (ResNet-50)", "mobilenetv3_l": "2.55", "mobilenetv4_s": "-"}
"""The thesis's MLME (table 4.2)."""
SUBSETS = {
    1609: ("7.8", "10.6"),
    805: ("7.5", "10.4"),
    403: ("7.5", "10.6"),
    202: ("7.6", "10.8"),
    101: ("7.8", "10.8"),
}
"""Landmarks -> the thesis's MVE of face and head in mm (table 4.6)."""


TABLES = ("losses", "decoders", "subsets", "backbones", "throughput")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--tables",
        nargs="+",
        choices=TABLES,
        default=list(TABLES),
    )
    parser.add_argument(
        "--data", type=Path, help="folder with stored crops (train, validation); rendered into the cache if not given"
    )
    parser.add_argument(
        "--shards", type=Path, help="folder of real crops with a fitted head; synthetic ones alone without"
    )
    parser.add_argument("--real", type=int, default=512, help="real crops to train with, everybody as often")
    parser.add_argument("--steps", type=int, default=400, help="of training each head, batches of 64")
    parser.add_argument("--seeds", type=int, default=1, help="trainings per row; above 1 the spread is shown")
    parser.add_argument("--fits", type=int, default=24, help="faces that are fitted for tables 4.4 to 4.6")
    parser.add_argument("--set", default="dense101", help="landmark set of losses and decoders: dense1609 .. dense101")
    parser.add_argument("--crop", type=int, default=64, help="side of crops for backbones and throughput, pixels")
    parser.add_argument("--batch", type=int, default=8, help="batch for throughput")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"), help="for throughput")
    parser.add_argument("--plot", type=Path, help="write the losses' calibration as PNG")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if "throughput" in arguments.tables:
        speeds(arguments.crop, arguments.batch, arguments.device)
        if arguments.tables == ["throughput"]:
            return
    folder = arguments.data
    if folder is None:
        data = DataSettings.read(PRESETS["cpu-small"]["method"]["data"])
        prepare(data, 0)
        folder = data_folder(data, 0)
    if "backbones" in arguments.tables:
        backbones(folder, arguments.crop, arguments.steps)
        if not {"losses", "decoders", "subsets"} & set(arguments.tables):
            return
    train, validation = features_of(folder, "train"), features_of(folder, "validation")
    print(f"{len(train.values)} rendered crops to train with, {len(validation.values)} held out", flush=True)
    if arguments.shards is not None:
        store_real(arguments.shards, folder, arguments.real, DataSettings().stored_px)
        seen, unseen = features_of(folder, "real_train"), features_of(folder, "real_validation")
        print(f"{len(seen.values)} real crops to train with, {len(unseen.values)} of held-out people", flush=True)
        train, validation = both(train, seen), both(validation, unseen)
    print(f"{arguments.steps} steps of 64\n", flush=True)
    if "losses" in arguments.tables:
        losses(train, validation, arguments.set, arguments.steps, arguments.seeds, arguments.plot)
    if "decoders" in arguments.tables:
        decoders(train, validation, folder, arguments.set, arguments.steps, arguments.fits)
    if "subsets" in arguments.tables:
        subsets(train, validation, folder, arguments.steps, arguments.fits)


def heads(train: Features, validation: Features, settings: Settings, steps: int, seeds: int) -> list[Head]:
    return [train_head(train, validation, settings, steps, seed=seed) for seed in range(seeds)]


def spread(values: list[float]) -> str:
    middle = statistics.fmean(values)
    return f"{middle:.2f}" if len(values) == 1 else f"{middle:.2f} ± {statistics.stdev(values):.2f}"


def losses(train: Features, validation: Features, landmarks: str, steps: int, seeds: int, plot: Path | None) -> None:
    print(
        "| loss | MLME, px of 256: synthetic | real | turned < 30° | sigma / error | rank | deciles 1, 5, 10 | s | thesis 4.1 |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    lines: dict[str, Calibration] = {}
    for name, settings, theirs in LOSSES:
        trained = heads(train, validation, {"decoder": "linear", "landmark_set": landmarks} | settings, steps, seeds)
        one = trained[0].calibration
        lines[name] = one
        print(
            f"| {name} | {spread([head.mlme_px for head in trained])} | {spread([head.real_px for head in trained])} | "
            f"{spread([head.frontal_px for head in trained])} | {one.ratio:.2f} | "
            f"{one.rank_correlation:.2f} | {decile_text(one)} | {trained[0].seconds:.0f} | {theirs or '-'} |",
            flush=True,
        )
    if plot is not None:
        shown = {name: line for name, line in lines.items() if "VE" not in name}
        write_png(calibration_plot(shown), str(plot))
    print()


def decoders(train: Features, validation: Features, folder: Path, landmarks: str, steps: int, count: int) -> None:
    model = with_dense_sets(load_face_model())
    batch = StoredStream(folder / "validation", count).batch(0)
    trunk = trunk_ms()
    print(
        f"{landmarks}, ResLL-Exp; {count} held-out rendered faces fitted; the trunk itself takes {trunk:.1f} ms (torch).\n"
    )
    print(
        "| decoder | MLME, px of 256: synthetic | real | turned < 30° | MVE, mm: face | head | MRLE, px | landmarks, ms | "
        "fit, ms | training, s | thesis, ResNet-50: MLME · face · head · MRLE · ms · fit s |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    for name, settings, theirs in DECODERS:
        head = train_head(train, validation, {"loss": "resll_exp", "landmark_set": landmarks} | settings, steps)
        points, sigma = predicted(head, count)
        (fit,) = fit_errors(model, [landmarks], batch, points, sigma, rows_of(landmarks))
        print(
            f"| {name} | {head.mlme_px:.2f} | {head.real_px:.2f} | {head.frontal_px:.2f} | {fit.face_mm:.1f} | "
            f"{fit.head_mm:.1f} | {fit.mrle_px:.2f} | {trunk + head.decoder_ms:.1f} | {fit.ms:.0f} | "
            f"{head.seconds:.0f} | {theirs} |",
            flush=True,
        )
    print()


def predicted(head: Head, count: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Landmarks (N, L, 2) of the first pictures and one sigma (N, L) for each."""
    sigma = head.predicted.sigma[:count].square().mean(dim=-1).sqrt()
    return head.predicted.points[:count].numpy(), sigma.numpy()


def subsets(train: Features, validation: Features, folder: Path, steps: int, count: int) -> None:
    model = with_dense_sets(load_face_model())
    names = [f"dense{number}" for number in SUBSETS]
    head = train_head(train, validation, {"decoder": "mlp", "loss": "ngll", "landmark_set": "dense1609"}, steps)
    batch = StoredStream(folder / "validation", count).batch(0)
    points, sigma = predicted(head, count)
    truth = batch.points[..., :2].numpy()
    noisy = truth + np.random.default_rng(0).normal(0, 2 / 256, truth.shape).astype(np.float32)
    print(
        f"{count} held-out faces; landmarks of an MLP on all 1609 (MLME {head.mlme_px:.1f} px), and the true ones with"
    )
    print("2 px of noise each. Centres of faces put together.\n")
    print(
        "| landmarks | predicted: face, mm | head | MRLE, px | true + noise: face, mm | head | ms | thesis: face | head |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for name in names:
        (ours,) = fit_errors(model, [name], batch, points, sigma, rows_of("dense1609"))
        (best,) = fit_errors(
            model, [name], batch, noisy, np.full(truth.shape[:2], 2 / 256, np.float32), rows_of("dense1609")
        )
        theirs = SUBSETS[ours.landmarks]
        print(
            f"| {ours.landmarks} | {ours.face_mm:.1f} | {ours.head_mm:.1f} | {ours.mrle_px:.2f} | {best.face_mm:.1f} | "
            f"{best.head_mm:.1f} | {ours.ms:.0f} | {theirs[0]} | {theirs[1]} |",
            flush=True,
        )
    print()


def backbones(folder: Path, crop: int, steps: int) -> None:
    print(f"{crop} px, {steps} steps of 16, from random weights; dense101, linear decoder, NGLL.\n")
    print(
        "| backbone | million parameters | MLME, px of 256 | turned < 30° | images/s | thesis 4.2 (ImageNet's weights) |"
    )
    print("|---|---|---|---|---|---|")
    for one in train_backbones(folder, crop, steps):
        print(
            f"| {one.name} | {one.parameters / 1e6:.1f} | {one.mlme_px:.1f} | {one.frontal_px:.1f} | {one.images_per_s:.0f} | "
            f"{BACKBONES[one.name]} |",
            flush=True,
        )
    print()


def speeds(crop: int, batch: int, device: str) -> None:
    print(f"| backbone | million parameters | images/s, {crop} px, batch {batch}, {device} |\n|---|---|---|")
    for name, count, speed in throughput(crop, batch, device):
        print(f"| {name} | {count:.1f} | {speed:.1f} |", flush=True)
    print()


if __name__ == "__main__":
    main()
