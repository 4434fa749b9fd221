"""The packages that importing face models needs and tracking does not, loaded when first used."""

from __future__ import annotations

from types import ModuleType

from tracker.errors import FaceModelError

_MISSING = "importing face models needs scipy, which is not installed: pip install 'facestream-tracker[models]'"


def scipy_spatial() -> ModuleType:
    """``scipy.spatial``. Raises ``FaceModelError`` when scipy is not installed."""
    try:
        import scipy.spatial
    except ImportError as error:
        raise FaceModelError(_MISSING) from error
    module: ModuleType = scipy.spatial
    return module


def scipy_sparse() -> ModuleType:
    """``scipy.sparse`` with ``linalg``. Raises ``FaceModelError`` when scipy is not installed."""
    try:
        import scipy.sparse
        import scipy.sparse.linalg
    except ImportError as error:
        raise FaceModelError(_MISSING) from error
    module: ModuleType = scipy.sparse
    return module
