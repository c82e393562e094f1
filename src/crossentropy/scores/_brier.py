"""The squared distance from what happened."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crossentropy._predictions import Input, check_predictions

from ._rows import mean, picked, probabilities

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


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
    proba = probabilities(data, input)
    hit = picked(proba, data.codes)
    return mean((proba**2).sum(axis=1) - hit**2 + (1 - hit) ** 2, data.weight)
