"""Confidence against accuracy of the top label."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from crossentropy._errors import InputError, closest
from crossentropy._predictions import Input, Predictions, check_predictions

from ._bins import BINS, equal_width, expected_error
from ._rows import class_probability, top_labels

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
    bins: int = BINS,
    pos_label: Any = None,
    sample_weight: ArrayLike | None = None,
    labels: ArrayLike | None = None,
) -> ReliabilityCurve:
    """Confidence against accuracy of the top label, in equal-width bins of confidence.

    Parameters
    ----------
    y_true, logits_or_proba, input, sample_weight, labels
        As for `log_loss`.
    bins : int, default 15
        Number of bins ``(0, 1/bins], ..., (1 - 1/bins, 1]``; 15 is the convention since Guo et
        al., ICML 2017.
    pos_label : label, optional
        Take this label's probability against how often it is the label, in place of the top
        label's.

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
    sums = equal_width(*events(data, input, pos_label), data.weight, bins)
    with np.errstate(invalid="ignore"):  # 0/0 is the NaN of an empty bin
        return ReliabilityCurve(
            sums.confidence / sums.weight, sums.correct / sums.weight, sums.weight
        )


def events(data: Predictions, input: Input, pos_label: Any = None) -> tuple[Array, Array]:
    """What was predicted, with which probability, and whether it happened: (N,) each.

    That the top label is right; or that the label is `pos_label`, where one is given.
    """
    if pos_label is None:
        found = top_labels(data, input)
        return found.confidence, found.code == data.codes
    names = data.labels.tolist()
    if pos_label not in names:
        raise InputError(f"pos_label={pos_label!r} is no label: {closest(str(pos_label), names)}")
    column = names.index(pos_label)
    return class_probability(data, input, column), data.codes == column


def expected_calibration_error(
    y_true: ArrayLike,
    logits_or_proba: ArrayLike,
    *,
    input: Input,
    bins: int = BINS,
    pos_label: Any = None,
    sample_weight: ArrayLike | None = None,
    labels: ArrayLike | None = None,
) -> float:
    r"""Return the expected calibration error of the top label.

    :math:`\sum_b \frac{n_b}{n} |acc_b - conf_b|` over equal-width bins of confidence.

    Biased upwards, and no proper score: report it, but choose by log loss.

    Parameters
    ----------
    y_true, logits_or_proba, input, bins, pos_label, sample_weight, labels
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
    if bins < 1:
        raise InputError(f"bins must be at least 1, got {bins}")
    data = check_predictions(
        y_true, logits_or_proba, input=input, labels=labels, sample_weight=sample_weight
    )
    return float(expected_error(equal_width(*events(data, input, pos_label), data.weight, bins)))
