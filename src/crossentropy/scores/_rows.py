"""Numbers for each row that several scores are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from crossentropy._predictions import Input, Predictions, reject_row, softmax

if TYPE_CHECKING:
    from crossentropy._predictions import Array


def probabilities(data: Predictions, input: Input) -> Array:
    if input == "proba":
        return data.values
    bad = ~(data.values < np.inf).all(axis=1) | np.isneginf(data.values).all(axis=1)
    reject_row(bad, data.values, "logits must be numbers or minus infinity, not all of them that")
    return softmax(data.values)


def picked(values: Array, codes: Array) -> Array:
    """Each row's entry in the column of its code."""
    return np.take_along_axis(values, codes[:, None], axis=1)[:, 0]


def weighted(loss: Array, weight: Array) -> Array:
    """Product in which a weight of zero silences even an infinite loss."""
    return np.multiply(loss, weight, out=np.zeros_like(loss), where=weight > 0)


def mean(loss: Array, weight: Array | None) -> float:
    if weight is None:
        return float(loss.mean())
    return float(weighted(loss, weight).sum() / weight.sum())
