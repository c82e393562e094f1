"""Confidence against accuracy of the top label."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from crossentropy._errors import InputError
from crossentropy._predictions import Input, check_predictions

from ._rows import picked, probabilities

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from crossentropy._predictions import Array


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
    proba = probabilities(data, input)
    top = proba.argmax(axis=1)
    confidence = picked(proba, top)
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
