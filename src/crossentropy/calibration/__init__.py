"""Calibrators: maps from a model's predictions to probabilities that mean what they say.

They follow scikit-learn's conventions (``fit``, ``predict_proba``, fitted attributes with a
trailing underscore, ``get_params``) without importing it, so they can be cloned, searched and
put at the end of a pipeline. The numbers come from `crossentropy._fit`.

Whether X holds logits or probabilities is said by `input`, never guessed. In ``input="proba"``
every calibrator counts probabilities below float32's smallest normal number, 1.18e-38, as it,
zeros included.
"""

from __future__ import annotations

from ._base import Calibrator
from ._estimator import Calibrated
from ._identity import Identity
from ._one_vs_rest import BetaCalibration, IsotonicCalibration, PlattScaling, QuadraticScaling
from ._prior import PriorShift
from ._select import Selection, cross_fitted, default_candidates, select_calibrator
from ._structured import MatrixScaling, VectorScaling
from ._temperature import TemperatureScaling

__all__ = [
    "BetaCalibration",
    "Calibrated",
    "Calibrator",
    "Identity",
    "IsotonicCalibration",
    "MatrixScaling",
    "PlattScaling",
    "PriorShift",
    "QuadraticScaling",
    "Selection",
    "TemperatureScaling",
    "VectorScaling",
    "cross_fitted",
    "default_candidates",
    "select_calibrator",
]
