"""Every number of a report, in one dictionary that is plain JSON."""

from __future__ import annotations

import math
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from crossentropy._config import __version__
from crossentropy._errors import InputError
from crossentropy._optional import require
from crossentropy._predictions import softmax
from crossentropy.calibration import Identity, PlattScaling, select_calibrator
from crossentropy.diagnosis import diagnose
from crossentropy.diagnosis._interval import LEVEL, Bootstrap
from crossentropy.scores import _bins

if TYPE_CHECKING:
    from crossentropy._predictions import Array
    from crossentropy.scores import Evaluation

    from ._rows import Rows

_BIT = math.log(2)
_FOLDS = 5
_LISTED = 20
_UNDERFLOW = 1074.0  # bits of the smallest probability that a float64 can be


def examine(rows: Rows, *, baseline: Rows | None, in_sample: bool, seed: int) -> dict[str, Any]:
    """Examine predictions.

    Parameters
    ----------
    rows
        What was read.
    baseline
        The same rows, as another model predicts them.
    in_sample
        Whether the model was fitted on them.
    seed
        Of folds and bootstraps.
    """
    diagnosis = diagnose(
        rows.codes,
        rows.values,
        input=rows.input,
        out_of_sample=not in_sample,
        sample_weight=rows.weight,
        labels=np.arange(len(rows.labels)),
        n_rows=_LISTED,
        seed=seed,
    )
    result = rows.evaluation.result(base=2, seed=seed)
    scores = _scores(result)
    bootstrap = Bootstrap(len(rows.codes), seed)
    possible = _possible(rows)
    return {
        "version": __version__,
        "name": rows.name,
        "input": rows.input,
        "rows": rows.count,
        "held_rows": len(rows.row),
        "weighted": rows.weight is not None,
        "in_sample": in_sample,
        "seed": seed,
        "level": LEVEL,
        "classes": [str(label) for label in rows.labels],
        "scores": scores | (_binary(possible) if len(rows.labels) == 2 else {}),
        "remedies": _remedies(possible, bootstrap, seed),
        "reliability": _reliability(rows.evaluation, seed),
        "per_class": _per_class(result, diagnosis.imbalance.predicted_share),
        "confusion": None if result.confusion is None else result.confusion.tolist(),
        "diagnosis": _diagnosis(rows, diagnosis),
        "groups": None if rows.groups is None else _groups(rows.groups, seed),
        "baseline": None if baseline is None else _compared(rows, baseline, bootstrap),
    }


def _possible(rows: Rows) -> Rows:
    """The same, as probabilities if a label's logit is minus infinity.

    Calibrators refuse such logits, and have a floor for probabilities of zero.
    """
    own = rows.values[np.arange(len(rows.codes)), rows.codes]
    if rows.input == "proba" or not np.isneginf(own).any():
        return rows
    return replace(rows, input="proba", values=softmax(rows.values))


def _scores(result: Any) -> dict[str, Any]:
    names = (
        "log_loss",
        "infinite_rows",
        "finite_log_loss",
        "base_rate_log_loss",
        "skill",
        "perplexity",
        "brier",
        "accuracy",
        "balanced_accuracy",
    )
    return {
        **{name: getattr(result, name) for name in names},
        **{name: float(error) for name, error in result.calibration.items()},
        "intervals": {name: list(map(float, ends)) for name, ends in result.intervals.items()},
        "calibrated_ece": list(map(float, result.calibrated_ece)),
    }


def _binary(rows: Rows) -> dict[str, float]:
    """ROC AUC, and the line that the log odds of the second class should lie on."""
    codes, weight = rows.codes, rows.weight
    present = codes if weight is None else codes[weight > 0]
    if len(np.unique(present)) < 2:
        return {
            "roc_auc": math.nan,
            "calibration_slope": math.nan,
            "calibration_intercept": math.nan,
        }
    logits = Identity(input=rows.input, classes=[0, 1]).check(rows.values, codes, weight).values
    odds = logits[:, 1] - logits[:, 0]
    auc = require("sklearn.metrics", "cli").roc_auc_score
    rank = np.unique(odds, return_inverse=True)[1]  # finite where odds are not
    platt = PlattScaling(input=rows.input, classes=[0, 1]).fit(rows.values, codes, weight)
    slope, intercept = _line(platt)
    return {
        "roc_auc": float(auc(codes, rank, sample_weight=weight)),
        "calibration_slope": slope,
        "calibration_intercept": intercept,
    }


