"""What an evaluation comes to: scores from the sums that it kept."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from . import _bins
from ._bins import Bins
from ._calibration_test import CalibrationTest, Test, test_of
from ._reliability import ReliabilityCurve
from ._smooth import smooth_error

if TYPE_CHECKING:
    from crossentropy._predictions import Array

    from ._sums import Sums


@dataclass(frozen=True)
class ClassScores:
    """Scores of each class, arrays of shape (n_classes,); NaN where nothing can be said.

    Attributes
    ----------
    support, predicted
        Weight of the rows of the class, and of the rows predicted to be of it.
    precision, recall, f1
        Of the class against the rest.
    log_loss, brier
        Means over the rows of the class.
    infinite_rows
        How many of its rows cost an infinite log loss.
    """

    support: Array
    predicted: Array
    precision: Array
    recall: Array
    f1: Array
    log_loss: Array
    brier: Array
    infinite_rows: Array


@dataclass(frozen=True)
class EvaluationResult:
    """Scores of all rows that an `Evaluation` has seen.

    Losses are in the logarithm's `base`: nats for e, bits for 2.

    Attributes
    ----------
    rows
        Number of rows whose weight is not 0.
    weight
        Sum of their weights.
    base
        Of the logarithms.
    log_loss
        Mean of -log p_y; infinite where any row's is.
    infinite_rows
        How many rows' loss is infinite.
    finite_log_loss
        Mean over the other rows.
    base_rate_log_loss
        What the classes' shares would cost as the prediction of every row: their entropy.
    skill
        1 - log_loss / base_rate_log_loss.
    perplexity
        base**log_loss.
    brier
        Mean sum of squared differences over the classes, in [0, 2].
    accuracy, balanced_accuracy
        Share of rows whose top label is right, and its mean over the classes that occur.
    calibration
        Errors of the top label's probability by the names that `calibration_error` gives them:
        ``ece`` and ``mce`` in bins of equal width, ``ace`` and ``debiased`` in bins of equal mass,
        ``smooth``; ``classwise`` where it was kept.
    tests
        Of perfect calibration, ``ks``, ``kuiper`` and ``spiegelhalter``, as `calibration_test`.
    intervals
        Confidence intervals (low, high): of log_loss (where finite), brier and accuracy by their
        variance over the rows, of ece, ace and debiased by a bootstrap of the bins.
    calibrated_ece
        Between which values ece would lie, so often, if the predictions were calibrated.
    curve
        Reliability of the top label in bins of equal width.
    classes
        Scores by class.
    class_names
        The classes' names, if they were given.
    confusion
        (n_classes, n_classes) weight by true and predicted class, or None where it is not kept.
    """

    rows: int
    weight: float
    base: float
    log_loss: float
    infinite_rows: int
    finite_log_loss: float
    base_rate_log_loss: float
    skill: float
    perplexity: float
    brier: float
    accuracy: float
    balanced_accuracy: float
    calibration: Mapping[str, float]
    tests: Mapping[str, CalibrationTest]
    intervals: Mapping[str, tuple[float, float]]
    calibrated_ece: tuple[float, float]
    curve: ReliabilityCurve
    classes: ClassScores
    class_names: tuple[str, ...] | None
    confusion: Array | None


def result_of(
    sums: Sums,
    *,
    base: float,
    bins: int,
    level: float,
    draws: int,
    seed: int,
    class_names: tuple[str, ...] | None,
) -> EvaluationResult:
    """Every score, from sums over at least one row."""
    unit = math.log(base)
    weight = float(sums.support.sum())
    infinite = int(sums.infinite.sum())
    classes = _class_scores(sums, unit)
    finite = _finite_weight(sums)
    finite_loss = float(sums.loss.sum()) / finite / unit if finite else math.nan
    loss = math.inf if infinite else finite_loss
    share = sums.support[sums.support > 0] / weight
    base_rate = float(-(share * np.log(share)).sum()) / unit + 0.0
    grid, wide = sums.bins(), sums.equal_width(bins)
    mass = _bins.equal_mass(grid, bins)
    errors = {
        "ece": (_bins.expected_error, wide),
        "ace": (_bins.expected_error, mass),
        "debiased": (_bins.debiased_error, mass),
    }
    chance: dict[str, Any] = {"level": level, "draws": draws, "seed": seed}
    return EvaluationResult(
        rows=int(sums.rows.sum()),
        weight=weight,
        base=base,
        log_loss=loss,
        infinite_rows=infinite,
        finite_log_loss=finite_loss,
        base_rate_log_loss=base_rate,
        skill=1 - loss / base_rate if base_rate > 0 else math.nan,
        perplexity=_power(base, loss),
        brier=float(sums.brier.sum()) / weight,
        accuracy=float(sums.hits.sum()) / weight,
        balanced_accuracy=float(np.nanmean(classes.recall)),
        calibration={
            **{name: float(error(of)) for name, (error, of) in errors.items()},
            "mce": float(_bins.maximum_error(wide)),
            "smooth": float(smooth_error(grid)),
            **_classwise(sums),
        },
        tests={name: test_of(name, grid) for name in get_args(Test)},
        intervals={
            **_intervals_of_means(sums, unit, level),
            **{name: _bins.interval(*each, **chance) for name, each in errors.items()},
        },
        calibrated_ece=_bins.null_band(_bins.expected_error, wide, **chance),
        curve=_curve(wide),
        classes=classes,
        class_names=class_names,
        confusion=None if sums.confusion is None else sums.confusion.copy(),
    )


def _power(base: float, exponent: float) -> float:
    try:
        return math.pow(base, exponent)
    except OverflowError:  # above 709 nats
        return math.inf


def _finite_weight(sums: Sums) -> float:
    """Weight of the rows whose loss is finite."""
    return float(sums.support.sum() - sums.infinite_weight.sum())


def _class_scores(sums: Sums, unit: float) -> ClassScores:
    def ratio(above: Array, below: Array) -> Array:
        quotient = np.full(below.shape, np.nan)
        np.divide(above, below, out=quotient, where=below > 0)
        return quotient

    loss = ratio(sums.loss, sums.support - sums.infinite_weight) / unit
    return ClassScores(
        support=sums.support.copy(),
        predicted=sums.predicted.copy(),
        precision=ratio(sums.hits, sums.predicted),
        recall=ratio(sums.hits, sums.support),
        f1=ratio(2 * sums.hits, sums.support + sums.predicted),
        log_loss=np.where(sums.infinite > 0, np.inf, loss),
        brier=ratio(sums.brier, sums.support),
        infinite_rows=sums.infinite.copy(),
    )


def _classwise(sums: Sums) -> dict[str, float]:
    if sums.classwise is None:
        return {}
    return {"classwise": float(_bins.mean_over_classes(Bins(*sums.classwise)))}


def _intervals_of_means(sums: Sums, unit: float, level: float) -> dict[str, tuple[float, float]]:
    """Of weighted means: their variance is sum w²(x - mean)² / (sum w)²."""
    every, loss, loss_square, brier, brier_square, hits = sums.spread
    width = NormalDist().inv_cdf((1 + level) / 2)
    weight = float(sums.support.sum())

    def around(total: float, first: float, second: float) -> tuple[float, float]:
        mean = total / weight
        error = width * math.sqrt(max(0.0, second - 2 * mean * first + mean**2 * every)) / weight
        return mean - error, mean + error

    means = {
        "brier": around(float(sums.brier.sum()), brier, brier_square),
        "accuracy": around(float(sums.hits.sum()), hits, hits),
    }
    if not sums.infinite.any():
        low, high = around(float(sums.loss.sum()), loss, loss_square)
        means["log_loss"] = low / unit, high / unit
    return means


def _curve(bins: Bins) -> ReliabilityCurve:
    with np.errstate(invalid="ignore"):  # 0/0 is the NaN of an empty bin
        return ReliabilityCurve(
            bins.confidence / bins.weight, bins.correct / bins.weight, bins.weight
        )
