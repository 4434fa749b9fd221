from __future__ import annotations

import ast
import re
import sys
import tomllib
import zipfile
from pathlib import Path

import tracker
from tools.blender.package import ADDON, pack


def test_the_zip_is_the_same_every_time(tmp_path: Path) -> None:
    first, second = pack(tmp_path / "a"), pack(tmp_path / "b")
    assert first.read_bytes() == second.read_bytes()
    assert first.stat().st_size < 3_500_000


def test_the_manifest_says_what_blender_asks_for(tmp_path: Path) -> None:
    with zipfile.ZipFile(pack(tmp_path)) as archive:
        names = archive.namelist()
        manifest = tomllib.loads(archive.read("blender_manifest.toml").decode())
    assert manifest["schema_version"] == "1.0.0" and manifest["type"] == "add-on"
    assert manifest["version"] == tracker.__version__
    assert re.fullmatch(r"[a-z_][a-z0-9_]*", manifest["id"])
    assert len(manifest["tagline"]) <= 64 and not manifest["tagline"].endswith(".")
    assert all(len(reason) <= 64 and not reason.endswith(".") for reason in manifest["permissions"].values())
    assert {"__init__.py", "LICENSE", "assets/builtin_head.npz", "assets/builtin_head.LICENCE.txt"} <= set(names)


def test_the_add_on_needs_nothing_that_blender_lacks() -> None:
    allowed = {*sys.stdlib_module_names, "numpy", "bpy", "bpy_extras", "mathutils"}
    for path in ADDON.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                assert {alias.name.split(".")[0] for alias in node.names} <= allowed, path
            elif isinstance(node, ast.ImportFrom) and not node.level:
                assert node.module is not None and node.module.split(".")[0] in allowed, path
