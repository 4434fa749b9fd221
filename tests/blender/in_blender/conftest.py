"""The add-on in Blender itself, installed from its zip: ``make test-blender``."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tools.blender.package import pack


@pytest.fixture(scope="session", autouse=True)
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    from tests.blender.in_blender.session import MODULE, bpy

    archive = pack(tmp_path_factory.mktemp("zip"))
    done = bpy.ops.extensions.package_install_files(filepath=str(archive), repo="user_default", enable_on_install=True)
    assert done == {"FINISHED"}
    yield
    bpy.ops.preferences.addon_disable(module=MODULE)


@pytest.fixture(autouse=True)
def empty_file(installed: None) -> Iterator[None]:
    from tests.blender.in_blender.session import bpy, live

    bpy.ops.wm.read_homefile(app_template="", use_empty=True)
    yield
    live().stop()
