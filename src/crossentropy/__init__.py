"""Cross entropy, from the definition to the deployed probability.

The measures of information, from `entropy` to `perplexity`, are here at the top level.
`crossentropy.losses` has the family on arrays, `crossentropy.torch` the training loss,
`crossentropy.scores` and `crossentropy.calibration` what to do with predictions, and
`compare` finds the loss that a table of data wants, `report` says how good probabilities are.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from . import losses, measures
from ._config import __version__, show_config
from .measures import (
    binary_cross_entropy,
    binary_entropy,
    bits_per_byte,
    bits_per_character,
    byte_perplexity,
    categorical_cross_entropy,
    conditional_entropy,
    cross_entropy,
    entropy,
    entropy_from_counts,
    entropy_from_samples,
    information,
    js_divergence,
    kl_divergence,
    log_sigmoid,
    log_softmax,
    logsumexp,
    mutual_information,
    perplexity,
    renyi_entropy,
    sigmoid,
    softmax,
    tsallis_entropy,
    word_perplexity,
)

if TYPE_CHECKING:
    from . import calibration, diagnosis, scores, torch
    from ._compare import compare
    from ._report import report

__all__ = [
    "__version__",
    "binary_cross_entropy",
    "binary_entropy",
    "bits_per_byte",
    "bits_per_character",
    "byte_perplexity",
    "calibration",
    "categorical_cross_entropy",
    "compare",
    "conditional_entropy",
    "cross_entropy",
    "diagnosis",
    "entropy",
    "entropy_from_counts",
    "entropy_from_samples",
    "information",
    "js_divergence",
    "kl_divergence",
    "log_sigmoid",
    "log_softmax",
    "logsumexp",
    "losses",
    "measures",
    "mutual_information",
    "perplexity",
    "renyi_entropy",
    "report",
    "scores",
    "show_config",
    "sigmoid",
    "softmax",
    "torch",
    "tsallis_entropy",
    "word_perplexity",
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
