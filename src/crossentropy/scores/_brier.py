"""The squared distance from what happened."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from crossentropy._predictions import (
    Input,
    Predictions,
    blocks,
    check_predictions,
    check_values,
    check_weights,
)

from ._rows import mean, picked, probabilities, probability_blocks
from ._soft import check_soft

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from crossentropy._predictions import Array


def brier_score(
    y_true: ArrayLike,
    logits_or_proba: ArrayLike,
    *,
    input: Input,
    sample_weight: ArrayLike | None = None,
    labels: ArrayLike | None = None,
) -> float:
    r"""Brier score :math:`\sum_k (p_{ik} - [k = y_i])^2`, mean over the rows.

    With a distribution t over the classes as a label it is :math:`\sum_k (p_{ik} - t_{ik})^2`.
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
    if np.ndim(y_true) == 2:
        values = check_values(logits_or_proba, input)
        target = check_soft(y_true, values)
        loss = np.empty(len(values))
        for part in blocks(values):
            away = probabilities(values[part], input, part.start) - target[part]
            loss[part] = np.einsum("ij,ij->i", away, away)
        return mean(loss, check_weights(sample_weight, len(values)))
    data = check_predictions(
        y_true, logits_or_proba, input=input, labels=labels, sample_weight=sample_weight
    )
    return mean(brier_losses(data, input), data.weight)


def brier_losses(data: Predictions, input: Input) -> Array:
    """(N,) float64: the score of each row."""
    loss = np.empty(len(data.values))
    for part, proba in probability_blocks(data, input):
        proba = proba.astype(np.float64, copy=False)
        hit = picked(proba, data.codes[part])
        loss[part] = np.einsum("ij,ij->i", proba, proba) - hit**2 + (1 - hit) ** 2
    return loss
