"""The price of each label."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, overload

import numpy as np

from crossentropy import rows
from crossentropy._errors import InputError
from crossentropy._predictions import Input, check_predictions, reject_row

from ._rows import mean, picked, weighted

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from crossentropy._predictions import Array


@overload
def log_loss(
    y_true: ArrayLike,
    logits_or_proba: ArrayLike,
    *,
    input: Input,
    base: float = ...,
    sample_weight: ArrayLike | None = ...,
    labels: ArrayLike | None = ...,
    reduction: Literal["mean"] = ...,
) -> float: ...
@overload
def log_loss(
    y_true: ArrayLike,
    logits_or_proba: ArrayLike,
    *,
    input: Input,
    base: float = ...,
    sample_weight: ArrayLike | None = ...,
    labels: ArrayLike | None = ...,
    reduction: Literal["none"],
) -> Array: ...
def log_loss(
    y_true: ArrayLike,
    logits_or_proba: ArrayLike,
    *,
    input: Input,
    base: float = math.e,
    sample_weight: ArrayLike | None = None,
    labels: ArrayLike | None = None,
    reduction: Literal["mean", "none"] = "mean",
) -> float | Array:
    r"""Log loss :math:`-\log_b p_{i,y_i}`, the price of each label in nats or bits.

    Parameters
    ----------
    y_true : array-like of shape (n_rows,)
        True labels, of any type.
    logits_or_proba : array-like of shape (n_rows, n_classes)
        Raw scores before the softmax, or probabilities.
    input : {"logits", "proba"}
        Which of the two it is.
    base : float, default e
        Base of the logarithm: e gives nats, 2 gives bits.
    sample_weight : array-like of shape (n_rows,), optional
        Weights of the rows in the mean; with ``reduction="none"`` they multiply the rows.
    labels : array-like of shape (n_classes,), optional
        The label of each column. By default the sorted distinct values of `y_true`.
    reduction : {"mean", "none"}, default "mean"
        The weighted mean over the rows, or one float64 loss per row.

    Returns
    -------
    float or ndarray of shape (n_rows,)
        The loss; infinite where a label was given probability zero.

    Raises
    ------
    ValueError
        If shapes, labels or weights do not fit, a logit is NaN or plus infinity, or a row of
        probabilities is negative, not finite or does not sum to one.

    References
    ----------
    I. J. Good, "Rational decisions", Journal of the Royal Statistical Society B 14, 1952.

    Examples
    --------
    >>> log_loss(["cat", "dog"], [[0.5, 0.5], [0.75, 0.25]], input="proba", base=2)
    1.5
    >>> log_loss([0, 1], [[0.0, 0.0], [2.0, 2.0]], input="logits", base=2, reduction="none")
    array([1., 1.])
    """
    if not (base > 0 and base != 1 and math.isfinite(base)):
        raise InputError(f"base must be positive and not 1 (2 for bits, e for nats), got {base}")
    if reduction not in ("mean", "none"):
        raise InputError(f'reduction must be "mean" or "none", got {reduction!r}')
    data = check_predictions(
        y_true, logits_or_proba, input=input, labels=labels, sample_weight=sample_weight
    )
    if input == "logits":
        log_prob = rows.statistics(rows.make(data.values, data.codes)).log_prob
        reject_row(np.isnan(log_prob), data.values, "logits hold NaN or plus infinity")
    else:
        with np.errstate(divide="ignore"):  # log 0 = -inf is the answer, not an accident
            log_prob = np.log(picked(data.values, data.codes).astype(np.float64))
    loss = -log_prob / math.log(base) + 0.0  # + 0.0: a sure and right row costs 0, not -0
    if reduction == "none":
        return loss if data.weight is None else weighted(loss, data.weight)
    return mean(loss, data.weight)
