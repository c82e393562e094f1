"""The check of predictions and their labels, for scores and calibrators alike."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias, cast

import numpy as np

from crossentropy._errors import InputError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Array: TypeAlias = NDArray[Any]

Input: TypeAlias = Literal["logits", "proba"]


class Predictions(NamedTuple):
    """Checked input of a score: labels as column numbers, values as a float array."""

    codes: Array
    values: Array
    weight: Array | None
    labels: Array


def check_predictions(
    y_true: ArrayLike,
    logits_or_proba: ArrayLike,
    *,
    input: Input,
    labels: ArrayLike | None,
    sample_weight: ArrayLike | None,
) -> Predictions:
    """Check the arrays of a score and encode the labels; errors name the first bad row."""
    if input not in ("logits", "proba"):
        raise InputError(f'input must be "logits" or "proba", got {input!r}')
    y_true, values = np.asarray(y_true), np.asarray(logits_or_proba)
    if values.ndim != 2:
        raise InputError(
            f"predictions must have shape (n_rows, n_classes), got {values.shape}; for two "
            "classes given as one column p, pass the columns 1 - p and p"
        )
    if y_true.shape != values.shape[:1]:
        raise InputError(
            f"{len(values)} rows of predictions need y_true of shape ({len(values)},), "
            f"got {y_true.shape}"
        )
    if len(values) == 0:
        raise InputError("there are no rows to score")
    if values.dtype not in (np.float32, np.float64):
        values = values.astype(np.float32 if values.dtype == np.float16 else np.float64)
    classes = np.unique(y_true) if labels is None else np.asarray(labels)
    if classes.shape != (values.shape[1],):
        source = "y_true holds" if labels is None else "labels names"
        raise InputError(
            f"{source} {classes.size} classes but the predictions have {values.shape[1]} "
            "columns; pass labels=, the label of each column"
        )
    if input == "proba":
        _check_probabilities(values)
    return Predictions(_encode(y_true, classes), values, _weights(sample_weight, values), classes)


def _encode(y_true: Array, classes: Array) -> Array:
    """Column number of each label."""
    count = len(classes)
    are_columns = y_true.dtype.kind in "iu" and np.array_equal(classes, np.arange(count))
    if are_columns and y_true.min() >= 0 and y_true.max() < count:  # what a search would find
        return y_true.astype(np.int64, copy=False)
    order = np.argsort(classes, kind="stable")
    ordered = classes[order]
    if (ordered[1:] == ordered[:-1]).any():
        raise InputError("labels names a class twice; every column needs a label of its own")
    position = np.searchsorted(ordered, y_true).clip(max=len(classes) - 1)
    unknown = np.asarray(ordered[position] != y_true)
    if unknown.any():
        row = int(unknown.argmax())
        raise InputError(f"y_true[{row}] is {y_true[row]!r}, which is not among the labels")
    codes: Array = order[position].astype(np.int64)
    return codes


def _weights(sample_weight: ArrayLike | None, values: Array) -> Array | None:
    if sample_weight is None:
        return None
    weight = np.asarray(sample_weight, dtype=np.float64)
    if weight.shape != values.shape[:1]:
        raise InputError(f"sample_weight must have shape ({len(values)},), got {weight.shape}")
    if not (np.isfinite(weight) & (weight >= 0)).all() or weight.sum() <= 0:
        raise InputError("sample_weight must be finite and nonnegative, and not all zero")
    return weight


def _check_probabilities(proba: Array) -> None:
    reject_row(~(proba >= 0).all(axis=1), proba, "probabilities must be nonnegative numbers")
    # float32 results are often kept in float64 arrays, so no less than 1e-6.
    tolerance = max(1e-6, math.sqrt(np.finfo(proba.dtype).eps))
    off = ~(np.abs(proba.sum(axis=1, dtype=np.float64) - 1) <= tolerance)
    reject_row(off, proba, 'probabilities must sum to one in every row (or is it input="logits"?)')


def reject_row(bad: Any, values: Array, rule: str) -> None:
    if bad.any():
        row = int(bad.argmax())
        shown = np.array2string(values[row], threshold=6, edgeitems=3, precision=4)
        raise InputError(f"{rule}; row {row} is {shown}")


def softmax(logits: Array) -> Array:
    """Row-wise softmax in float64; minus infinity becomes an exact zero."""
    logits = np.asarray(logits, dtype=np.float64)
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    return cast("Array", odds / odds.sum(axis=1, keepdims=True))
