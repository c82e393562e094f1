"""Scores of predicted probabilities: log loss, Brier score, calibration error.

Every score is exact: nothing is clipped, so a label that was given probability zero costs an
infinite log loss and can be found. Whether an array holds logits or probabilities is always
said by the caller, never guessed. Called by users and by the study behind ``compare``.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias, overload

import numpy as np

from crossentropy import rows
from crossentropy._errors import InputError
from crossentropy._predictions import (
    Input,
    Predictions,
    check_predictions,
    reject_row,
    softmax,
)

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Array: TypeAlias = NDArray[Any]

__all__ = [
    "ReliabilityCurve",
    "brier_score",
    "expected_calibration_error",
    "log_loss",
    "reliability_curve",
]


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
            log_prob = np.log(_picked(data.values, data.codes).astype(np.float64))
    loss = -log_prob / math.log(base) + 0.0  # + 0.0: a sure and right row costs 0, not -0
    if reduction == "none":
        return loss if data.weight is None else _weighted(loss, data.weight)
    return _mean(loss, data.weight)


def brier_score(
    y_true: ArrayLike,
    logits_or_proba: ArrayLike,
    *,
    input: Input,
    sample_weight: ArrayLike | None = None,
    labels: ArrayLike | None = None,
) -> float:
    r"""Brier score :math:`\sum_k (p_{ik} - [k = y_i])^2`, mean over the rows.

    The sum runs over all classes, as in Brier's definition, so it lies in [0, 2]; for two
    classes it is twice the score of the positive class alone.

    Parameters
    ----------
    y_true, logits_or_proba, input, sample_weight, labels
        As for `log_loss`.

    Returns
    -------
    float
        The score; no unit.

    Raises
    ------
    ValueError
        As for `log_loss`.

    References
    ----------
    G. W. Brier, "Verification of forecasts expressed in terms of probability", Monthly
    Weather Review 78, 1950.

    Examples
    --------
    >>> brier_score([0, 1], [[0.5, 0.5], [0.0, 1.0]], input="proba")
    0.25
    """
    data = check_predictions(
        y_true, logits_or_proba, input=input, labels=labels, sample_weight=sample_weight
    )
    proba = _probabilities(data, input)
    picked = _picked(proba, data.codes)
    return _mean((proba**2).sum(axis=1) - picked**2 + (1 - picked) ** 2, data.weight)


class ReliabilityCurve(NamedTuple):
    """How often the top label is right, by the probability it was given.

    Attributes
    ----------
    confidence : ndarray of shape (bins,)
        Mean probability of the top label in each bin, NaN where the bin is empty.
    accuracy : ndarray of shape (bins,)
        Share of rows whose top label is right, NaN where the bin is empty.
    weight : ndarray of shape (bins,)
        Rows in each bin, or the sum of their weights.
    """

    confidence: Array
    accuracy: Array
    weight: Array


def reliability_curve(
    y_true: ArrayLike,
    logits_or_proba: ArrayLike,
    *,
    input: Input,
    bins: int = 15,
    sample_weight: ArrayLike | None = None,
    labels: ArrayLike | None = None,
) -> ReliabilityCurve:
    """Confidence against accuracy of the top label, in equal-width bins of confidence.

    Parameters
    ----------
    y_true, logits_or_proba, input, sample_weight, labels
        As for `log_loss`.
    bins : int, default 15
        Number of bins ``(0, 1/bins], ..., (1 - 1/bins, 1]``.

    Returns
    -------
    ReliabilityCurve
        One entry per bin.

    Raises
    ------
    ValueError
        As for `log_loss`, or if `bins` is not positive.

    References
    ----------
    A. Niculescu-Mizil, R. Caruana, "Predicting good probabilities with supervised learning",
    ICML 2005.

    Examples
    --------
    >>> curve = reliability_curve([0, 1], [[0.9, 0.1], [0.8, 0.2]], input="proba", bins=2)
    >>> curve.confidence.round(2), curve.accuracy, curve.weight
    (array([ nan, 0.85]), array([nan, 0.5]), array([0., 2.]))
    """
    if bins < 1:
        raise InputError(f"bins must be at least 1, got {bins}")
    data = check_predictions(
        y_true, logits_or_proba, input=input, labels=labels, sample_weight=sample_weight
    )
    proba = _probabilities(data, input)
    top = proba.argmax(axis=1)
    confidence = _picked(proba, top)
    weight = np.ones(len(proba)) if data.weight is None else data.weight
    bin_of = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)

    def total(values: Any) -> Array:
        return np.bincount(bin_of, weights=weight * values, minlength=bins)

    count = total(1.0)
    with np.errstate(invalid="ignore"):  # 0/0 is the NaN of an empty bin
        return ReliabilityCurve(total(confidence) / count, total(top == data.codes) / count, count)


def expected_calibration_error(
    y_true: ArrayLike,
    logits_or_proba: ArrayLike,
    *,
    input: Input,
    bins: int = 15,
    sample_weight: ArrayLike | None = None,
    labels: ArrayLike | None = None,
) -> float:
    r"""Return the expected calibration error of the top label.

    :math:`\sum_b \frac{n_b}{n} |acc_b - conf_b|` over equal-width bins of confidence.

    Biased upwards, and no proper score: report it, but choose by log loss.

    Parameters
    ----------
    y_true, logits_or_proba, input, bins, sample_weight, labels
        As for `reliability_curve`.

    Returns
    -------
    float
        The error, in [0, 1].

    Raises
    ------
    ValueError
        As for `reliability_curve`.

    References
    ----------
    Naeini, Cooper, Hauskrecht, "Obtaining well calibrated probabilities using Bayesian
    binning", AAAI 2015.

    Examples
    --------
    >>> round(expected_calibration_error([0, 1], [[0.9, 0.1], [0.8, 0.2]], input="proba"), 3)
    0.45
    """
    curve = reliability_curve(
        y_true,
        logits_or_proba,
        input=input,
        bins=bins,
        sample_weight=sample_weight,
        labels=labels,
    )
    gap = np.abs(curve.accuracy - curve.confidence)
    return float(np.nansum(curve.weight * gap) / curve.weight.sum())


def _probabilities(data: Predictions, input: Input) -> Array:
    if input == "proba":
        return data.values
    bad = ~(data.values < np.inf).all(axis=1) | np.isneginf(data.values).all(axis=1)
    reject_row(bad, data.values, "logits must be numbers or minus infinity, not all of them that")
    return softmax(data.values)


def _picked(values: Array, codes: Array) -> Array:
    """Each row's entry in the column of its code."""
    return np.take_along_axis(values, codes[:, None], axis=1)[:, 0]


def _weighted(loss: Array, weight: Array) -> Array:
    """Product in which a weight of zero silences even an infinite loss."""
    return np.multiply(loss, weight, out=np.zeros_like(loss), where=weight > 0)


def _mean(loss: Array, weight: Array | None) -> float:
    if weight is None:
        return float(loss.mean())
    return float(_weighted(loss, weight).sum() / weight.sum())
