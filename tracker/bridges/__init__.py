"""Bridges: the tracked face in the protocols that animation tools already read.

A bridge turns frame results into another tool's packets. It needs nothing but what is on the ZeroMQ stream, so it runs inside
``tracker run --to`` or beside any feed as ``tracker bridge --to``. One thread each, newest frame wins (``worker.py``);
axes and units are converted in one place (``axes.py``).
"""

from tracker.bridges.bridge import Bridge
from tracker.bridges.hub import BridgeHub
from tracker.bridges.registry import BRIDGES
from tracker.bridges.spec import BridgeSpec

__all__ = ["BRIDGES", "Bridge", "BridgeHub", "BridgeSpec"]
