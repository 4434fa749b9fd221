"""Records what smplx makes of a FLAME-structured file: the values our reader and evaluation are tested against.

smplx (and PyTorch, which it needs) is an independent implementation of FLAME; neither is a dependency. In an environment of
their own:

    uv venv oracle && uv pip install --python oracle smplx scipy torch
    PYTHONPATH=. oracle/bin/python -m tools.make_flame_golden -o tests/golden/flame_smplx.npz
"""

from __future__ import annotations

import argparse
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tools.structured_models.flame_files import write_flame, write_flame_landmarks

CASES = 5
VERTICES = 48
_PARTS = ("global_orient", "neck_pose", "jaw_pose", "leye_pose", "reye_pose")


def parameters() -> dict[str, NDArray[np.float64]]:
    """Seeded parameters of ``CASES`` faces: the first at rest, the second with shape only, the others with everything."""
    rng = np.random.default_rng(5023)
    values = {
        "betas": rng.normal(0.0, 1.0, (CASES, 300)),
        "expression": rng.normal(0.0, 1.0, (CASES, 100)),
        "transl": rng.normal(0.0, 0.2, (CASES, 3)),
        **{part: rng.normal(0.0, 0.3, (CASES, 3)) for part in _PARTS},
    }
    for key, value in values.items():
        value[0] = 0.0
        if key != "betas":
            value[1] = 0.0
    return values


def smplx_answers(model_path: Path, values: dict[str, NDArray[np.float64]]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Vertices (N, 5023, 3) and joints (N, 5, 3), metres, by ``smplx.FLAME`` in double precision."""
    import smplx
    import torch

    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        (Path(folder) / "FLAME_NEUTRAL.pkl").symlink_to(model_path.absolute())
        write_flame_landmarks(Path(folder))
        flame = smplx.FLAME(
            folder, num_betas=300, num_expression_coeffs=100, dtype=torch.float64, use_face_contour=False, batch_size=1
        )
        vertices, joints = [], []
        for case in range(len(values["betas"])):
            row = {key: torch.tensor(value[case : case + 1]) for key, value in values.items()}
            out = flame(**row)
            vertices.append(out.vertices[0].detach().numpy())
            joints.append(out.joints[0, :5].detach().numpy())
    return np.stack(vertices), np.stack(joints)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="NPZ")
    args = parser.parse_args()
    values = parameters()
    with tempfile.TemporaryDirectory() as folder:
        vertices, joints = smplx_answers(write_flame(Path(folder), "2023"), values)
    chosen = np.sort(np.random.default_rng(48).permutation(vertices.shape[1])[:VERTICES])
    np.savez_compressed(
        args.output,
        vertex_index=chosen,
        vertices=vertices[:, chosen],
        joints=joints,
        **values,  # type: ignore[arg-type]
    )
    print(f"{args.output}: {CASES} faces, {VERTICES} vertices of each")


if __name__ == "__main__":
    main()
