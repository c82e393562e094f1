"""Weights of the labels, and what they make of the weights of the rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast

import numpy as np

from crossentropy._errors import InputError, closest

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from crossentropy._predictions import Array

ClassWeight: TypeAlias = "Mapping[Any, float] | ArrayLike | Literal['balanced']"


def by_class(
    class_weight: ClassWeight, labels: Array, codes: Array, sample_weight: Array | None
) -> Array:
    """(C,) float64: the weight of each column's label."""
    if isinstance(class_weight, Mapping):
        return _of_mapping(class_weight, labels)
    if isinstance(class_weight, str):
        if class_weight != "balanced":
            raise InputError(f'class_weight must be weights or "balanced", got {class_weight!r}')
        return _balanced(np.bincount(codes, sample_weight, minlength=len(labels)))
    return check_class_weight(class_weight, len(labels))


def check_class_weight(class_weight: ArrayLike, classes: int) -> Array:
    """One nonnegative number for each column."""
    weight = np.asarray(class_weight, dtype=np.float64)
    if weight.shape != (classes,) or not (np.isfinite(weight) & (weight >= 0)).all():
        raise InputError(
            f"class_weight must be one nonnegative number for each of {classes} classes, got "
            f"{np.array2string(weight, threshold=6)}"
        )
    return weight


def combined(sample_weight: Array | None, class_weight: Array) -> Array:
    """Weight of each row: its own times its label's."""
    weight = class_weight if sample_weight is None else sample_weight * class_weight
    if weight.sum() <= 0:
        raise InputError("no row has a label of positive class_weight and a weight of its own")
    return weight


def _of_mapping(class_weight: Mapping[Any, float], labels: Array) -> Array:
    weight, names = np.ones(len(labels)), labels.tolist()
    for label, value in class_weight.items():
        if label not in names:
            raise InputError(f"class_weight has {label!r}, no label: {closest(str(label), names)}")
        weight[names.index(label)] = value
    return check_class_weight(weight, len(labels))


def _balanced(total: Array) -> Array:
    """Of the labels that occur, rows over labels over the label's rows."""
    share = np.divide(total.sum(), total, out=np.zeros(len(total)), where=total > 0)
    return cast("Array", share / np.count_nonzero(total))