def _line(platt: Any) -> tuple[float, float]:
    """Slope and intercept of the log odds of the second class that were fitted."""
    low, high = (np.array([[-x / 2, x / 2]]) for x in (0.0, 1.0))

    def odds(logits: Array) -> float:
        log_p = np.log(platt._calibrate(logits))
        return float(log_p[0, 1] - log_p[0, 0])

    at_zero = odds(low)
    return odds(high) - at_zero, at_zero


def _remedies(rows: Rows, bootstrap: Bootstrap, seed: int) -> dict[str, Any] | None:
    """Cross-fitted gains of the calibrators; None where there are too few rows to fold."""
    if len(rows.codes) < 2 * _FOLDS:
        return None
    found = select_calibrator(
        rows.values,
        rows.codes,
        input=rows.input,
        classes=np.arange(len(rows.labels)),
        cv=_FOLDS,
        sample_weight=rows.weight,
        seed=seed,
    )
    weight = np.ones(len(rows.codes)) if rows.weight is None else rows.weight
    bits = {name: np.minimum(loss / _BIT, _UNDERFLOW) for name, loss in found.row_log_loss.items()}
    if rows.input == "logits":
        bits["none"] = _bits(rows)
    listed: list[dict[str, Any]] = []
    for name, own in bits.items():
        gain = bits["none"] - own
        low, high = bootstrap.interval(gain, weight)
        listed.append(
            {
                "name": name,
                "log_loss": float(np.average(own, weights=weight)),
                "gain": float(np.average(gain, weights=weight)),
                "low": low,
                "high": high,
            }
        )
    listed.sort(key=lambda remedy: remedy["log_loss"])
    return {"best": listed[0]["name"], "folds": _FOLDS, "candidates": listed}


def _bits(rows: Rows) -> Array:
    """Log loss of each row of logits, which its probability may be too small to tell."""
    logits = np.asarray(rows.values, dtype=np.float64)
    lse = require("scipy.special", "cli").logsumexp(logits, axis=1)
    bits: Array = (lse - logits[np.arange(len(logits)), rows.codes]) / _BIT
    return bits


def _reliability(evaluation: Evaluation, seed: int) -> dict[str, Any]:
    """Bins of equal width over all rows, with what chance would do to calibrated ones."""
    bins = evaluation._sums.equal_width(_bins.BINS)
    filled = bins.at(bins.weight > 0)
    chance = _bins.chance_band(filled, level=LEVEL, seed=seed)
    around = _bins.wilson(filled, 1.959963984540054)
    return {
        "confidence": (filled.confidence / filled.weight).tolist(),
        "accuracy": (filled.correct / filled.weight).tolist(),
        "weight": filled.weight.tolist(),
        "chance_low": chance[0].tolist(),
        "chance_high": chance[1].tolist(),
        "low": around[0].tolist(),
        "high": around[1].tolist(),
    }


def _per_class(result: Any, predicted_share: Array) -> dict[str, list[float]]:
    columns = {name: np.asarray(values).tolist() for name, values in asdict(result.classes).items()}
    return columns | {
        "share": (result.classes.support / result.classes.support.sum()).tolist(),
        "predicted_share": predicted_share.tolist(),
    }


