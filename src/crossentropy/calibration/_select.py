"""The choice among calibrators, by log loss on rows that they were not fitted on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from crossentropy._errors import InputError
from crossentropy._fit import stratified_folds

from ._base import Calibrator
from ._identity import Identity
from ._one_vs_rest import BetaCalibration, PlattScaling, QuadraticScaling
from ._structured import MatrixScaling, VectorScaling
from ._temperature import TemperatureScaling

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from crossentropy._predictions import Array, Input, Predictions

_MATRIX_CLASSES = 100  # up to which a matrix is tried


@dataclass(frozen=True)
class Selection:
    """What `select_calibrator` found.

    Attributes
    ----------
    name
        The candidate of the lowest cross-fitted log loss.
    calibrator
        It, fitted on all rows.
    log_loss
        The cross-fitted mean log loss of every candidate, in nats.
    row_log_loss
        The same, by row: of every candidate an array of shape (n_rows,). Differences of two are
        paired.
    """

    name: str
    calibrator: Calibrator
    log_loss: dict[str, float]
    row_log_loss: dict[str, Array]


def select_calibrator(
    X: ArrayLike,
    y: ArrayLike,
    *,
    input: Input,
    classes: ArrayLike | None = None,
    candidates: Mapping[str, Calibrator] | None = None,
    cv: int = 5,
    sample_weight: ArrayLike | None = None,
    seed: int = 0,
) -> Selection:
    """Choose the calibrator of the lowest cross-fitted log loss, never by ECE.

    By binned calibration errors a model that says the base rate to everyone is perfect, and
    rankings by them largely reverse those by log loss.

    Parameters
    ----------
    X : array-like of shape (n_rows, n_classes)
        Logits or probabilities of rows that the model was not trained on.
    y : array-like of shape (n_rows,)
        Their labels.
    input : {"logits", "proba"}
        What X holds.
    classes : array-like of shape (n_classes,), optional
        The labels of the columns, where the rows may not show all of them.
    candidates : mapping of str to Calibrator, optional
        What to try. By default `default_candidates`.
    cv : int, default 5
        Stratified folds: each candidate is fitted on the others and judged on one.
    sample_weight : array-like of shape (n_rows,), optional
        Nonnegative weights, of fits and of means.
    seed : int, default 0
        Of the folds.

    Returns
    -------
    Selection
        The best candidate, fitted on all rows, and the log loss of each.

    Raises
    ------
    ValueError
        If the arrays are no predictions with their labels, or too few for the folds.

    References
    ----------
    Berta, Holzmüller, Jordan, Bach, "Rethinking early stopping: refine, then calibrate",
    https://arxiv.org/abs/2501.19195, for calibration by log loss.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> logits = 5 * rng.normal(size=(500, 4))
    >>> y = (logits / 5 + rng.gumbel(size=(500, 4))).argmax(axis=1)
    >>> found = select_calibrator(logits, y, input="logits")
    >>> list(found.log_loss)
    ['none', 'temperature', 'mixed temperature', 'vector', 'matrix']
    >>> found.log_loss["none"] > 1.5 * found.log_loss[found.name]
    True
    """
    data = Identity(input=input, classes=classes).check(X, y, sample_weight)
    if candidates is None:
        candidates = default_candidates(input, data.values.shape[1], classes)
    if not candidates:
        raise InputError("there are no candidates to select from")
    fold = stratified_folds(data.codes, cv, seed)
    losses = {
        name: _row_log_loss(_cross_fitted(c, data, fold), data.codes)
        for name, c in candidates.items()
    }
    means = {name: float(np.average(loss, weights=data.weight)) for name, loss in losses.items()}
    best = min(means, key=lambda name: means[name])
    return Selection(best, _like(candidates[best]).fit(X, y, sample_weight), means, losses)


def default_candidates(
    input: Input, n_classes: int, classes: ArrayLike | None = None
) -> dict[str, Calibrator]:
    """Return what `select_calibrator` tries: every calibrator that log loss may want.

    Temperature with and without mixing, both with a pull of one row; for two classes Platt,
    quadratic and beta; for more vector and, up to a hundred, matrix scaling. And no calibration.

    Parameters
    ----------
    input : {"logits", "proba"}
        What the predictions are.
    n_classes : int
        How many columns they have.
    classes : array-like of shape (n_classes,), optional
        The labels of the columns.

    Returns
    -------
    dict of str to Calibrator
        By the names that `crossentropy.calibration` shows.

    Examples
    --------
    >>> list(default_candidates("proba", 2))
    ['none', 'temperature', 'mixed temperature', 'platt', 'quadratic', 'beta']
    """
    given: dict[str, Any] = {"input": input, "classes": classes}
    found: dict[str, Calibrator] = {
        "none": Identity(**given),
        "temperature": TemperatureScaling(**given, regularization=1.0),
        "mixed temperature": TemperatureScaling(**given, regularization=1.0, mixing="laplace"),
    }
    if n_classes == 2:
        found["platt"] = PlattScaling(**given)
        found["quadratic"] = QuadraticScaling(**given)
        found["beta"] = BetaCalibration(**given)
        return found
    found["vector"] = VectorScaling(**given)
    if n_classes <= _MATRIX_CLASSES:
        found["matrix"] = MatrixScaling(**given)
    return found


def cross_fitted(
    calibrator: Calibrator,
    X: ArrayLike,
    y: ArrayLike,
    *,
    cv: int = 5,
    sample_weight: ArrayLike | None = None,
    seed: int = 0,
) -> Array:
    """Calibrated probabilities of each row by a calibrator fitted on other folds.

    What scores of a calibrator may be computed from where there are no further rows.

    Parameters
    ----------
    calibrator : Calibrator
        Which, and its options; it is not changed.
    X, y, sample_weight
        As for its `fit`.
    cv : int, default 5
        Stratified folds.
    seed : int, default 0
        Of the folds.

    Returns
    -------
    ndarray of shape (n_rows, n_classes)
        Probabilities.

    Examples
    --------
    >>> cross_fitted(Identity(input="proba"), [[0.5, 0.5], [0.25, 0.75]], [0, 1], cv=2)
    array([[0.5 , 0.5 ],
           [0.25, 0.75]])
    """
    data = calibrator.check(X, y, sample_weight)
    return _cross_fitted(calibrator, data, stratified_folds(data.codes, cv, seed))


def _cross_fitted(calibrator: Calibrator, data: Predictions, fold: Array) -> Array:
    codes, logits, weight, _ = data
    proba = np.empty(logits.shape)
    for k in range(int(fold.max()) + 1):
        own = fold == k
        fitted = _like(calibrator)
        fitted._learn(logits[~own], codes[~own], None if weight is None else weight[~own])
        proba[own] = fitted._calibrate(logits[own])
    return proba


def _like(calibrator: Calibrator) -> Calibrator:
    """Another of the same options, not fitted."""
    return type(calibrator)(**calibrator.get_params())


def _row_log_loss(proba: Array, codes: Array) -> Array:
    with np.errstate(divide="ignore"):
        loss: Array = -np.log(proba[np.arange(len(codes)), codes])
    return loss
