"""The rows that cost most."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from crossentropy._errors import InputError

from ._examine import Examined, examine, lowest

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from crossentropy._predictions import Array, Input

_DEAREST = 0.01


class CostlyRows(NamedTuple):
    """The rows with the greatest log loss, the dearest first.

    Attributes
    ----------
    row : ndarray of shape (k,)
        Row numbers.
    given, predicted : ndarray of shape (k,)
        The label, and the most probable other one.
    p_given, p_predicted : ndarray of shape (k,)
        The probabilities of the two.
    bits : ndarray of shape (k,)
        The log loss of each row.
    zeros : int
        Rows, listed or not, that give their own label probability zero: their log loss is
        infinite, and counts as 126 bits.
    share_of_dearest : float
        Which share of the whole log loss the dearest hundredth of the rows holds.
    """

    row: Array
    given: Array
    predicted: Array
    p_given: Array
    p_predicted: Array
    bits: Array
    zeros: int
    share_of_dearest: float


def costly_rows(
    y_true: ArrayLike,
    logits_or_proba: ArrayLike,
    *,
    input: Input,
    n_rows: int = 20,
    sample_weight: ArrayLike | None = None,
    labels: ArrayLike | None = None,
) -> CostlyRows:
    """Rows with the greatest log loss, weights aside.

    Parameters
    ----------
    y_true, logits_or_proba, input, sample_weight, labels
        As for `crossentropy.scores.log_loss`. Rows of weight zero are left out.
    n_rows : int, default 20
        At most so many.

    Returns
    -------
    CostlyRows
        The rows, and how much of the loss few rows hold.

    Raises
    ------
    ValueError
        As for `crossentropy.scores.log_loss`.

    Examples
    --------
    >>> rows = costly_rows([0, 1], [[0.5, 0.5], [0.75, 0.25]], input="proba")
    >>> rows.row, rows.bits
    (array([1, 0]), array([2., 1.]))
    """
    if n_rows < 0:
        raise InputError(f"n_rows must not be negative, got {n_rows}")
    data = examine(y_true, logits_or_proba, input=input, labels=labels, sample_weight=sample_weight)
    return examine_costly(data, n_rows)


def examine_costly(data: Examined, n_rows: int = 20) -> CostlyRows:
    """`costly_rows` after its checks."""
    bits = data.bits
    which = lowest(-bits, n_rows)
    dearest = dearest_hundredth(data)
    total = data.weight @ bits
    share = float(data.weight[dearest] @ bits[dearest] / total) if total > 0 else 0.0
    return CostlyRows(
        data.row[which],
        data.labels[data.codes[which]],
        data.labels[data.other[which]],
        data.p_given[which],
        data.p_other[which],
        bits[which],
        int(data.zeros.sum()),
        share,
    )


def dearest_hundredth(data: Examined) -> Array:
    """Places of the hundredth of the rows that cost most, at least one."""
    return lowest(data.log_prob, max(1, round(_DEAREST * len(data.codes))))
