"""What a streaming evaluation adds up of each row: numbers of a block of predictions."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from crossentropy import rows
from crossentropy._predictions import Input, check_probabilities, reject_row

from ._rows import picked

if TYPE_CHECKING:
    from crossentropy._predictions import Array

LOGITS_RULE = "logits must be numbers or minus infinity, not all of them that"


class RowScores(NamedTuple):
    """Numbers of N rows, float64 unless said.

    Attributes
    ----------
    loss
        -log p_y in nats; infinite where p_y is 0.
    brier
        Sum of squared differences over the classes.
    predicted
        int64, the first class of the greatest probability.
    confidence
        Its probability.
    """

    loss: Array
    brier: Array
    predicted: Array
    confidence: Array


def row_scores(values: Array, codes: Array, input: Input, n_threads: int) -> RowScores:
    """Check a block of predictions and score its rows.

    Parameters
    ----------
    values
        (N, C), float32 or float64; rows or columns may be contiguous.
    codes
        (N,) int64, in [0, C).
    input
        What the values are.
    n_threads
        At most so many.

    Raises
    ------
    InputError
        With the first row that is no prediction.
    """
    scores = _of_logits if input == "logits" else _of_probabilities
    return scores(values, codes, n_threads)


def _of_logits(values: Array, codes: Array, n_threads: int) -> RowScores:
    given = _layout(values, codes, n_threads)
    own = rows.statistics(given, argmax=True, squares=True)
    reject_row(np.isnan(own.log_prob), values, LOGITS_RULE)
    predicted, confidence, others = own.argmax, own.top_prob, own.square_rest
    assert predicted is not None
    assert confidence is not None
    assert others is not None
    return RowScores(-own.log_prob + 0.0, own.prob_rest**2 + others, predicted, confidence)


def _of_probabilities(values: Array, codes: Array, n_threads: int) -> RowScores:
    check_probabilities(values)
    # what they are the logits of does not matter: the greatest one is the same
    predicted = rows.statistics(_layout(values, codes, n_threads), argmax=True).argmax
    assert predicted is not None
    own = picked(values, codes).astype(np.float64)
    with np.errstate(divide="ignore"):  # log 0 = -inf is the answer, not an accident
        loss = -np.log(own) + 0.0
    others = values.astype(np.float64)
    np.put_along_axis(others, codes[:, None], 0.0, axis=1)
    brier = (1 - own) ** 2 + np.einsum("ij,ij->i", others, others)
    return RowScores(loss, brier, predicted, picked(values, predicted).astype(np.float64))


def _layout(values: Array, codes: Array, n_threads: int) -> rows.Rows:
    """Rows for the kernels, which read columns that lie one after the other as planes."""
    columns = values.flags.f_contiguous and not values.flags.c_contiguous
    return rows.make(values.T[None] if columns else values, codes, n_threads=n_threads)
