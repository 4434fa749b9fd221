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
    """0: there is no address to choose."""
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
            "names": "ARKit names: both (default), arkit as jawOpen, capital as JawOpen, none",
        },
    ),
    BridgeEntry(
        "ifacialmocap",
        "tracker.bridges.ifacialmocap",
        49983,
        "VSeeFace, VNyan, VRCFaceTracking, Blender and MotionBuilder add-ons (iFacialMocap)",
        {
            "version": "v1 (default) or v2 of the text",
            "listen": "UDP port on which receivers elsewhere may ask for frames, e.g. 49983 (default: nobody may)",
        },
    ),
    BridgeEntry(
        "vrchat",
        "tracker.bridges.vrchat",
        9000,
        "VRChat: avatar parameters as of VRCFaceTracking, and native eye tracking",
        {
            "prefix": "what stands before v2/ in the avatar's parameters (default FT/; may be empty)",
            "send": "both (default), avatar parameters, or native eye tracking",
        },
    ),
    BridgeEntry(
        "facecap",
        "tracker.bridges.facecap",
        8080,
        "Blender add-ons, TouchDesigner, MotionBuilder, Unity (Face Cap's OSC)",
        {"unit": "of the head's position: m (default) or cm"},
    ),
    BridgeEntry("babble", "tracker.bridges.babble", 8888, "VRCFaceTracking's Project Babble module: the lower face"),
    BridgeEntry(
        "openseeface", "tracker.bridges.openseeface", 11573, "VSeeFace, VTube Studio, vpuppr, Unity (OpenSeeFace)"
    ),
    BridgeEntry("opentrack", "tracker.bridges.opentrack", 4242, "opentrack: head tracking for games and simulators"),
    BridgeEntry(
        "vts",
        "tracker.bridges.vts",
        8001,
        "VTube Studio's plugin API; needs the extra 'vts'",
        {"parameters": "standard (default): VTube Studio's own; arkit: 50 custom ones too, such as JawOpen"},
    ),
    BridgeEntry(
        "lsl",
        "tracker.bridges.lsl",
        0,
        "Lab Streaming Layer: LabRecorder, NeuroPype, MATLAB; needs the extra 'lsl'",
        {"name": "of the stream (default FaceTracker)"},
        host="",
    ),
)

BRIDGES: Final[dict[str, BridgeEntry]] = {entry.name: entry for entry in _ENTRIES}
