"""Over- and underconfidence: what a temperature would win back, and where confidence is off."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from crossentropy import rows
from crossentropy._fit import fit_beta
from crossentropy._predictions import LEAST_PROBABILITY

from ._examine import BIT, Examined, examine, ratio
from ._folds import folds_of
from ._interval import Bootstrap, Interval

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from crossentropy._predictions import Array, Input

_BINS = 15
# One row's pull towards no change: without it separable rows want a temperature of zero.
_PULL = 1.0


class ConfidencePart(NamedTuple):
    """Rows whose top label is too sure, or not sure enough, of itself.

    Attributes
    ----------
    bits : float
        What the log loss of "is the top label right?" would fall by, in bits per row of all,
        if these rows' confidence were set right; cross-fitted.
    interval : Interval
        Of the bits.
    share : float
        Share of all rows, by weight.
    gap : float
        Mean confidence less accuracy of these rows; negative where underconfident. Says the
        size, not how sure it is: the rows were chosen by its sign, if in other folds.
    """

    bits: float
    interval: Interval
    share: float
    gap: float


class Confidence(NamedTuple):
    """What confidence costs.

    Attributes
    ----------
    temperature : float
        Fitted on all rows; above 1 the predictions are overconfident, below 1 underconfident.
    bits : float
        What one temperature wins in log loss, in bits per row; cross-fitted in five folds, so
        negative where there is nothing to win. Where labels have probability zero, it is what
        the temperature wins after mixing the uniform distribution in with one row's weight.
    interval : Interval
        Of the bits; a paired bootstrap.
    over, under : ConfidencePart
        The overconfident and the underconfident rows, by fifteen bins of confidence.
    """

    temperature: float
    bits: float
    interval: Interval
    over: ConfidencePart
    under: ConfidencePart


def confidence(
    y_true: ArrayLike,
    logits_or_proba: ArrayLike,
    *,
    input: Input,
    sample_weight: ArrayLike | None = None,
    labels: ArrayLike | None = None,
    seed: int = 0,
) -> Confidence:
    r"""What over- and underconfidence cost, in bits.

    The gain of one temperature is fitted on four fifths of the rows and measured on the rest, for
    each fifth. The parts look at the top label alone: in each of fifteen bins with equally many
    rows the odds of its confidence are shifted as the accuracy in the other folds asks.

    Parameters
    ----------
    y_true, logits_or_proba, input, sample_weight, labels
        As for `crossentropy.scores.log_loss`. Rows of weight zero are left out; probabilities of
        exactly zero count as float32's smallest normal number.
    seed : int, default 0
        Of folds and bootstrap.

    Returns
    -------
    Confidence
        The temperature, the bits it wins, and the two parts.

    Raises
    ------
    ValueError
        As for `crossentropy.scores.log_loss`, or if there are fewer than two rows or classes.

    References
    ----------
    Guo, Pleiss, Sun, Weinberger, "On calibration of modern neural networks", ICML 2017,
    https://arxiv.org/abs/1706.04599. Berta, Holzmüller, Jordan, Bach, "Rethinking early stopping:
    refine, then calibrate", https://arxiv.org/abs/2501.19195.

    Examples
    --------
    >>> import numpy as np
    >>> proba = np.tile([[0.99, 0.01], [0.01, 0.99]], (50, 1))  # 99 % sure
    >>> y = np.where(np.arange(100) % 10 < 8, np.arange(100) % 2, 1 - np.arange(100) % 2)
    >>> found = confidence(y, proba, input="proba")  # and right in 80 %
    >>> found.temperature > 3, found.interval.above_zero
    (True, True)
    """
    data = examine(y_true, logits_or_proba, input=input, labels=labels, sample_weight=sample_weight)
    return examine_confidence(data, Bootstrap(len(data.codes), seed), seed)


def examine_confidence(data: Examined, bootstrap: Bootstrap, seed: int = 0) -> Confidence:
    """`confidence` after its checks."""
    fold, folds = folds_of(data.codes, seed)
    beta, gain = _temperature_gain(data, fold, folds)
    over, under = _parts(data, bootstrap, fold, folds)
    return Confidence(
        1 / beta if beta > 0 else math.inf,
        data.average(gain),
        bootstrap.interval(gain, data.weight),
        over,
        under,
    )


def _temperature_gain(data: Examined, fold: Array, folds: int) -> tuple[float, Array]:
    """The best inverse temperature, and the bits that others' temperatures win in each row."""
    logits = data.logits()
    before = data.mixed_log_prob() if data.zeros.any() else data.log_prob
    beta, _ = fit_beta(logits, data.codes, data.weight, regularization=_PULL)
    gain = np.empty(len(fold))
    for k in range(folds):
        kept, held = fold != k, np.flatnonzero(fold == k)
        own, _ = fit_beta(
            logits[kept],
            data.codes[kept],
            data.weight[kept],
            regularization=_PULL,
            start=beta if beta > 0 else 1.0,
        )
        scaled = rows.make(logits[held] * own, data.codes[held])
        gain[held] = rows.statistics(scaled).log_prob - before[held]
    return beta, gain / BIT


def _parts(
    data: Examined, bootstrap: Bootstrap, fold: Array, folds: int
) -> tuple[ConfidencePart, ConfidencePart]:
    top = np.maximum(data.p_given, data.p_other)
    hit = (data.top == data.codes).astype(np.float64)
    chance = np.clip(top, LEAST_PROBABILITY, 1.0)
    rest = np.maximum(1 - chance, LEAST_PROBABILITY)
    odds = np.log(chance) - np.log(rest)
    edges = np.quantile(chance, np.arange(1, _BINS) / _BINS)
    bin_of = np.searchsorted(edges, chance)
    shift = _shifts(bin_of, fold, folds, data.weight / data.weight.mean(), hit, chance)
    sign = 2 * hit - 1
    gain = (np.logaddexp(0, -sign * odds) - np.logaddexp(0, -sign * (odds + shift))) / BIT

    def part(rows: Array) -> ConfidencePart:
        mass = data.weight @ rows
        gap = data.weight @ (rows * (chance - hit)) / mass if mass else 0.0
        own = gain * rows
        return ConfidencePart(
            data.average(own),
            bootstrap.interval(own, data.weight),
            data.average(rows),
            float(gap),
        )

    return part((shift < 0).astype(float)), part((shift > 0).astype(float))


def _shifts(
    bin_of: Array, fold: Array, folds: int, weight: Array, hit: Array, chance: Array
) -> Array:
    """What the odds of each row should be multiplied by, in logarithms, as other folds say."""
    cell = fold * _BINS + bin_of

    def outside(values: Array) -> Array:
        by_fold = np.bincount(cell, weights=values, minlength=folds * _BINS).reshape(folds, _BINS)
        others: Array = by_fold.sum(axis=0) - by_fold
        return others.clip(min=0.0)

    mass = outside(weight)
    claimed = ratio(outside(weight * chance), mass, empty=0.5)
    claimed = np.clip(claimed, LEAST_PROBABILITY, 1 - 1e-16)
    accuracy = (outside(weight * hit) + claimed) / (mass + 1)  # one row that is as it claims
    accuracy = np.clip(accuracy, LEAST_PROBABILITY, 1 - 1e-16)
    shift = np.log(accuracy / claimed) - np.log((1 - accuracy) / (1 - claimed))
    of_row: Array = shift.ravel()[cell]
    return of_row
