"""Scores of predicted probabilities: log loss, Brier score, calibration error.

Every score is exact: nothing is clipped, so a label that was given probability zero costs an
infinite log loss and can be found. Whether an array holds logits or probabilities is always
said by the caller, never guessed. Called by users and by the study behind ``compare``.
"""

from __future__ import annotations

from ._brier import brier_score
from ._evaluation import Evaluation
from ._log_loss import log_loss
from ._reliability import ReliabilityCurve, expected_calibration_error, reliability_curve
from ._result import ClassScores, EvaluationResult
from ._stream import evaluate

__all__ = [
    "ClassScores",
    "Evaluation",
    "EvaluationResult",
    "ReliabilityCurve",
    "brier_score",
    "evaluate",
    "expected_calibration_error",
    "log_loss",
    "reliability_curve",
]