def _diagnosis(rows: Rows, found: Any) -> dict[str, Any]:
    names = [str(label) for label in rows.labels]
    noise = None
    if found.noise is not None:
        listed = found.noise.suspicious
        noise = {
            "noise_rate": found.noise.noise_rate,
            "interval": list(found.noise.interval),
            "confident_errors": found.noise.confident_errors,
            "rows": [
                {
                    "row": int(rows.row[row]),
                    "given": names[given],
                    "suggested": names[suggested],
                    "p_given": float(p),
                    "p_suggested": float(q),
                }
                for row, given, suggested, p, q in zip(
                    *(field[:_LISTED] for field in listed), strict=True
                )
            ],
        }

    def finding(one: Any) -> dict[str, Any]:
        plain = asdict(one)
        plain["interval"] = list(one.interval)
        return plain

    return {
        "findings": [finding(one) for one in found.findings],
        "unconfirmed": [finding(one) for one in found.unconfirmed],
        "refused": list(found.refused),
        "temperature": found.confidence.temperature,
        "noise": noise,
        "confused": [
            {
                "first": names[pair.columns[0]],
                "second": names[pair.columns[1]],
                "bits": pair.bits,
                "interval": list(pair.interval),
                "first_as_second": pair.first_as_second,
                "second_as_first": pair.second_as_first,
            }
            for pair in found.confused
        ],
        "costly": [
            {
                "row": int(rows.row[row]),
                "given": names[given],
                "predicted": names[predicted],
                "p_given": float(p),
                "p_predicted": float(q),
                "bits": float(bits),
            }
            for row, given, predicted, p, q, bits in zip(*found.costly[:6], strict=True)
        ],
        "share_of_dearest": found.costly.share_of_dearest,
    }


def _groups(groups: dict[str, Evaluation], seed: int) -> list[dict[str, Any]]:
    listed = []
    for name, evaluation in groups.items():
        if not evaluation.rows:
            continue
        result = evaluation.result(base=2, seed=seed)
        listed.append({"name": name, "rows": result.rows, **_scores(result)})
    return listed


def _compared(rows: Rows, other: Rows, bootstrap: Bootstrap) -> dict[str, Any]:
    """Scores of two models on the same rows, and their differences."""
    mine, theirs = [str(n) for n in rows.labels], [str(n) for n in other.labels]
    if rows.count != other.count:
        raise InputError(
            f"{rows.name!r} has {rows.count:,} rows and {other.name!r} {other.count:,}; two models "
            "are compared on the same rows, in the same order"
        )
    if sorted(mine) != sorted(theirs):
        only = sorted(set(mine) ^ set(theirs))
        raise InputError(
            f"{rows.name!r} and {other.name!r} have different classes: {only[0]!r} is in one only"
        )
    column = np.array([theirs.index(name) for name in mine])
    differ = column[rows.codes] != other.codes
    if differ.any():
        where = int(differ.argmax())
        raise InputError(
            f"row {rows.row[where] + 1} is labelled {mine[rows.codes[where]]!r} in {rows.name!r} "
            f"and {theirs[other.codes[where]]!r} in {other.name!r}; the rows must be the same"
        )
    weight = np.ones(len(rows.codes)) if rows.weight is None else rows.weight
    first = _row_scores(rows)
    second = _row_scores(other)
    result = other.evaluation.result(base=2)
    differences = {}
    for name, values in first.items():
        change = values - second[name]
        low, high = bootstrap.interval(change, weight)
        mean = float(np.average(change, weights=weight))
        differences[name] = {"mean": mean, "low": low, "high": high}
    return {"name": other.name, "scores": _scores(result), "differences": differences}


def _row_scores(rows: Rows) -> dict[str, Array]:
    """Log loss in bits, zeros floored as calibrators floor them, Brier score and accuracy."""
    classes = np.arange(len(rows.labels))
    logits = Identity(input=rows.input, classes=classes).check(rows.values, rows.codes).values
    proba = softmax(logits)
    place = (np.arange(len(rows.codes)), rows.codes)
    own = np.maximum(proba[place], np.finfo(np.float32).tiny)
    return {
        "log_loss": -np.log2(own),
        "brier": np.square(proba).sum(axis=1) - 2 * proba[place] + 1,
        "accuracy": (proba.argmax(axis=1) == rows.codes).astype(np.float64),
    }
