"""What stands where in the view: a blueprint for the Rerun viewer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tracker.arkit import ARKIT_NAMES

if TYPE_CHECKING:
    import rerun.blueprint as rrb

MAIN_EXPRESSIONS: Final = (
    "eyeBlinkLeft", "eyeBlinkRight", "browInnerUp", "browDownLeft", "browDownRight", "jawOpen", "mouthSmileLeft",
    "mouthSmileRight", "mouthFrownLeft", "mouthFrownRight", "mouthPucker", "mouthFunnel",
)  # fmt: skip
"""The curves that are shown first."""
_GROUPS: Final[dict[str, tuple[str, ...]]] = {
    "brows": ("brow",),
    "lids": ("eyeBlink", "eyeSquint", "eyeWide"),
    "gaze": ("eyeLook",),
    "jaw": ("jaw",),
    "corners": ("mouthSmile", "mouthFrown", "mouthDimple", "mouthStretch", "mouthLeft", "mouthRight"),
    "lips": ("mouthClose", "mouthFunnel", "mouthPucker", "mouthRoll", "mouthShrug", "mouthPress", "mouthLower", "mouthUpper"),
    "cheeks, nose, tongue": ("cheek", "nose", "tongue"),
}  # fmt: skip
_EYE_DISTANCE_M: Final = 0.36
_GLASS: Final = (96, 200, 255, 90)
"""Over the video the mesh lets the face shine through."""
_GLASS_FACES: Final = 4
_LIVE_WINDOW_S: Final = 10.0
TIMELINE: Final = "time"


@dataclass(frozen=True, slots=True)
class Contents:
    """What there is to show, which decides what the layout has room for."""

    video: bool
    timings: bool
    """Latency and stages of a running tracker."""
    appearance: bool
    live: bool


def groups() -> dict[str, tuple[str, ...]]:
    """All 52 expressions in groups: name of the tab -> expressions."""
    return {tab: tuple(n for n in ARKIT_NAMES if n.startswith(starts)) for tab, starts in _GROUPS.items()}


def layout(contents: Contents) -> rrb.Blueprint:
    """The arrangement for these contents."""
    import rerun as rr
    import rerun.blueprint as rrb

    glass = rr.Mesh3D.from_fields(albedo_factor=_GLASS)
    picture = rrb.Spatial2DView(
        origin="camera/image",
        contents=["$origin/**", "/camera/faces/**"],
        name="video and face" if contents.video else "face in the picture",
        background=[18, 22, 30],
        overrides={f"camera/faces/{number}/head/mesh": glass for number in range(1, _GLASS_FACES + 1)},
    )
    heads = [_head("from the front", 0.0, 0.0, -_EYE_DISTANCE_M), _head("from the side", _EYE_DISTANCE_M, 0.0, 0.0)]
    tabs = {"main": MAIN_EXPRESSIONS, **groups()}
    curves = rrb.Tabs(*(_curves(tab, names, contents) for tab, names in tabs.items()), name="expressions", active_tab=0)
    below: list[rrb.View | rrb.Container] = [_scalars("head pose, degrees", "pose", contents)]
    if contents.timings:
        below.append(_scalars("latency, ms", "latency", contents))
    if contents.appearance:
        light = rrb.Spatial2DView(origin="light/ball", name="light", background=[18, 22, 30])
        below.append(rrb.Horizontal(light, _scalars("light, occlusion", "appearance", contents), column_shares=[1, 2]))
    texts = rrb.Horizontal(
        rrb.TextDocumentView(origin="state", name="state"), rrb.TextLogView(origin="events", name="events")
    )
    return rrb.Blueprint(
        rrb.Horizontal(
            rrb.Vertical(picture, rrb.Horizontal(*heads), texts, row_shares=[5, 4, 2]),
            rrb.Vertical(curves, *below, row_shares=[5, *[2.5] * len(below)]),
            column_shares=[3, 2],
        ),
        rrb.BlueprintPanel(state="collapsed"),
        rrb.SelectionPanel(state="collapsed"),
        rrb.TimePanel(
            state="collapsed", timeline=TIMELINE, play_state="following" if contents.live else "playing",
            **({} if contents.live else {"loop_mode": "all"}),
        ),
    )  # fmt: skip


def _head(name: str, x: float, y: float, z: float) -> rrb.View:
    """The head turned as it is, kept in the middle, seen from a place in camera axes around it, metres."""
    import rerun.blueprint as rrb

    return rrb.Spatial3DView(
        origin="camera/faces/1",
        contents=["$origin/head/mesh"],
        name=name,
        background=[18, 22, 30],
        line_grid=False,
        eye_controls=rrb.EyeControls3D(position=[x, y, z], look_target=[0.0, 0.0, 0.0], eye_up=[0.0, -1.0, 0.0]),
    )


def _curves(tab: str, names: tuple[str, ...], contents: Contents) -> rrb.View:
    import rerun.blueprint as rrb

    return rrb.TimeSeriesView(
        origin="expression",
        contents=[f"$origin/{name}" for name in names],
        name=tab,
        axis_y=rrb.ScalarAxis(range=(0.0, 1.0), zoom_lock=True),
        plot_legend=rrb.PlotLegend(visible=True, corner=rrb.Corner2D.LeftTop),
        time_ranges=_window(contents),
    )


def _scalars(name: str, origin: str, contents: Contents) -> rrb.View:
    import rerun.blueprint as rrb

    return rrb.TimeSeriesView(
        origin=origin, name=name, plot_legend=rrb.PlotLegend(visible=True, corner=rrb.Corner2D.LeftTop),
        time_ranges=_window(contents),
    )  # fmt: skip


def _window(contents: Contents) -> list[rrb.VisibleTimeRange] | None:
    """The last seconds of a live stream; all of a take."""
    import rerun.blueprint as rrb

    if not contents.live:
        return None
    begin = rrb.TimeRangeBoundary.cursor_relative(seconds=-_LIVE_WINDOW_S)
    return [rrb.VisibleTimeRange(TIMELINE, start=begin, end=rrb.TimeRangeBoundary.cursor_relative())]
