"""Whether an artifact can be used on this machine, told without loading it."""

from __future__ import annotations

from functools import cache
from typing import Final

from engines import backend as backends
from engines.artifact import ArtifactHeader
from engines.backend import Capability
from engines.build import covers
from engines.errors import EngineError

USABLE: Final = "usable"
DAMAGED: Final = "damaged"
STALE: Final = "stale"
FOREIGN: Final = "for another machine"
NO_BACKEND: Final = "backend not installed"


def state_of(header: ArtifactHeader | EngineError) -> str:
    """One of the words above. The payload is not read: damage there shows when it is loaded."""
    if isinstance(header, EngineError):
        return DAMAGED
    capability = capability_of(header.backend)
    if isinstance(capability, EngineError):
        return NO_BACKEND
    if capability.version != header.backend_version:
        return STALE
    return USABLE if covers(header.device, capability.device) and capability.runs else FOREIGN


@cache
def capability_of(name: str) -> Capability | EngineError:
    """What a backend can do here, or why it cannot be used; asked once."""
    try:
        return backends.backend(name).describe()
    except EngineError as error:
        return error
