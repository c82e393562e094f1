"""The rows of the result: means over splits, and differences from plain cross entropy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from crossentropy.scores import ReliabilityCurve

from ._candidates import BASELINE
from ._plan import CORRECTED, Kind, Study, row_kinds
from ._scoring import row_losses
from ._statistics import Difference, Estimate, holm, identical, over_rows, over_splits, unadjusted
from ._study import Outcome, SplitResult

Array = NDArray[Any]

LOWER_IS_BETTER = {"log_loss": True, "log_loss_raw": True, "balanced_accuracy": False}


class Score(NamedTuple):
    """Mean and standard deviation of a score over the splits."""

    mean: float
    sd: float


@dataclass(frozen=True)
class Row:
    """One row of the result.

    Attributes
    ----------
    name, label
        For the machine and for the reader.
    kind
        "baseline", "loss", "corrected" or "yardstick".
    scores
        By metric, log losses in bits.
    difference
        By metric, this row minus plain cross entropy; empty for the latter.
    infinite_row
        A row of the user's data whose label got probability zero, or None.
    learning_rates, epochs, temperatures
        What was chosen, by split; the first two are empty for yardsticks.
    curve
        Mean validation log loss by epoch, in bits, after temperature; empty for yardsticks.
    before, after
        Reliability before and after temperature, over all splits.
    """

    name: str
    label: str
    kind: Kind
    scores: dict[str, Score]
    infinite_row: int | None
    learning_rates: tuple[float, ...]
    epochs: tuple[int, ...]
    temperatures: tuple[float, ...]
    curve: tuple[float, ...]
    before: ReliabilityCurve
    after: ReliabilityCurve
    difference: dict[str, Difference] = field(default_factory=dict)


def make_rows(study: Study, results: Sequence[SplitResult]) -> list[Row]:
    """Summarise the finished splits, in the order of the table."""
    differences = _differences(study, results)
    return [
        _row(study, results, name, label, kind, differences.get(name, {}))
        for name, (label, kind) in row_kinds(study).items()
    ]


def difference_between(
    study: Study, results: Sequence[SplitResult], name: str, other: str, metric: str
) -> Difference:
    """One row minus another, with an interval for this difference alone."""
    return unadjusted(
        _estimate(study, results, name, other, metric), lower_is_better=LOWER_IS_BETTER[metric]
    )


def compared(study: Study, results: Sequence[SplitResult]) -> list[str]:
    """Names of the rows that are compared with plain cross entropy.

    Its prior correction is one of them only where there is a shift to correct.
    """
    return [
        name
        for name, (_, kind) in row_kinds(study).items()
        if kind in ("loss", "corrected") and not is_identity(results, name)
    ]


def is_identity(results: Sequence[SplitResult], name: str) -> bool:
    """Whether a row is plain cross entropy under another name, with no shift to correct."""
    readouts = [result.outcomes[name].readout for result in results]
    return name == BASELINE + CORRECTED and not any(
        readout.before.any() or readout.after.any() for readout in readouts
    )


def _differences(study: Study, results: Sequence[SplitResult]) -> dict[str, dict[str, Difference]]:
    """By row and metric."""
    family = compared(study, results)
    differences: dict[str, dict[str, Difference]] = {
        name: {} for name in row_kinds(study) if name != BASELINE
    }
    for metric, lower in LOWER_IS_BETTER.items():
        estimates = {
            name: _estimate(study, results, name, BASELINE, metric) for name in differences
        }
        decided = holm({name: estimates[name] for name in family}, lower_is_better=lower)
        for name, (_, kind) in row_kinds(study).items():
            if kind == "yardstick":
                decided[name] = unadjusted(estimates[name], lower_is_better=lower)
        for name in differences:
            differences[name][metric] = decided.get(name, identical())
    return differences


def _estimate(
    study: Study, results: Sequence[SplitResult], name: str, other: str, metric: str
) -> Estimate:
    pairs = [(result.outcomes[name], result.outcomes[other]) for result in results]
    if study.test_rows:
        test = results[0]
        codes = study.codes[test.split.test]
        strata = codes if metric == "balanced_accuracy" else np.zeros_like(codes)
        by_row = [_by_row(a, codes, metric) - _by_row(b, codes, metric) for a, b in pairs]
        return over_rows(np.mean(by_row, axis=0), test.weight, strata)
    with np.errstate(invalid="ignore"):  # inf - inf: both gave some label probability zero
        split = np.array([a.scored.scores[metric] - b.scored.scores[metric] for a, b in pairs])
    ratio = np.mean([len(result.split.test) / result.fit_rows for result in results])
    return over_splits(split, float(ratio))


def _by_row(outcome: Outcome, codes: Array, metric: str) -> Array:
    logits, readout = outcome.logits, outcome.readout
    if metric == "balanced_accuracy":
        correct: Array = readout.calibrated(logits).argmax(axis=1) == codes
        return correct.astype(float)
    return row_losses(
        readout.raw(logits) if metric == "log_loss_raw" else readout.calibrated(logits), codes
    )


def _row(
    study: Study,
    results: Sequence[SplitResult],
    name: str,
    label: str,
    kind: Kind,
    difference: dict[str, Difference],
) -> Row:
    outcomes = [result.outcomes[name] for result in results]
    choices = [outcome.choice for outcome in outcomes if outcome.choice is not None]
    return Row(
        name,
        label,
        kind,
        scores={
            metric: _score([outcome.scored.scores[metric] for outcome in outcomes])
            for metric in outcomes[0].scored.scores
        },
        infinite_row=_infinite_row(study, results, name),
        learning_rates=tuple(choice.learning_rate for choice in choices),
        epochs=tuple(choice.epoch for choice in choices),
        temperatures=tuple(1 / outcome.readout.beta for outcome in outcomes),
        curve=_mean_curve([choice.curve for choice in choices]),
        before=_pooled([outcome.scored.before for outcome in outcomes]),
        after=_pooled([outcome.scored.after for outcome in outcomes]),
        difference=difference,
    )


def _mean_curve(curves: list[tuple[float, ...]]) -> tuple[float, ...]:
    """Mean over the splits, as far as training went in all of them."""
    return tuple(float(np.mean(values)) for values in zip(*curves, strict=False))


def _score(values: list[float]) -> Score:
    mean = float(np.mean(values))
    several = len(values) > 1 and np.isfinite(mean)
    return Score(mean, float(np.std(values, ddof=1)) if several else float("nan"))


def _infinite_row(study: Study, results: Sequence[SplitResult], name: str) -> int | None:
    for result in results:
        position = result.outcomes[name].scored.infinite_row
        if position is not None:
            row = int(result.split.test[position])
            return row - len(study.known_rows) if study.test_rows else row
    return None


def _pooled(curves: list[ReliabilityCurve]) -> ReliabilityCurve:
    """Reliability over several sets of rows, bins without rows left out."""
    weight = np.sum([curve.weight for curve in curves], axis=0)
    confidence, accuracy = (
        np.nansum([getattr(curve, axis) * curve.weight for curve in curves], axis=0)
        for axis in ("confidence", "accuracy")
    )
    some = weight > 0
    return ReliabilityCurve(
        confidence[some] / weight[some], accuracy[some] / weight[some], weight[some]
    )
