"""Sums over bins of confidence: the state that every calibration error is a function of.

Bins add up: those of two sets of rows are the sums of theirs, so that they can be filled block
by block and merged. Called by the errors on arrays, by the streaming evaluation and by displays.

Every function works along the last axis, the bins; axes before it are classes or draws.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np

from crossentropy._errors import InputError

if TYPE_CHECKING:
    from crossentropy._predictions import Array

BINS = 15  # the convention since Guo et al., ICML 2017
_DRAWN_AT_ONCE = 2**20  # numbers of a block of draws: a few megabytes


class Bins(NamedTuple):
    """Sums over the rows of each bin, float64, of shape (..., bins).

    Attributes
    ----------
    weight
        Sum of the weights w; the number of rows where none are given.
    square
        Sum of w²: the rows of a bin say as much as weight²/square rows of one weight.
    confidence
        Sum of w·p, p the predicted probability.
    correct
        Sum of w·y, y whether what was predicted happened.
    """

    weight: Array
    square: Array
    confidence: Array
    correct: Array

    def merged(self, other: Bins) -> Bins:
        """The bins of both sets of rows."""
        return Bins(*(one + another for one, another in zip(self, other, strict=True)))

    def at(self, index: Any) -> Bins:
        """A part of the bins, by an index of the axes before the last or of all."""
        return Bins(*(sums[index] for sums in self))

    @property
    def variance(self) -> Array:
        """Of `correct`, if the predictions are calibrated; exact where a bin holds one p."""
        share = _ratio(self.confidence, self.weight).clip(0, 1)
        variance: Array = self.square * share * (1 - share)
        return variance


Error: TypeAlias = "Callable[[Bins], Array]"


# Filling


def equal_width(confidence: Array, correct: Array, weight: Array | None, bins: int) -> Bins:
    """Rows in bins ``(0, 1/bins], ..., (1 - 1/bins, 1]``, by counting.

    Parameters
    ----------
    confidence, correct, weight
        (N,) each; weights of None are ones.
    bins
        How many.
    """
    return _summed(_bin_of(confidence, bins), confidence, correct, weight, bins)


def classwise(proba: Array, codes: Array, weight: Array | None, bins: int) -> Bins:
    """(C, bins): each class's probability against whether it is the label, equal widths.

    One count over pairs of class and bin; needs a few times the memory of `proba`, so callers
    hand over blocks of rows and merge.
    """
    count, classes = proba.shape
    bin_of = _bin_of(proba, bins)
    bin_of += bins * np.arange(classes)
    own = bin_of[np.arange(count), codes]
    flat, size = bin_of.ravel(), classes * bins
    rows = None if weight is None else np.repeat(weight, classes)
    values = proba.ravel() if rows is None else proba.ravel() * rows
    total = np.bincount(flat, rows, minlength=size).astype(np.float64)
    square = total if rows is None else np.bincount(flat, rows * rows, minlength=size)
    sums = Bins(
        total,
        square,
        np.bincount(flat, values, minlength=size),
        np.bincount(own, weight, minlength=size).astype(np.float64),
    )
    return Bins(*(each.reshape(classes, bins) for each in sums))


def distinct(confidence: Array, correct: Array, weight: Array | None) -> Bins:
    """A bin for each distinct confidence, in ascending order: nothing is lost but the rows."""
    values, bin_of = np.unique(confidence, return_inverse=True)
    return _summed(bin_of, confidence, correct, weight, len(values))


def equal_mass(cells: Bins, bins: int) -> Bins:
    """Neighbouring cells joined into bins of about the same weight.

    Cells of `distinct` confidences give the exact bins, in which ties stay together and the order
    of the rows does not matter; cells of a fine grid those up to a cell at each edge.

    Parameters
    ----------
    cells
        In ascending order of confidence.
    bins
        At most how many; fewer where a single cell outweighs a bin.
    """
    upto = cells.weight.cumsum()
    middle = upto - cells.weight / 2
    bin_of = np.minimum((middle * (bins / upto[-1])).astype(np.int64), bins - 1)
    return Bins(*(np.bincount(bin_of, sums, minlength=bins) for sums in cells))


def _bin_of(confidence: Array, bins: int) -> Array:
    bin_of = np.ceil(confidence * bins).astype(np.int64)
    bin_of -= 1
    inside: Array = bin_of.clip(0, bins - 1, out=bin_of)
    return inside


def _summed(
    bin_of: Array, confidence: Array, correct: Array, weight: Array | None, bins: int
) -> Bins:
    def total(values: Array | None) -> Array:
        return np.bincount(bin_of, values, minlength=bins).astype(np.float64)

    if weight is None:
        count = total(None)
        return Bins(count, count, total(confidence), total(correct))
    return Bins(
        total(weight), total(weight * weight), total(weight * confidence), total(weight * correct)
    )


# Errors: of (..., bins), along the last axis


def expected_error(bins: Bins) -> Array:
    r""":math:`\sum_b \frac{w_b}{w} |\bar y_b - \bar p_b|`."""
    gap = np.abs(bins.correct - bins.confidence).sum(axis=-1)
    return _ratio(gap, bins.weight.sum(axis=-1))


def maximum_error(bins: Bins) -> Array:
    r""":math:`\max_b |\bar y_b - \bar p_b|` over the bins that hold rows."""
    errors: Array = _ratio(np.abs(bins.correct - bins.confidence), bins.weight).max(axis=-1)
    return errors


def debiased_error(bins: Bins) -> Array:
    r""":math:`\sqrt{\sum_b \frac{w_b}{w} [(\bar p_b - \bar y_b)^2 - v_b]_+}` without its bias.

    The bias of a bin is the variance of its mean label, estimated by
    :math:`v_b = \bar y_b(1 - \bar y_b)/(n_b - 1)`, n_b = weight²/square. A bin of one row has no
    such estimate and counts 0; so does a negative sum.
    """
    errors: Array = np.sqrt(debiased_square(bins).clip(min=0))
    return errors


def debiased_square(bins: Bins) -> Array:
    """The square of `debiased_error`; it may be negative."""
    label = _ratio(bins.correct, bins.weight).clip(0, 1)
    rows = _ratio(bins.weight**2, bins.square)
    several = rows > 1 + 1e-9
    bias = _ratio(label * (1 - label), np.where(several, rows - 1, 0))
    square = _ratio(bins.correct - bins.confidence, bins.weight) ** 2 - bias
    return _ratio((bins.weight * square * several).sum(axis=-1), bins.weight.sum(axis=-1))


def mean_over_classes(bins: Bins) -> Array:
    """`expected_error` of each class against the rest, averaged: (..., C, bins) to (...)."""
    errors: Array = expected_error(bins).mean(axis=-1)
    return errors


def debiased_over_classes(bins: Bins) -> Array:
    """`debiased_error` with squares averaged over the classes: (..., C, bins) to (...)."""
    errors: Array = np.sqrt(debiased_square(bins).mean(axis=-1).clip(min=0))
    return errors


# Chance: draws of the sums, not of the rows, so that a draw costs as much as there are bins


def resampled(bins: Bins, draws: int, rng: np.random.Generator) -> Bins:
    """Bootstrap samples of the rows, Poisson, as sums: (draws, ..., bins).

    Rows of a bin share their mean confidence, and their mean weight square/weight.
    """
    unit = _ratio(bins.square, bins.weight)
    hits = _ratio(bins.correct, unit)
    misses = _ratio(bins.weight - bins.correct, unit).clip(min=0)
    shape = (draws, *unit.shape)
    correct = rng.poisson(hits, shape) * unit
    weight = correct + rng.poisson(misses, shape) * unit
    return Bins(weight, weight * unit, weight * _ratio(bins.confidence, bins.weight), correct)


def if_calibrated(bins: Bins, draws: int, rng: np.random.Generator) -> Bins:
    """The bins with what `correct` would be if they were calibrated: (draws, ..., bins).

    Binomial with the bin's mean confidence, in units of its mean weight. The other sums, the same
    in every draw, stay as they are.
    """
    rows = np.rint(_ratio(bins.weight**2, bins.square)).astype(np.int64)
    share = _ratio(bins.confidence, bins.weight).clip(0, 1)
    hits = rng.binomial(rows, share, (draws, *rows.shape))
    return bins._replace(correct=hits * _ratio(bins.weight, rows))


Chance: TypeAlias = "Callable[[Bins, int, np.random.Generator], Bins]"


def distribution(error: Error, bins: Bins, chance: Chance, draws: int, seed: int) -> Array:
    """(draws,): an error of draws by `resampled` or `if_calibrated`, in ascending order."""
    rng = np.random.default_rng(seed)
    errors = [error(chance(bins, block, rng)) for block in _blocks(draws, bins.weight.size)]
    return np.sort(np.concatenate(errors))


def null_band(
    error: Error, bins: Bins, *, level: float = 0.95, draws: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """Between which values an error would lie, so often, if the predictions were calibrated."""
    return _central(distribution(error, bins, if_calibrated, draws, seed), level)


def interval(
    error: Error, bins: Bins, *, level: float = 0.95, draws: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """Confidence interval of an error, by a bootstrap that corrects its own bias.

    Resampled errors are as much too large against the estimate as the estimate is against the
    truth, so their distribution is reflected at the estimate. It begins at 0 where the estimate
    is no more than calibrated predictions would show.
    """
    estimate = float(error(bins))
    low, high = _central(distribution(error, bins, resampled, draws, seed), level)
    by_chance = np.quantile(distribution(error, bins, if_calibrated, draws, seed), level)
    lower = 0.0 if estimate <= by_chance else max(0.0, 2 * estimate - high)
    return lower, max(lower, 2 * estimate - low)


def chance_band(
    bins: Bins, *, level: float = 0.95, draws: int = 1000, seed: int = 0
) -> tuple[Array, Array]:
    """Between which shares each bin's correct would lie if the predictions were calibrated."""
    drawn = if_calibrated(bins, draws, np.random.default_rng(seed))
    low, high = np.quantile(
        _ratio(drawn.correct, bins.weight), [(1 - level) / 2, (1 + level) / 2], axis=0
    )
    return low, high


