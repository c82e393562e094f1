"""Numbers for each row that several scores are made of, in one read of the predictions.

Blocks of rows at a time: beside the predictions there is never more than a block's worth of
temporaries, and a few numbers for each row.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from crossentropy import rows
from crossentropy._cpus import cpus
from crossentropy._errors import InputError
from crossentropy._predictions import Input, Predictions, blocks, reject_row, softmax

if TYPE_CHECKING:
    from crossentropy._predictions import Array

_LOGITS_AT_ONCE = 2**26  # of a native call, and 65536 rows: as much as threads are worth
_RULE = (
    "logits must be numbers or minus infinity, not NaN or plus infinity, and not minus infinity "
    "throughout"
)


class Top(NamedTuple):
    """The most probable class of every row, the first of equals, and its probability: (N,) each."""

    code: Array
    confidence: Array


def log_probs(data: Predictions, input: Input) -> Array:
    """(N,) float64: the log probability of each label."""
    if input == "proba":
        with np.errstate(divide="ignore"):  # log 0 = -inf is the answer, not an accident
            logs: Array = np.log(picked(data.values, data.codes).astype(np.float64))
        return logs
    return _statistics(data.values, data.codes)


def class_probability(data: Predictions, input: Input, column: int) -> Array:
    """(N,) float64: the probability of one class in every row."""
    if input == "proba":
        return data.values[:, column].astype(np.float64)
    return np.exp(_statistics(data.values, np.full(len(data.values), column)))


def _statistics(logits: Array, codes: Array) -> Array:
    found = np.empty(len(codes))
    for part in blocks(logits, _LOGITS_AT_ONCE):
        made = rows.make(logits[part], codes[part], n_threads=cpus())
        found[part] = rows.statistics(made).log_prob
        reject_row(np.isnan(found[part]), logits[part], _RULE, part.start)
    return found


def top_labels(data: Predictions, input: Input) -> Top:
    """What each row predicts, and how confidently."""
    values, count = data.values, len(data.values)
    found = Top(np.empty(count, dtype=np.int64), np.empty(count))
    if input == "proba":
        for part in blocks(values):
            found.code[part] = values[part].argmax(axis=1)
        found.confidence[:] = picked(values, found.code)
        return found
    for part in blocks(values, _LOGITS_AT_ONCE):
        made = rows.make(values[part], data.codes[part], n_threads=cpus())
        statistics = rows.statistics(made, argmax=True)
        reject_row(np.isnan(statistics.log_prob), values[part], _RULE, part.start)
        found.code[part] = statistics.argmax
        below = picked(values[part], found.code[part]) - statistics.lse
        found.confidence[part] = np.exp(np.minimum(below, 0))  # but for the rounding of lse
    return found


def probability_blocks(data: Predictions, input: Input) -> Iterator[tuple[slice, Array]]:
    """Blocks of probabilities, with their rows."""
    for part in blocks(data.values):
        yield part, probabilities(data.values[part], input, part.start)


def probabilities(values: Array, input: Input, first: int = 0) -> Array:
    """Checked predictions as probabilities; `first` is the number of the first row."""
    if input == "proba":
        return values
    check_logits(values, first)
    return softmax(values)


def check_logits(values: Array, first: int = 0) -> None:
    """Raise unless every row of a block has a softmax; `first` is the number of its first row."""
    if not np.isfinite(values).all():
        bad = ~(values < np.inf).all(axis=1) | np.isneginf(values).all(axis=1)
        reject_row(bad, values, _RULE, first)


def picked(values: Array, codes: Array) -> Array:
    """Each row's entry in the column of its code."""
    entries: Array = values[np.arange(len(codes)), codes]
    return entries


def weighted(loss: Array, weight: Array) -> Array:
    """Product in which a weight of zero silences even an infinite loss."""
    return np.multiply(loss, weight, out=np.zeros_like(loss), where=weight > 0)


def mean(loss: Array, weight: Array | None) -> float:
    """Weighted mean over the rows."""
    if weight is None:
        return float(loss.mean())
    return float(weighted(loss, weight).sum() / weight.sum())


def nats(base: float) -> float:
    """How many nats the unit of this base has."""
    if not (base > 0 and base != 1 and math.isfinite(base)):
        raise InputError(f"base must be positive and not 1 (2 for bits, e for nats), got {base}")
    return math.log(base)
