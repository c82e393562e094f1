"""The check of predictions and their labels, for scores and calibrators alike."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias, cast

import numpy as np

from crossentropy._errors import InputError, RowError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Array: TypeAlias = NDArray[Any]

Input: TypeAlias = Literal["logits", "proba"]

#: Where exact zeros may not make everything infinite, in calibrators and diagnoses, probabilities
#: below it count as it: float32's smallest normal number, 126 bits.
LEAST_PROBABILITY = float(np.finfo(np.float32).tiny)


class Predictions(NamedTuple):
    """Checked input of a score: labels as column numbers, values as a float array."""

    codes: Array
    values: Array
    weight: Array | None
    labels: Array


class Columns:
    """Predictions as a table has them, each class an array of its own, read without a copy.

    Parameters
    ----------
    columns
        (N,) each, contiguous and of one type, float32 or float64.
    """

    def __init__(self, columns: Sequence[Array]) -> None:
        self.columns = columns
        self.shape = (len(columns[0]), len(columns))
        self.ndim = 2
        self.dtype = columns[0].dtype

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice) -> Columns:
        return Columns([column[rows] for column in self.columns])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        planes = np.empty(self.shape, self.dtype if dtype is None else dtype, order="F")
        for plane, column in zip(planes.T, self.columns, strict=True):
            plane[...] = column
        return planes


def check_predictions(
    y_true: ArrayLike,
    logits_or_proba: ArrayLike,
    *,
    input: Input,
    labels: ArrayLike | None,
    sample_weight: ArrayLike | None,
) -> Predictions:
    """Check the arrays of a score and encode the labels; errors name the first bad row."""
    y_true, values = np.asarray(y_true), check_values(logits_or_proba, input)
    if y_true.shape != values.shape[:1]:
        raise InputError(
            f"{len(values)} rows of predictions need y_true of shape ({len(values)},), "
            f"got {y_true.shape}"
        )
    if labels is not None:
        _check_count(np.shape(labels), values.shape[1], "labels names")
    codes, classes = encode(y_true, None if labels is None else np.asarray(labels))
    _check_count(classes.shape, values.shape[1], "y_true holds")
    return Predictions(codes, values, check_weights(sample_weight, len(values)), classes)


def _check_count(shape: tuple[int, ...], columns: int, source: str) -> None:
    if shape != (columns,):
        raise InputError(
            f"{source} {math.prod(shape)} classes but the predictions have {columns} columns; "
            "pass labels=, the label of each column"
        )


def check_values(logits_or_proba: ArrayLike, input: Input) -> Array:
    """Predictions as float32 or float64; probabilities are nonnegative and sum to one."""
    if input not in ("logits", "proba"):
        raise InputError(f'input must be "logits" or "proba", got {input!r}')
    values = np.asarray(logits_or_proba)
    if values.ndim != 2:
        raise InputError(
            f"predictions must have shape (n_rows, n_classes), got {values.shape}; for two "
            "classes given as one column p, pass the columns 1 - p and p"
        )
    if 0 in values.shape:
        missing = "rows" if len(values) == 0 else "columns"
        raise InputError(f"there are no {missing} to score: the shape is {values.shape}")
    if values.dtype not in (np.float32, np.float64):
        values = values.astype(np.float32 if values.dtype == np.float16 else np.float64)
    if input == "proba":
        check_probabilities(values, hint=' (or is it input="logits"?)')
    return values


def encode(y_true: Array, labels: Array | None) -> tuple[Array, Array]:
    """Column number of each label, and the labels of the columns: the sorted distinct ones."""
    if labels is not None and len(np.unique(labels)) < labels.size:
        raise InputError("labels names a class twice; every column needs a label of its own")
    by_table = _encode_integers(y_true, labels)
    if by_table is not None:
        codes, classes = by_table
    else:
        classes = np.unique(y_true) if labels is None else labels
        codes = _encode_any(y_true, classes)
    if len(codes) and codes.min() < 0:
        row = int(codes.argmin())
        raise RowError("y_true must be among the labels", row, repr(y_true[row]))
    return codes, classes


def _encode_integers(y_true: Array, labels: Array | None) -> tuple[Array, Array] | None:
    """`encode` by a table of the labels from the least to the greatest, where that is small."""
    kinds = {y_true.dtype.kind} if labels is None else {y_true.dtype.kind, labels.dtype.kind}
    if not len(y_true) or not (kinds <= {"i", "u"} or kinds == {"b"}):
        return None
    low, high = int(y_true.min()), int(y_true.max())
    if high - low > 4 * len(y_true) + 1024 or high >= 2**62:
        return None
    offset = y_true.astype(np.int64, copy=False)
    offset = offset - low if low else offset
    if labels is None:
        found = np.flatnonzero(np.bincount(offset, minlength=high - low + 1))
        columns, labels = np.arange(len(found)), (found + low).astype(y_true.dtype)
    else:
        columns = np.flatnonzero((labels >= low) & (labels <= high))
        found = labels[columns].astype(np.int64) - low
    table = np.full(high - low + 1, -1)
    table[found] = columns
    same = (table == np.arange(len(table))).all()
    return (offset if same else table[offset]), labels


def _encode_any(y_true: Array, classes: Array) -> Array:
    """Column number of each label, -1 where there is none, by looking up the sorted ones."""
    order = np.argsort(classes, kind="stable")
    ordered = classes[order]
    position = np.searchsorted(ordered, y_true).clip(max=len(classes) - 1)
    known = np.asarray(ordered[position] == y_true)
    codes: Array = np.where(known, order[position], -1)
    return codes


def check_weights(sample_weight: ArrayLike | None, count: int) -> Array | None:
    """Weights of rows as float64."""
    if sample_weight is None:
        return None
    weight = np.asarray(sample_weight, dtype=np.float64)
    if weight.shape != (count,):
        raise InputError(f"sample_weight must have shape ({count},), got {weight.shape}")
    if not (np.isfinite(weight) & (weight >= 0)).all() or weight.sum() <= 0:
        raise InputError("sample_weight must be finite and nonnegative, and not all zero")
    return weight


def check_probabilities(proba: Array, *, name: str = "probabilities", hint: str = "") -> None:
    """Raise unless every row is a distribution; a block of rows at a time."""
    # float32 results are often kept in float64 arrays, so no less than 1e-6.
    tolerance = max(1e-6, math.sqrt(np.finfo(proba.dtype).eps))
    ones = np.ones(proba.shape[1], dtype=proba.dtype)
    for part in blocks(proba):
        block = proba[part]
        if not block.min() >= 0:  # NaN is the least of all
            bad = ~(block >= 0).all(axis=1)
            reject_row(bad, block, f"{name} must be nonnegative numbers", part.start)
        off = ~(np.abs(block @ ones - 1) <= tolerance)
        reject_row(off, block, f"{name} must sum to one in every row{hint}", part.start)


def blocks(values: Array, numbers: int = 2**18, most: int = 2**16) -> Iterator[slice]:
    """Slices of so many rows that each holds about as many numbers, for temporaries."""
    step = min(most, max(1, numbers // values.shape[1]))
    for start in range(0, len(values), step):
        yield slice(start, min(start + step, len(values)))


def reject_row(bad: Any, values: Array, rule: str, first: int = 0) -> None:
    """Raise, with the first bad row; `first` is the number of the first of these rows."""
    if bad.any():
        row = int(bad.argmax())
        shown = np.array2string(values[row], threshold=6, edgeitems=3, precision=4)
        raise RowError(rule, first + row, shown)


def softmax(logits: Array) -> Array:
    """Row-wise softmax in float64; minus infinity becomes an exact zero."""
    logits = np.asarray(logits, dtype=np.float64)
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    return cast("Array", odds / odds.sum(axis=1, keepdims=True))
