"""Cross entropy, from the definition to the deployed probability.

`crossentropy.losses` has the family on arrays, `crossentropy.torch` the training loss,
`crossentropy.scores` and `crossentropy.calibration` what to do with predictions, and
`compare` finds the loss that a table of data wants, `report` says how good probabilities are.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from . import losses
from ._config import __version__, show_config

if TYPE_CHECKING:
    from . import calibration, diagnosis, scores, torch
    from ._compare import compare
    from ._report import report

__all__ = [
    "__version__",
    "calibration",
    "compare",
    "diagnosis",
    "losses",
    "report",
    "scores",
    "show_config",
    "torch",
]


def __getattr__(name: str) -> Any:
    """Import what needs optional packages, or time, when it is first asked for."""
    if name in ("compare", "report"):
        return getattr(importlib.import_module(f"crossentropy._{name}"), name)
    if name in __all__:
        return importlib.import_module(f"crossentropy.{name}")
    raise AttributeError(f"module 'crossentropy' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
