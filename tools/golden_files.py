"""The command line of scripts that write files of fixed content for the tests, or check that they would."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / "tests" / "golden"


def write_or_check(description: str, contents: Mapping[str, bytes]) -> int:
    """Write what differs from ``contents`` (file name -> bytes), or with ``--check`` only say so; returns the exit code."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit 1 if a file differs from what would be written"
    )
    parser.add_argument("--out", type=Path, default=FOLDER, help="folder (default: tests/golden)")
    args = parser.parse_args()
    differing = 0
    for name, content in contents.items():
        file = args.out / name
        if file.is_file() and file.read_bytes() == content:
            continue
        differing += 1
        if not args.check:
            args.out.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        print(f"{'differs' if args.check else 'wrote'}: {file} ({len(content)} bytes)")
    return 1 if args.check and differing else 0
