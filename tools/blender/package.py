"""Pack the Blender add-on into an installable zip, the same bytes every time.

    python -m tools.blender.package             # dist/facestream_tracker-VERSION.zip

The zip holds the add-on, its licence and the built-in head; it needs no wheels. ``make blender-addon`` runs this.
"""

from __future__ import annotations

import argparse
import sys
import tomllib
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
ADDON = HERE / "facestream_tracker"
HEAD = ROOT / "tracker" / "face_model" / "data"
_EPOCH = (1980, 1, 1, 0, 0, 0)


def contents() -> dict[str, Path]:
    """Name in the zip -> file."""
    files = {path.name: path for path in sorted(ADDON.iterdir()) if path.suffix in (".py", ".toml")}
    files["assets/builtin_head.npz"] = HEAD / "builtin_head.npz"
    files["assets/builtin_head.LICENCE.txt"] = HEAD / "builtin_head.LICENCE.txt"
    files["LICENSE"] = ROOT / "LICENSE"
    return files


def pack(folder: Path) -> Path:
    """Write the zip into ``folder`` and return its path."""
    manifest = tomllib.loads((ADDON / "blender_manifest.toml").read_text(encoding="utf-8"))
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{manifest['id']}-{manifest['version']}.zip"
    # Stored: the head is compressed already, and other versions of zlib would make other bytes of the same files.
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for name, path in sorted(contents().items()):
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.create_system = 3
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, path.read_bytes())
    return target


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "dist", help="folder (default: dist)")
    target = pack(parser.parse_args().output)
    print(
        f"{target} ({target.stat().st_size / 1e6:.1f} MB): Blender > Edit > Preferences > Get Extensions > Install from Disk"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
