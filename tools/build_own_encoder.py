"""Write the two networks of ``--encoder own`` that come with the package.

    trainer export glance -o glance.onnx
    trainer export encoder -o encoder.onnx
    python tools/build_own_encoder.py glance.onnx encoder.onnx

The glance (the published landmark network and what is read off its maps) runs for every crop and is taken as it is. Of the
encoder goes in what comes after the published network's first stages: it is fed with the glance's map at stride 4, ``stem``.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

TARGET = Path(__file__).parents[1] / "tracker" / "landmarks" / "data"
BRANCH_OUTPUTS = ("points", "log_sigma", "visibility", "kept")


def main() -> int:
    """Run the tool."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("glance", type=Path, help="as `trainer export glance` writes it")
    parser.add_argument("encoder", type=Path, help="as `trainer export encoder` writes it")
    parser.add_argument("--out", type=Path, default=TARGET, help="folder to write to (default: the package's)")
    args = parser.parse_args()
    for path in (args.glance, args.encoder):
        if not path.is_file():
            print(f"{path} does not exist; write it with: trainer export {path.stem} -o {path}", file=sys.stderr)
            return 2
    try:
        glance, branch = args.glance.read_bytes(), cut_branch(args.encoder)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    args.out.mkdir(parents=True, exist_ok=True)
    for name, content in (("own_glance.onnx", glance), ("own_branch.onnx", branch)):
        (args.out / name).write_bytes(content)
        print(f"{args.out / name}: {len(content) / 1e6:.1f} MB")
    return 0


def cut_branch(path: Path) -> bytes:
    """The part of an exported encoder behind its output ``stem``, as an ONNX file.

    Raises:
        ValueError: it has no such output.
    """
    import onnx

    from engines.header import METADATA_KEY, InputHeader, NetworkHeader, OutputHeader, from_json

    model = onnx.load(str(path))
    outputs = {output.name for output in model.graph.output}
    missing = [name for name in ("stem", *BRANCH_OUTPUTS) if name not in outputs]
    if missing:
        raise ValueError(f"{path} has no output '{missing[0]}'; expected a file of: trainer export encoder")
    text = next((entry.value for entry in model.metadata_props if entry.key == METADATA_KEY), None)
    if text is None:
        raise ValueError(f"{path} does not say what it is; expected a file of: trainer export encoder")
    whole = from_json(text, path.name)
    branch = onnx.utils.Extractor(model).extract_model(["stem"], list(BRANCH_OUTPUTS))
    told = {output.name: output for output in whole.outputs}
    header = NetworkHeader(
        name="own-branch",
        licence=whole.licence,
        origin=whole.origin,
        landmark_set=whole.landmark_set,
        face_model=whole.face_model,
        inputs=(InputHeader("stem", kind="other"),),
        outputs=tuple(told.get(name, OutputHeader(name)) for name in BRANCH_OUTPUTS),
    )
    onnx.helper.set_model_props(branch, {METADATA_KEY: header.to_json()})
    onnx.checker.check_model(branch)
    content: bytes = branch.SerializeToString()
    return content


if __name__ == "__main__":
    sys.exit(main())
