"""Differences between trained models, with intervals that own up to what they share.

The results of resampled folds are dependent, for their training rows overlap; and seven
candidates are seven chances of a fluke. Nadeau and Bengio's variance answers the first, Holm's
step-down procedure the second.
"""

from __future__ import annotations

import math
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

Array = NDArray[Any]
Verdict = Literal["better", "worse", "undecided", "identical"]

CONFIDENCE = 0.95


class Estimate(NamedTuple):
    """A mean difference, its standard error and the degrees of freedom of that."""

    mean: float
    error: float
    df: float

    @property
    def p_value(self) -> float:
        """Two-sided p-value of no difference, by Student's t."""
        if not (math.isfinite(self.mean) and math.isfinite(self.error)) or self.mean == 0:
            return 1.0
        if self.error == 0:
            return 0.0
        return float(2 * student.sf(abs(self.mean) / self.error, self.df))


class Difference(NamedTuple):
    """A difference as it is shown: the interval excludes 0 exactly when there is a verdict."""

    mean: float
    low: float
    high: float
    p_value: float
    verdict: Verdict


def over_splits(differences: Array, ratio: float) -> Estimate:
    """Estimate from one difference per split, variance (1/J + n_test/n_fit) s².

    Parameters
    ----------
    differences
        (J,) paired differences.
    ratio
        Test rows per fit row.

    References
    ----------
    C. Nadeau, Y. Bengio, "Inference for the generalization error", Machine Learning 52, 2003;
    over repeated folds: R. Bouckaert, E. Frank, PAKDD 2004.
    """
    count = len(differences)
    mean = _mean(differences)
    if count < 2 or not math.isfinite(mean):
        return Estimate(mean, math.inf, 1)
    return Estimate(
        mean, math.sqrt((1 / count + ratio) * float(differences.var(ddof=1))), count - 1
    )


def over_rows(differences: Array, weight: Array | None, strata: Array) -> Estimate:
    """Estimate from one difference per test row: the mean over strata of their weighted means.

    Parameters
    ----------
    differences
        (N,) paired differences.
    weight
        (N,) or None.
    strata
        (N,) small integers: all zero for a plain mean, the classes for balanced accuracy.
    """
    weight = np.ones(len(differences)) if weight is None else weight
    with np.errstate(invalid="ignore"):
        sums = np.bincount(strata, weight * differences)
    totals = np.bincount(strata, weight)
    present = totals > 0
    mean = float((sums[present] / totals[present]).mean())
    count = len(differences)
    df = count - int(present.sum())
    if df < 1 or not math.isfinite(mean):
        return Estimate(mean, math.inf, 1)
    means = np.divide(sums, totals, out=np.zeros_like(sums), where=present)
    share = np.divide(weight, totals[strata], out=np.zeros(count), where=present[strata])
    influence = share * (differences - means[strata]) / present.sum()
    return Estimate(mean, math.sqrt(float((influence**2).sum()) * count / df), df)


def unadjusted(estimate: Estimate, *, lower_is_better: bool) -> Difference:
    """Interval at the nominal level, for a difference that is not among the comparisons."""
    return _difference(estimate, 1 - CONFIDENCE, lower_is_better)


def holm(estimates: dict[str, Estimate], *, lower_is_better: bool) -> dict[str, Difference]:
    """Decide all comparisons of a family, with the interval of each at its own step's level.

    The k-th smallest of m p-values is held against alpha / (m - k + 1). From the first that
    fails on, all are undecided and their intervals have the level of that step.

    References
    ----------
    S. Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of
    Statistics 6, 1979.
    """
    decided: dict[str, Difference] = {}
    level, failed = 0.0, False
    for step, name in enumerate(sorted(estimates, key=lambda name: estimates[name].p_value)):
        if not failed:
            level = (1 - CONFIDENCE) / (len(estimates) - step)
            failed = estimates[name].p_value >= level
        decided[name] = _difference(estimates[name], level, lower_is_better)
    return decided


def identical() -> Difference:
    """No difference, by construction."""
    return Difference(0.0, 0.0, 0.0, 1.0, "identical")


def _difference(estimate: Estimate, level: float, lower_is_better: bool) -> Difference:
    """Interval at a level; an infinite mean has none, and is worse by being infinite."""
    mean, error, df = estimate
    if not math.isfinite(mean):
        return Difference(
            mean, math.nan, math.nan, 1.0, "worse" if mean == math.inf else "undecided"
        )
    half = float(student.isf(level / 2, df)) * error if error else 0.0
    low, high = mean - half, mean + half
    verdict: Verdict = "undecided"
    if low > 0 or high < 0:
        verdict = "better" if (high < 0) == lower_is_better else "worse"
    return Difference(mean, low, high, estimate.p_value, verdict)


def _mean(differences: Array) -> float:
    """Mean in which inf - inf (both models gave some label probability zero) is no number."""
    with np.errstate(invalid="ignore"):
        return float(differences.mean())
