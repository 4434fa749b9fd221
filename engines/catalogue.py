"""Networks that other packages know by name, and real crops to feed them with.

A package offers its networks through an entry point of the group ``engines.networks`` that names an object with the
methods of ``Catalogue``; ``engines`` itself knows of no such package:

.. code-block:: toml

    [project.entry-points."engines.networks"]
    tracker = "tracker.networks.catalogue:CATALOGUE"
"""

from __future__ import annotations

import logging
from importlib import metadata
from pathlib import Path
from typing import Final, Protocol

from engines.engine import Array
from engines.errors import EngineError
from engines.header import NetworkHeader

GROUP: Final = "engines.networks"
_LOGGER = logging.getLogger(__name__)
_registered: list[Catalogue] = []


class Catalogue(Protocol):
    """What a package offers."""

    def names(self) -> tuple[str, ...]:
        """The networks it knows."""

    def locate(self, name: str) -> Path:
        """The file (.onnx, .tflite or .pt2). Raises EngineError when it has not been fetched."""

    def header(self, name: str) -> NetworkHeader | None:
        """What a file does not say about itself, inputs and outputs in the file's order, their names empty; None where it
        does, or nothing is known.
        """

    def samples(self, name: str, count: int) -> tuple[Array, ...]:
        """Up to ``count`` real inputs, one array per input in the file's order, rows first.

        Crops are RGB uint8 (N, S, S, 3), whatever the network's layout and normalisation; anything else is as the network
        takes it. Raises EngineError when the pictures they come from cannot be had.
        """

    def crops(self, size: int, count: int) -> Array:
        """Up to ``count`` aligned faces, RGB uint8 (N, size, size, 3), for any other network. Raises EngineError."""


def register(catalogue: Catalogue) -> None:
    """Offer a catalogue from within this process."""
    _registered.append(catalogue)


def catalogues() -> list[Catalogue]:
    """All that are offered; one that does not load is left out with a warning."""
    found = list(_registered)
    for entry in metadata.entry_points(group=GROUP):
        try:
            found.append(entry.load())
        except Exception as error:  # whatever a foreign package does wrong must not stop ours
            _LOGGER.warning("networks of %s cannot be listed: %s", entry.value, error)
    return found


def find(name: str) -> tuple[Catalogue, str] | None:
    """The catalogue that knows a network and its full name there; the file suffix may be left away."""
    for catalogue in catalogues():
        for known in catalogue.names():
            if name in (known, Path(known).stem):
                return catalogue, known
    return None


def all_names() -> list[str]:
    """Every network that is known by name. Raises EngineError when there are none."""
    names = [name for catalogue in catalogues() for name in catalogue.names()]
    if not names:
        raise EngineError("no networks are known by name here; name a file: engines check MODEL.onnx")
    return names
