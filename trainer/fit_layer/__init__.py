"""Fitting as a layer: landmarks in, face parameters out, gradients through the solve (needs the extra ``theseus``)."""

from trainer.fit_layer.config import FitConfig
from trainer.fit_layer.layer import FaceFit, FitLayer, require_theseus

__all__ = ["FaceFit", "FitConfig", "FitLayer", "require_theseus"]
