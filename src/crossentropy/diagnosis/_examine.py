"""What every part of a diagnosis reads: the price of each row and its strongest other class."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from crossentropy import rows
from crossentropy._errors import InputError
from crossentropy._predictions import (
    LEAST_PROBABILITY,
    Input,
    check_predictions,
    reject_row,
    softmax,
)

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from crossentropy._predictions import Array

_LOG_LEAST = math.log(LEAST_PROBABILITY)
BIT = math.log(2)  # nats

_BLOCK = 1 << 16  # numbers read at once, which stay in a core's cache


class Examined(NamedTuple):
    """Checked predictions and, for each row of positive weight, the numbers that findings share.

    Attributes
    ----------
    row
        (n,) places of these rows among those that were given.
    codes, weight, values, labels
        Columns of the given labels, (n,) float64 weights, (n, C) predictions, (C,) labels.
    input
        What the values are.
    log_prob
        (n,) log probability of the given label in nats, floored where it was an exact zero.
    other
        (n,) column of the most probable class that is not the given label.
    p_given, p_other
        (n,) probabilities of the given label and of that class.
    zeros
        (n,) whether the given label had probability zero.
    lse
        (n,) logsumexp of logits; zeros for probabilities.
    """

    row: Array
    codes: Array
    weight: Array
    values: Array
    labels: Array
    input: Input
    log_prob: Array
    other: Array
    p_given: Array
    p_other: Array
    zeros: Array
    lse: Array

    @property
    def classes(self) -> int:
        """How many columns there are."""
        return int(self.values.shape[1])

    @property
    def bits(self) -> Array:
        """The log loss of each row, in bits."""
        return -self.log_prob / BIT

    @property
    def top(self) -> Array:
        """The column of the most probable class; among equals the first."""
        first = (self.p_given == self.p_other) & (self.codes < self.other)
        return np.where((self.p_given > self.p_other) | first, self.codes, self.other)

    @property
    def counts(self) -> Array:
        """(C,) weight of the rows of each given label."""
        return np.bincount(self.codes, weights=self.weight, minlength=self.classes)

    def average(self, values: Array) -> float:
        """Mean over the rows by their weights."""
        return float(self.weight @ values / self.weight.sum())

    def proba(self, which: slice | Array) -> Array:
        """Probabilities of some rows; a view where they are given and `which` is a slice."""
        values = self.values[which]
        return values if self.input == "proba" else softmax(values)

    def log_proba_of(self, which: Array, columns: Array) -> Array:
        """Log probability of one class in each of some rows; minus infinity for zero."""
        values = self.values[which, columns].astype(np.float64)
        if self.input == "logits":
            return values - self.lse[which]
        with np.errstate(divide="ignore"):
            return np.log(values)

    def blocks(self) -> Iterator[tuple[slice, Array]]:
        """The rows' probabilities, a cache's worth at a time."""
        for which in slices(*self.values.shape):
            yield which, self.proba(which)

    def logits(self) -> Array:
        """Logits whose softmax are the probabilities, exact zeros floored.

        Where labels have probability zero, all rows are mixed with the uniform distribution, or
        the height of the floor would be all that a temperature answers to.
        """
        if self.zeros.any():
            epsilon = self.mixing
            return np.log((1 - epsilon) * self.proba(slice(None)) + epsilon / self.classes)
        if self.input == "proba":
            return np.log(np.maximum(self.values, LEAST_PROBABILITY))
        if not np.isneginf(self.values).any():
            return self.values
        floor = self.values.max(axis=1, keepdims=True) + _LOG_LEAST
        return np.where(np.isneginf(self.values), floor, self.values)

    @property
    def mixing(self) -> float:
        """Share of the uniform distribution that mends zeros: one row's of n + 1."""
        return 1 / (len(self.codes) + 1)

    def mixed_log_prob(self) -> Array:
        """Log probability of each given label after mixing, zeros taken as such."""
        exact = np.where(self.zeros, -np.inf, self.log_prob) + math.log1p(-self.mixing)
        return np.logaddexp(exact, math.log(self.mixing / self.classes))


def ratio(part: Array, whole: Array, *, empty: float) -> Array:
    """Quotient of the two, and `empty` where the whole is zero."""
    out = np.full(np.broadcast_shapes(part.shape, whole.shape), empty)
    np.divide(part, whole, out=out, where=whole > 0)
    return out


def lowest(values: Array, number: int) -> Array:
    """Places of the lowest values, in their order; of equal ones the first places."""
    number = min(number, len(values))
    if number == 0:
        return np.empty(0, dtype=np.int64)
    near = np.flatnonzero(values <= np.partition(values, number - 1)[number - 1])
    lowest: Array = near[np.argsort(values[near], kind="stable")][:number]
    return lowest


def slices(count: int, classes: int) -> Iterator[slice]:
    """Cut rows into blocks."""
    step = max(1, _BLOCK // classes)
    for start in range(0, count, step):
        yield slice(start, start + step)


def examine(
    y_true: ArrayLike,
    logits_or_proba: ArrayLike,
    *,
    input: Input,
    labels: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
) -> Examined:
    """Check the input and read it once; rows of weight zero are left out."""
    data = check_predictions(
        y_true, logits_or_proba, input=input, labels=labels, sample_weight=sample_weight
    )
    codes, values = data.codes, data.values
    if values.shape[1] < 2:
        raise InputError("a diagnosis needs at least two classes, got one column")
    if not (isinstance(values, np.ndarray) and values.flags.c_contiguous):
        values = np.ascontiguousarray(values)
    weight = np.ones(len(codes)) if data.weight is None else data.weight
    row = np.flatnonzero(weight)
    if len(row) < len(codes):
        codes, values, weight = codes[row], values[row], weight[row]
    other, strongest = _strongest_other(values, codes)
    log_prob, lse = _log_prob(values, codes, input)
    p_other = np.exp(strongest - lse) if input == "logits" else strongest.astype(np.float64)
    # of logits only an exact zero is floored: a finite logit has its price
    zeros = np.isneginf(log_prob)
    least = _LOG_LEAST if input == "proba" else -math.inf
    log_prob = np.where(zeros, _LOG_LEAST, np.maximum(log_prob, least))
    return Examined(
        row,
        codes,
        weight,
        values,
        data.labels,
        input,
        log_prob,
        other,
        np.exp(log_prob),
        p_other,
        zeros,
        lse,
    )


def _strongest_other(values: Array, codes: Array) -> tuple[Array, Array]:
    """The greatest value of each row outside its own label: column and value."""
    column = np.empty(len(codes), dtype=np.int64)
    value = np.empty(len(codes), dtype=values.dtype)
    for which in slices(*values.shape):
        block = values[which].copy()
        each = np.arange(len(block))
        block[each, codes[which]] = -np.inf
        column[which] = block.argmax(axis=1)
        value[which] = block[each, column[which]]
    return column, value


def _log_prob(values: Array, codes: Array, input: Input) -> tuple[Array, Array]:
    """Log probability of each label, not floored, and each row's logsumexp."""
    if input == "proba":
        with np.errstate(divide="ignore"):
            given = values[np.arange(len(codes)), codes].astype(np.float64)
            return np.log(given), np.zeros(len(codes))
    statistics = rows.statistics(rows.make(values, codes))
    log_prob = statistics.log_prob
    reject_row(np.isnan(log_prob), values, "logits hold NaN or plus infinity, or are all -inf")
    return log_prob, statistics.lse
