"""How much better than the base rates."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

import numpy as np

from crossentropy._errors import InputError, closest
from crossentropy._predictions import Input, Predictions, check_predictions

from ._brier import brier_losses
from ._rows import log_probs, mean

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from crossentropy._predictions import Array

Score: TypeAlias = Literal["log_loss", "brier_score"]


def skill(
    y_true: ArrayLike,
    logits_or_proba: ArrayLike,
    *,
    input: Input,
    score: Score = "log_loss",
    sample_weight: ArrayLike | None = None,
    labels: ArrayLike | None = None,
) -> float:
    r"""One minus the loss over that of the base rates, :math:`1 - \ell(p, y) / \ell(\pi, y)`.

    1 is perfect, 0 is as good as the shares :math:`\pi` of the labels in `y_true`, and negative
    is worse. For the log loss it is the share of the labels' entropy that the model removes
    (McFadden's pseudo-R²).

    Parameters
    ----------
    y_true, logits_or_proba, input, sample_weight, labels
        As for `log_loss`, with hard labels.
    score : {"log_loss", "brier_score"}, default "log_loss"
        Which loss.

    Returns
    -------
    float
        The skill, at most 1; minus infinity where the loss is infinite, NaN where all labels
        are the same and the loss is 0 as well.

    Raises
    ------
    ValueError
        As for `log_loss`, or if there is no such score.

    References
    ----------
    D. McFadden, "Conditional logit analysis of qualitative choice behavior", in Frontiers in
    Econometrics, 1974.

    Examples
    --------
    >>> skill([0, 1], [[0.5, 0.5], [0.5, 0.5]], input="proba")
    0.0
    """
    check_score(score)
    data = check_predictions(
        y_true, logits_or_proba, input=input, labels=labels, sample_weight=sample_weight
    )
    loss, base = mean(row_losses(data, input, score), data.weight), uncertainty(data, score)
    if base == 0:
        return math.nan if loss == 0 else -math.inf
    return 1 - loss / base


def check_score(score: str) -> None:
    """Raise unless it is a proper score that we know."""
    if score not in get_args(Score):
        raise InputError(f"score={score!r}: {closest(score, get_args(Score))}")


def row_losses(data: Predictions, input: Input, score: str) -> Array:
    """(N,) float64: a proper score of each row, log loss in nats."""
    return -log_probs(data, input) if score == "log_loss" else brier_losses(data, input)


def uncertainty(data: Predictions, score: str) -> float:
    """The score of the base rates, in nats."""
    total = np.bincount(data.codes, data.weight, minlength=data.values.shape[1])
    return float(entropy_of(total, score))


def entropy_of(total: Array, score: str) -> Array:
    """The least mean score that one distribution can have: (..., classes) totals to (...)."""
    share = total / total.sum(axis=-1, keepdims=True)
    if score == "brier_score":
        gini: Array = 1 - (share**2).sum(axis=-1)
        return gini
    logs = np.log(share, out=np.zeros_like(share), where=share > 0)
    entropy: Array = 0.0 - (share * logs).sum(axis=-1)
    return entropy
