"""Shares of right decisions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from crossentropy._errors import InputError
from crossentropy._predictions import Input, Predictions, blocks, check_predictions

from ._rows import check_logits, mean, picked, top_labels

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from crossentropy._predictions import Array


def accuracy(
    y_true: ArrayLike,
    logits_or_proba: ArrayLike,
    *,
    input: Input,
    sample_weight: ArrayLike | None = None,
    labels: ArrayLike | None = None,
) -> float:
    r"""Share of rows whose label has the highest score, :math:`P(\arg\max_k p_{ik} = y_i)`.

    Of equal scores the first column's counts.

    Parameters
    ----------
    y_true, logits_or_proba, input, sample_weight, labels
        As for `log_loss`, with hard labels.

    Returns
    -------
    float
        The share, in [0, 1].

    Raises
    ------
    ValueError
        As for `log_loss`.

    Examples
    --------
    >>> accuracy([0, 1, 1], [[0.9, 0.1], [0.8, 0.2], [0.4, 0.6]], input="proba").__round__(3)
    0.667
    """
    data = check_predictions(
        y_true, logits_or_proba, input=input, labels=labels, sample_weight=sample_weight
    )
    return mean((top_labels(data, input).code == data.codes).astype(np.float64), data.weight)


def balanced_accuracy(
    y_true: ArrayLike,
    logits_or_proba: ArrayLike,
    *,
    input: Input,
    sample_weight: ArrayLike | None = None,
    labels: ArrayLike | None = None,
) -> float:
    """Accuracy on the rows of each class, mean over the classes that `y_true` holds.

    Parameters
    ----------
    y_true, logits_or_proba, input, sample_weight, labels
        As for `log_loss`, with hard labels. Classes whose rows weigh nothing do not count.

    Returns
    -------
    float
        The mean share, in [0, 1]; one over the number of classes for guesses.

    Raises
    ------
    ValueError
        As for `log_loss`.

    References
    ----------
    Brodersen, Ong, Stephan, Buhmann, "The balanced accuracy and its posterior distribution", ICPR
    2010.

    Examples
    --------
    >>> balanced_accuracy([0, 0, 0, 1], [[0.9, 0.1]] * 4, input="proba")
    0.5
    """
    data = check_predictions(
        y_true, logits_or_proba, input=input, labels=labels, sample_weight=sample_weight
    )
    right = (top_labels(data, input).code == data.codes).astype(np.float64)
    weight = np.ones(len(right)) if data.weight is None else data.weight
    total = np.bincount(data.codes, weight)
    hits = np.bincount(data.codes, weight * right)
    return float((hits[total > 0] / total[total > 0]).mean())


def top_k_accuracy(
    y_true: ArrayLike,
    logits_or_proba: ArrayLike,
    *,
    input: Input,
    k: int = 5,
    sample_weight: ArrayLike | None = None,
    labels: ArrayLike | None = None,
) -> float:
    """Share of rows whose label is among the `k` highest scores.

    Of equal scores the first columns' count, so that ``k=1`` is `accuracy`.

    Parameters
    ----------
    y_true, logits_or_proba, input, sample_weight, labels
        As for `log_loss`, with hard labels.
    k : int, default 5
        How many may be named; 5 is ImageNet's convention.

    Returns
    -------
    float
        The share, in [0, 1].

    Raises
    ------
    ValueError
        As for `log_loss`, or if `k` is not positive.

    Examples
    --------
    >>> top_k_accuracy([2, 1], [[0.5, 0.2, 0.3], [0.6, 0.1, 0.3]], input="proba", k=2,
    ...                labels=[0, 1, 2])
    0.5
    """
    if k < 1:
        raise InputError(f"k must be at least 1, got {k}")
    data = check_predictions(
        y_true, logits_or_proba, input=input, labels=labels, sample_weight=sample_weight
    )
    return mean((_rank(data, input) < k).astype(np.float64), data.weight)


def _rank(data: Predictions, input: Input) -> Array:
    """(N,): how many columns come before the label's."""
    rank = np.empty(len(data.codes), dtype=np.int64)
    columns = np.arange(data.values.shape[1])
    for part in blocks(data.values):
        values, codes = data.values[part], data.codes[part][:, None]
        if input == "logits":
            check_logits(values, part.start)
        own = picked(values, codes[:, 0])[:, None]
        before = (values > own) | ((values == own) & (columns < codes))
        rank[part] = before.sum(axis=1)
    return rank
