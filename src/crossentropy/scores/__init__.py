"""Scores of predicted probabilities: log loss, its decomposition, calibration errors.

Every score is exact: nothing is clipped, so a label that was given probability zero costs an
infinite log loss and can be found. Whether an array holds logits or probabilities is always
said by the caller, never guessed. Called by users and by the study behind ``compare``.

Log loss and Brier score are proper: choose models and calibrators by them. Calibration errors are
not: a constant prediction of the base rates has none.
"""

from __future__ import annotations

from ._bins import Bins
from ._brier import brier_score
from ._calibration_error import CalibrationError, calibration_error
from ._calibration_test import CalibrationTest, calibration_test
from ._decisions import accuracy, balanced_accuracy, top_k_accuracy
from ._decompose import Decomposition, decompose
from ._display import ReliabilityDisplay
from ._evaluate import evaluate
from ._evaluation import Evaluation
from ._log_loss import log_loss
from ._reliability import ReliabilityCurve, expected_calibration_error, reliability_curve
from ._result import ClassScores, EvaluationResult
from ._scorer import Scorer, scorer
from ._skill import skill

__all__ = [
    "Bins",
    "CalibrationError",
    "CalibrationTest",
    "ClassScores",
    "Decomposition",
    "Evaluation",
    "EvaluationResult",
    "ReliabilityCurve",
    "ReliabilityDisplay",
    "Scorer",
    "accuracy",
    "balanced_accuracy",
    "brier_score",
    "calibration_error",
    "calibration_test",
    "decompose",
    "evaluate",
    "expected_calibration_error",
    "log_loss",
    "reliability_curve",
    "scorer",
    "skill",
    "top_k_accuracy",
]
