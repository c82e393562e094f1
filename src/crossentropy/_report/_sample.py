"""Real predictions for newcomers: out-of-fold ones of a plain model on a set in scikit-learn."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from crossentropy._optional import require
from crossentropy._tables import load_sample

if TYPE_CHECKING:
    from crossentropy._predictions import Array

_SEED = 0


def sample_predictions(name: str) -> tuple[Array, Array, Array]:
    """Predict each row by logistic regression fitted on the other folds, hardly regularised.

    Parameters
    ----------
    name
        One of `crossentropy._tables.SAMPLES`.

    Returns
    -------
    labels, probabilities and classes
    """
    data = load_sample(name)
    linear = require("sklearn.linear_model", "cli").LogisticRegression(C=100.0, max_iter=300)
    scaler = require("sklearn.preprocessing", "cli").StandardScaler()
    model = require("sklearn.pipeline", "cli").make_pipeline(scaler, linear)
    selection = require("sklearn.model_selection", "cli")
    folds = selection.StratifiedKFold(5, shuffle=True, random_state=_SEED)
    proba = selection.cross_val_predict(model, data.X, data.y, cv=folds, method="predict_proba")
    return data.y, proba, np.unique(data.y)
