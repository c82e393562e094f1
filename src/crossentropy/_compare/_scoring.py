"""Scores of one set of test rows, weighted where the rows are."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import accuracy_score, recall_score, roc_auc_score

from crossentropy._predictions import softmax
from crossentropy.scores import (
    ReliabilityCurve,
    brier_score,
    expected_calibration_error,
    log_loss,
    reliability_curve,
)

from ._readout import Readout

Array = NDArray[Any]

METRICS = ("log_loss", "log_loss_raw", "accuracy", "balanced_accuracy", "brier", "ece", "roc_auc")


class Scored(NamedTuple):
    """What the test rows say of one trained model.

    Attributes
    ----------
    scores
        By metric; log losses in bits, infinite where a label got probability zero.
    infinite_row
        First such row, or None.
    before, after
        Reliability before and after temperature.
    """

    scores: dict[str, float]
    infinite_row: int | None
    before: ReliabilityCurve
    after: ReliabilityCurve


def score(logits: Array, readout: Readout, codes: Array, weight: Array | None) -> Scored:
    """Score the logits of test rows."""
    raw, calibrated = readout.raw(logits), readout.calibrated(logits)
    said: dict[str, Any] = {
        "input": "logits",
        "labels": range(logits.shape[1]),
        "sample_weight": weight,
    }
    scores = {
        "log_loss": log_loss(codes, calibrated, base=2, **said),
        "log_loss_raw": log_loss(codes, raw, base=2, **said),
        "brier": brier_score(codes, calibrated, **said),
        "ece": expected_calibration_error(codes, calibrated, **said),
        **_decisions(codes, calibrated, weight),
    }
    infinite = np.flatnonzero(np.isinf(row_losses(calibrated, codes)))
    return Scored(
        {name: scores[name] for name in METRICS if name in scores},
        int(infinite[0]) if len(infinite) else None,
        reliability_curve(codes, raw, **said),
        reliability_curve(codes, calibrated, **said),
    )


def row_losses(logits: Array, codes: Array) -> Array:
    """Log loss of each row, in bits."""
    columns = range(logits.shape[1])
    return log_loss(codes, logits, input="logits", base=2, labels=columns, reduction="none")


def _decisions(codes: Array, logits: Array, weight: Array | None) -> dict[str, float]:
    top, present = logits.argmax(axis=1), np.unique(codes)
    scores = {
        "accuracy": accuracy_score(codes, top, sample_weight=weight),
        # over the classes that the rows hold: a fold of groups may lack one
        "balanced_accuracy": recall_score(
            codes, top, labels=present, average="macro", sample_weight=weight, zero_division=0
        ),
    }
    if logits.shape[1] == 2:
        positive = softmax(logits)[:, 1]
        scores["roc_auc"] = (
            roc_auc_score(codes, positive, sample_weight=weight) if len(present) == 2 else math.nan
        )
    return {name: float(value) for name, value in scores.items()}