def wilson(bins: Bins, quantile: float) -> tuple[Array, Array]:
    """Wilson's interval of each bin's share, from the normal quantile of its level."""
    rows = _ratio(bins.weight**2, bins.square)
    share = _ratio(bins.correct, bins.weight)
    extra = quantile**2 / rows
    middle = (share + extra / 2) / (1 + extra)
    half = quantile * np.sqrt(share * (1 - share) / rows + extra / (4 * rows)) / (1 + extra)
    return middle - half, middle + half


def check_level(level: float) -> float:
    """Raise unless it is the probability of an interval."""
    if not 0 < level < 1:
        raise InputError(f"level must be between 0 and 1, got {level}")
    return level


def _central(ordered: Array, level: float) -> tuple[float, float]:
    check_level(level)
    low, high = np.quantile(ordered, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _blocks(draws: int, size: int) -> Iterator[int]:
    most = max(1, _DRAWN_AT_ONCE // size)
    for start in range(0, draws, most):
        yield min(most, draws - start)


def _ratio(above: Any, below: Any) -> Array:
    """Quotient, 0 where nothing is divided by nothing."""
    below = np.asarray(below, dtype=np.float64)
    above, below = np.broadcast_arrays(above, below)
    quotient: Array = np.divide(above, below, out=np.zeros(below.shape), where=below > 0)
    return quotient
