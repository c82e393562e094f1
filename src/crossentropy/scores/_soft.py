"""Log losses of rows whose labels are distributions over the classes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from crossentropy._errors import InputError
from crossentropy._predictions import (
    Input,
    blocks,
    check_probabilities,
    check_values,
    check_weights,
)

from ._rows import check_logits
from ._weights import ClassWeight, by_class, check_class_weight, combined

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from crossentropy._predictions import Array


def check_soft(y_true: ArrayLike, values: Array) -> Array:
    """Distributions over the columns, one for each row."""
    target = np.asarray(y_true)
    if target.shape != values.shape:
        raise InputError(
            f"y_true of shape {target.shape} is a distribution for each row, and must have the "
            f"predictions' shape {values.shape}"
        )
    if target.dtype.kind != "f":
        target = target.astype(np.float64)
    check_probabilities(target, name="the distributions of y_true")
    return target


def soft_log_losses(
    y_true: ArrayLike,
    logits_or_proba: ArrayLike,
    *,
    input: Input,
    labels: ArrayLike | None,
    sample_weight: ArrayLike | None,
    class_weight: ClassWeight | None,
    floor: float | None,
) -> tuple[Array, Array | None]:
    """(N,) nats, -Σ_k ω_k t_k log p_k / Σ_k ω_k t_k, and the rows' weights.

    With class weights ω a row weighs Σ_k ω_k t_k, so that a distribution that is sure weighs and
    costs what its label does.
    """
    values = check_values(logits_or_proba, input)
    target = check_soft(y_true, values)
    count, classes = values.shape
    weight = check_weights(sample_weight, count)
    of_class = None
    if class_weight is not None:
        of_class = _of_columns(class_weight, labels, classes)
        of_row = target @ of_class
        weight = combined(weight, of_row)
    loss = np.empty(count)
    least = -math.inf if floor is None else math.log(floor)
    for part in blocks(values):
        share = np.asarray(target[part], dtype=np.float64)
        if of_class is not None:
            share = share * of_class
            mass = share.sum(axis=1, keepdims=True)
            share = np.divide(share, mass, out=np.zeros_like(share), where=mass > 0)
        price = np.maximum(_log_prob(values[part], input, part.start), least)
        # 0 · log 0 = 0: what does not happen costs nothing
        loss[part] = -np.multiply(share, price, out=np.zeros_like(share), where=share > 0).sum(1)
    return loss, weight


def _of_columns(class_weight: ClassWeight, labels: ArrayLike | None, classes: int) -> Array:
    if isinstance(class_weight, str):
        raise InputError("class_weight must be numbers where labels are distributions")
    names = np.arange(classes) if labels is None else np.asarray(labels)
    if names.shape != (classes,):
        raise InputError(f"labels must name {classes} columns, got shape {names.shape}")
    nobody = np.zeros(0, dtype=np.int64)
    return check_class_weight(by_class(class_weight, names, nobody, None), classes)


def _log_prob(values: Array, input: Input, first: int) -> Array:
    """Logarithms of the probabilities of a block, float64."""
    if input == "proba":
        with np.errstate(divide="ignore"):
            logs: Array = np.log(values.astype(np.float64))
        return logs
    check_logits(values, first)
    shifted = values.astype(np.float64)
    shifted -= shifted.max(axis=1, keepdims=True)
    shifted -= np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return shifted
