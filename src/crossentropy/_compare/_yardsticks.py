"""What a study is measured against besides plain cross entropy: no candidates, fixed models.

Each is scikit-learn's with its default settings, apart from the iterations that logistic
regression may take. They see the same fit rows, and their temperature the same validation rows.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from ._readout import Part

Array = NDArray[Any]

YARDSTICKS = {
    "base_rates": "base rates",
    "logistic_regression": "logistic regression (scikit-learn)",
    "gradient_boosting": "histogram gradient boosting (scikit-learn)",
}


def fit_yardstick(name: str, fit: Part, seed: int) -> Any:
    """Fit one of `YARDSTICKS`."""
    estimators = {
        "base_rates": lambda: DummyClassifier(strategy="prior"),
        "logistic_regression": lambda: LogisticRegression(max_iter=1000),
        "gradient_boosting": lambda: HistGradientBoostingClassifier(random_state=seed),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # it is scored all the same
        return estimators[name]().fit(_flat(fit.X), fit.codes, sample_weight=fit.weight)


def predict_yardstick(estimator: Any, X: Array, classes: int) -> Array:
    """Log probabilities (N, C); minus infinity for classes that the fit rows lacked."""
    logits = np.full((len(X), classes), -np.inf)
    with np.errstate(divide="ignore"):
        logits[:, estimator.classes_] = np.log(estimator.predict_proba(_flat(X)))
    return logits


def _flat(X: Array) -> Array:
    return X.reshape(len(X), -1)
