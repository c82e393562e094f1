"""Maps of logits fitted by log loss: the numbers behind calibrators and decompositions.

Below both, so that neither imports the other; their checks of users' input come before.
"""

from __future__ import annotations

from ._folds import stratified_folds
from ._logistic import fit_logistic, logistic
from ._maps import LogitMap, laplace
from ._structured import fit_structured
from ._temperature import fit_beta

__all__ = [
    "LogitMap",
    "fit_beta",
    "fit_logistic",
    "fit_structured",
    "laplace",
    "logistic",
    "stratified_folds",
]
