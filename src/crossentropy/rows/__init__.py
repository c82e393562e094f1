"""The row kernels behind every loss: statistics of a row of logits, and its gradient.

Every loss of the family is a scalar function of a few numbers per row, so two passes
over the logits serve them all::

    row statistics  ->  scalar rule (N numbers)  ->  row gradient

`make` checks arrays and returns `Rows`; `statistics` and `gradient` run the passes, in
the native kernels where they apply and in array code otherwise. `Training` is a loss that the
kernels evaluate without leaving between the passes. This package is the only
one that knows that there is a native extension.
"""

from ._contract import NOTHING, Moments, Rows, RowStatistics, Slopes
from ._dispatch import (
    available_paths,
    check_targets,
    gradient,
    moments,
    native_error,
    path,
    score,
    scored_at_once,
    statistics,
    use,
    using,
)
from ._make import make
from ._pure import logits_of
from ._training import RuleKind, RuleTerm, SoftTarget, Training

__all__ = [
    "NOTHING",
    "Moments",
    "RowStatistics",
    "Rows",
    "RuleKind",
    "RuleTerm",
    "Slopes",
    "SoftTarget",
    "Training",
    "available_paths",
    "check_targets",
    "gradient",
    "logits_of",
    "make",
    "moments",
    "native_error",
    "path",
    "score",
    "scored_at_once",
    "statistics",
    "use",
    "using",
]
