from __future__ import annotations

import sys

import pytest

from tracker.face_model import FaceModel
from trainer.errors import TrainingError
from trainer.fit_layer import FitLayer


def test_a_missing_theseus_is_named_with_its_remedy(small_model: FaceModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "theseus", None)
    with pytest.raises(TrainingError, match="make theseus"):
        FitLayer(small_model, "ibug68")
