"""The price of each label."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, overload

import numpy as np

from crossentropy._errors import InputError
from crossentropy._predictions import Input, check_predictions

from ._rows import log_probs, nats, weighted
from ._soft import soft_log_losses
from ._weights import ClassWeight, by_class, combined

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
    class_weight: ClassWeight | None = ...,
    labels: ArrayLike | None = ...,
    floor: float | None = ...,
    infinite: Literal["return", "raise"] = ...,
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
    class_weight: ClassWeight | None = ...,
    labels: ArrayLike | None = ...,
    floor: float | None = ...,
    infinite: Literal["return", "raise"] = ...,
    reduction: Literal["none"],
) -> Array: ...
def log_loss(
    y_true: ArrayLike,
    logits_or_proba: ArrayLike,
    *,
    input: Input,
    base: float = math.e,
    sample_weight: ArrayLike | None = None,
    class_weight: ClassWeight | None = None,
    labels: ArrayLike | None = None,
    floor: float | None = None,
    infinite: Literal["return", "raise"] = "return",
    reduction: Literal["mean", "none"] = "mean",
) -> float | Array:
    r"""Log loss :math:`-\log_b p_{i,y_i}`, the price of each label in nats or bits.

    Exact: nothing is clipped. Of logits only the row kernels' statistics are taken, in one read;
    beside the logits there is never more than a block's worth of temporaries.

    Parameters
    ----------
    y_true : array-like of shape (n_rows,) or (n_rows, n_classes)
        True labels, of any type; or a distribution over the columns in each row, whose loss is
        :math:`-\sum_k t_{ik} \log_b p_{ik}`.
    logits_or_proba : array-like of shape (n_rows, n_classes)
        Raw scores before the softmax, or probabilities.
    input : {"logits", "proba"}
        Which of the two it is.
    base : float, default e
        Base of the logarithm: e gives nats, 2 gives bits.
    sample_weight : array-like of shape (n_rows,), optional
        Weights of the rows in the mean; with ``reduction="none"`` they multiply the rows.
    class_weight : mapping, array-like of shape (n_classes,) or "balanced", optional
        Weight of each label, by label or in the order of the columns; labels that a mapping
        leaves out weigh 1. "balanced" gives every label that occurs the same total weight, as in
        scikit-learn. A row weighs its sample weight times its label's, in the mean too.
    labels : array-like of shape (n_classes,), optional
        The label of each column. By default the sorted distinct values of `y_true`; to be given
        where `y_true` may lack one.
    floor : float, optional
        Least probability that a label is charged for; none by default.
    infinite : {"return", "raise"}, default "return"
        Whether a label that was given probability zero, without a floor, makes the loss infinite
        or an error that names its row. ``reduction="none"`` shows all such rows.
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
    >>> log_loss([[0.5, 0.5]], [[0.0, 0.0]], input="logits", base=2)
    1.0
    """
    if reduction not in ("mean", "none"):
        raise InputError(f'reduction must be "mean" or "none", got {reduction!r}')
    if infinite not in ("return", "raise"):
        raise InputError(f'infinite must be "return" or "raise", got {infinite!r}')
    if floor is not None and not 0 < floor < 1:
        raise InputError(f"floor must be a probability between 0 and 1, got {floor}")
    unit = nats(base)
    if np.ndim(y_true) == 2:
        loss, weight = soft_log_losses(
            y_true,
            logits_or_proba,
            input=input,
            labels=labels,
            sample_weight=sample_weight,
            class_weight=class_weight,
            floor=floor,
        )
    else:
        data = check_predictions(
            y_true, logits_or_proba, input=input, labels=labels, sample_weight=sample_weight
        )
        loss = log_probs(data, input)
        if floor is not None:
            np.maximum(loss, math.log(floor), out=loss)
        np.negative(loss, out=loss)
        weight = data.weight
        if class_weight is not None:
            of_label = by_class(class_weight, data.labels, data.codes, weight)
            weight = combined(weight, of_label[data.codes])
    loss /= unit
    loss += 0.0  # a sure and right row costs 0, not -0
    if weight is not None:
        loss = weighted(loss, weight)
    if infinite == "raise":
        _raise_if_infinite(loss)
    if reduction == "none":
        return loss
    return float(loss.mean() if weight is None else loss.sum() / weight.sum())


def _raise_if_infinite(loss: Array) -> None:
    """Name the first row whose label was given probability zero."""
    rows = np.flatnonzero(np.isinf(loss))
    if len(rows):
        raise InputError(
            f"the log loss is infinite: {len(rows)} of {len(loss)} rows give their own label "
            f"probability zero, the first of them row {rows[0]}; pass floor= to charge a least "
            "probability"
        )
