"""The protocols there are. Their modules are imported only when used."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, cast

if TYPE_CHECKING:
    from collections.abc import Callable

    from tracker.bridges.bridge import Bridge
    from tracker.bridges.spec import BridgeSpec


@dataclass(frozen=True, slots=True)
class BridgeEntry:
    """A protocol: what it is called, where it goes by default, and who reads it."""

    name: str
    module: str
    """Module with ``open_bridge(spec) -> Bridge``."""
    port: int
    reads: str
    """The tools at the other end."""
    options: Mapping[str, str] = field(default_factory=dict)
    """Name of each option -> one line of help."""
    host: str = "127.0.0.1"

    def open(self, spec: BridgeSpec) -> Bridge:
        """Connect as ``spec`` says. Raises ``TrackerError`` with a line for the user."""
        opener = cast("Callable[[BridgeSpec], Bridge]", importlib.import_module(self.module).open_bridge)
        return opener(spec)


_ENTRIES: Final = (
    BridgeEntry(
        "livelink",
        "tracker.bridges.livelink",
        11111,
        "Unreal Engine (Live Link Face), VRCFaceTracking, Warudo, Blender add-ons",
        {"subject": "name shown in Live Link (default iPhone)", "device": "device id, a UUID"},
    ),
    BridgeEntry(
        "vmc",
        "tracker.bridges.vmc",
        39540,
        "VSeeFace, Virtual Motion Capture, Warudo, VNyan (VMC protocol)",
        {
            "neck": "share of the head's turn that the neck takes, 0..1 (default 0.4)",
            "presets": "VRM presets: vrm0 (default), vrm1, both, none",
            "names": "ARKit names: arkit as jawOpen (default), capital as JawOpen, none",
        },
    ),
)

BRIDGES: Final[dict[str, BridgeEntry]] = {entry.name: entry for entry in _ENTRIES}
