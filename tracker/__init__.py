"""Real-time monocular 3D face tracking: pose, identity, expression, gaze, landmarks with uncertainty.

>>> from tracker import Tracker                               # doctest: +SKIP
>>> for result in Tracker().track(images):                    # doctest: +SKIP
...     ...
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tracker.api import Tracker as Tracker

__version__ = "0.1.0"
__all__ = ["Tracker", "__version__"]


def __getattr__(name: str) -> Any:
    # On demand, so that commands which track nothing start without the networks' libraries.
    if name == "Tracker":
        from tracker.api import Tracker

        return Tracker
    raise AttributeError(f"module 'tracker' has no attribute '{name}'")
