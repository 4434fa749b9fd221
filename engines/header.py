"""What a network says about itself: how to feed it, what its outputs are, whose it is.

An ONNX file carries this as JSON in ``metadata_props`` under the key ``METADATA_KEY``; an exported program of torch
(``.pt2``) carries the same text as an extra file of that name. Any network with such a header can be used by the
tracker without a line of code about it. Version 1:

.. code-block:: json

    {"schema": 1, "name": "own-224", "task": "encoder", "licence": "Apache-2.0", "origin": "trained on ... by ...",
     "landmark_set": "mediapipe478", "face_model": "builtin",
     "inputs": [{"name": "image", "kind": "crop", "layout": "NCHW", "size": 224, "colour": "RGB",
                 "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}],
     "outputs": [{"name": "points", "role": "points", "unit": "fraction"},
                 {"name": "log_sigma", "role": "sigma", "unit": "log_fraction"}],
     "regions": {"mouth": [0, 11, 12], "left_eye": [263, 249]}}

A reader takes headers of its own schema version and refuses newer ones; unknown keys are kept in ``extra``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from engines.errors import EngineError

METADATA_KEY: Final = "facestream"
SCHEMA: Final = 1

KINDS: Final = ("crop", "points", "other")
LAYOUTS: Final = ("NCHW", "NHWC")
ROLES: Final[dict[str, str]] = {
    "points": "(B, N, 2 or 3) landmarks in the crop, in the order of the landmark set; may be flat (B, N * k)",
    "sigma": "(B, N) or (B, N, 2) standard deviation of each landmark",
    "visible": "(B, N) whether each landmark is seen",
    "presence": "(B,) or (B, 1) whether there is a face",
    "scores": "(B, 52) expression weights in ARKit's order",
    "expression": "(B, 52) weights in ARKit's order, or (B, K) coefficients of the face model",
    "identity": "(B, Ni) identity coefficients of the face model",
    "rotation": "(B, 3, 3) head axes to the axes of a camera that looks at the crop's centre",
    "light": "(B, 9, 3) spherical-harmonics terms in the camera's axes",
    "boxes": "(B, A, 16) anchors of a face detector",
    "confidence": "(B, A, 1) a face detector's score of each anchor",
    "mask": "(B, 1, h, w) what is skin that can be seen",
    "other": "anything else; compared by number in checks",
}
"""Role of an output -> its shape and meaning."""
UNITS: Final = (
    "none", "fraction", "px", "log_fraction", "log_px", "logit", "probability", "weight", "radian", "standard_deviation",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class InputHeader:
    """One input. A crop's value is ``(rgb / 255 - mean) / std`` per channel, ``rgb`` in 0..255."""

    name: str
    kind: str = "crop"
    """One of ``KINDS``: ``crop`` an aligned picture, ``points`` landmarks, ``other``."""
    layout: str = "NCHW"
    """One of ``LAYOUTS``; for crops."""
    size: int = 0
    """Side of a crop in pixels; 0 for inputs that are no crops."""
    colour: str = "RGB"
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)


@dataclass(frozen=True, slots=True)
class OutputHeader:
    """One output."""

    name: str
    role: str = "other"
    """One of ``ROLES``."""
    unit: str = "none"
    """One of ``UNITS``: ``fraction`` of the crop's side, ``px`` of the crop; ``log_`` of it; ``logit`` before a sigmoid."""


@dataclass(frozen=True, slots=True)
class NetworkHeader:
    """All a network says about itself.

    Raises:
        EngineError: on construction, when a value is not one of those listed.
    """

    name: str
    task: str = "other"
    """``encoder``, ``detector``, ``scores`` or ``other``."""
    licence: str = ""
    """SPDX name, or words where there is none."""
    origin: str = ""
    """Where the weights come from."""
    landmark_set: str = ""
    """Name of the landmark set of the outputs with roles points, sigma, visible; empty where there are none."""
    face_model: str = ""
    """Name of the face model of the outputs with roles expression and identity; empty where there are none."""
    inputs: tuple[InputHeader, ...] = ()
    outputs: tuple[OutputHeader, ...] = ()
    regions: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Parts of the face -> their landmarks' indices: accuracy is told by region."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Keys of the JSON text that this version does not know, and whatever a method wants to tell its reader."""
    schema: int = SCHEMA

    def __post_init__(self) -> None:
        for given in self.inputs:
            _one_of(self.name, f"kind of input {given.name}", given.kind, KINDS)
            _one_of(self.name, f"layout of input {given.name}", given.layout, LAYOUTS)
            if len(given.mean) != 3 or len(given.std) != 3 or not all(given.std):
                raise EngineError(f"{self.name}: mean and std of input {given.name} must be three numbers, std not 0")
        for made in self.outputs:
            _one_of(self.name, f"role of output {made.name}", made.role, tuple(ROLES))
            _one_of(self.name, f"unit of output {made.name}", made.unit, UNITS)

    def input(self, name: str) -> InputHeader | None:
        """The input of that name."""
        return next((given for given in self.inputs if given.name == name), None)

    def output(self, role: str) -> OutputHeader | None:
        """The first output that plays ``role``."""
        return next((made for made in self.outputs if made.role == role), None)

    def to_json(self) -> str:
        """The text for ``metadata_props[METADATA_KEY]``."""
        return json.dumps(self.as_dict(), ensure_ascii=False)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as in the JSON text."""
        plain = asdict(self)
        extra = plain.pop("extra")
        return {**extra, **plain}


_KNOWN: Final = tuple(name for name in NetworkHeader.__dataclass_fields__ if name != "extra")


def from_json(text: str, where: str) -> NetworkHeader:
    """Read the text of ``metadata_props[METADATA_KEY]``.

    Args:
        text: JSON.
        where: the file's name, for messages.

    Raises:
        EngineError: it is not JSON of this schema, or of a newer one.
    """
    try:
        plain = json.loads(text)
    except ValueError as error:
        raise EngineError(f"{where}: its header is not JSON ({error}); export it again") from None
    return from_dict(plain, where)


def from_dict(plain: Any, where: str) -> NetworkHeader:
    """The same from plain values. Raises EngineError as ``from_json``."""
    if not isinstance(plain, dict) or not isinstance(plain.get("schema"), int):
        raise EngineError(f"{where}: its header has no schema number; export it again")
    if plain["schema"] > SCHEMA:
        raise EngineError(
            f"{where}: its header has schema {plain['schema']}, this version reads up to {SCHEMA}; "
            "run: pip install --upgrade facestream-tracker"
        )
    try:
        return NetworkHeader(
            **{name: plain[name] for name in _KNOWN if name in plain and name not in ("inputs", "outputs", "regions")},
            inputs=tuple(_input(given) for given in plain.get("inputs", ())),
            outputs=tuple(OutputHeader(**made) for made in plain.get("outputs", ())),
            regions={name: tuple(indices) for name, indices in plain.get("regions", {}).items()},
            extra={name: value for name, value in plain.items() if name not in _KNOWN},
        )
    except (TypeError, AttributeError, ValueError) as error:
        raise EngineError(f"{where}: its header cannot be read ({error}); export it again") from None


def _input(plain: dict[str, Any]) -> InputHeader:
    triples: dict[str, Any] = {name: tuple(plain[name]) for name in ("mean", "std") if name in plain}
    return InputHeader(**(plain | triples))


def _one_of(network: str, what: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise EngineError(f"{network}: {what} must be one of {', '.join(allowed)}, got {value!r}")
