"""Calibrators of one margin: two classes, or each class against the rest."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from crossentropy import _fit, rows
from crossentropy._cpus import cpus
from crossentropy._optional import require
from crossentropy._predictions import LEAST_PROBABILITY

from ._base import Calibrator

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from crossentropy._predictions import Array, Input


class OneVsRest(Calibrator):
    """A map of the margin m = log p − log(1 − p) to a probability, for each class.

    Two classes have one map, that of the second. More have one each, and what comes out is
    normalised.
    """

    def _learn(self, logits: Array, codes: Array, weight: Array | None) -> None:
        margins = _margins(logits)
        first = logits.shape[1] - margins.shape[1]  # the class of the first margin
        self._learn_maps([(m, codes == first + k) for k, m in enumerate(margins.T)], weight)

    def _calibrate(self, logits: Array) -> Array:
        proba = np.column_stack([self._map(k, m) for k, m in enumerate(_margins(logits).T)])
        if logits.shape[1] == 2:
            return np.hstack([1 - proba, proba])
        total = proba.sum(axis=1, keepdims=True)
        uniform = 1 / logits.shape[1]  # where every class is ruled out
        return np.where(total > 0, proba / np.where(total > 0, total, 1.0), uniform)

    @abstractmethod
    def _learn_maps(self, problems: list[tuple[Array, Array]], weight: Array | None) -> None:
        """Learn the map of each margin, (N,), to whether the row is of its class, (N,)."""

    @abstractmethod
    def _map(self, k: int, margin: Array) -> Array:
        """Probability by the k-th map."""


def _margins(logits: Array) -> Array:
    """(N, 1) of the second of two classes, (N, C) of more: bounded as probabilities are."""
    bound = -np.log(LEAST_PROBABILITY)
    count, classes = logits.shape
    with np.errstate(invalid="ignore"):
        if classes == 2:
            margins = np.subtract(logits[:, 1:], logits[:, :1], dtype=np.float64)
        else:
            margins = np.empty((count, classes))
            for k in range(classes):
                given = rows.make(logits, np.full(count, k), n_threads=cpus())
                margins[:, k] = rows.statistics(given).margin
    return margins.clip(-bound, bound)


class _Logistic(OneVsRest):
    _learnt: ClassVar[tuple[str, ...]] = ("coef_",)
    _identity: ClassVar[tuple[float, ...]]  # the coefficients that change nothing
    _nonnegative: ClassVar[int] = 0

    coef_: Array

    def __init__(
        self,
        *,
        input: Input = "logits",
        classes: ArrayLike | None = None,
        regularization: float = 1.0,
    ) -> None:
        self.input = input
        self.classes = classes
        self.regularization = regularization

    def _learn_maps(self, problems: list[tuple[Array, Array]], weight: Array | None) -> None:
        self.coef_ = np.stack(
            [
                _fit.fit_logistic(
                    self._features(margin),
                    positive,
                    weight,
                    identity=np.array(self._identity),
                    regularization=self.regularization,
                    nonnegative=self._nonnegative,
                )
                for margin, positive in problems
            ]
        )

    @abstractmethod
    def _features(self, margin: Array) -> Array:
        """What the coefficients belong to."""

    def _map(self, k: int, margin: Array) -> Array:
        return _fit.logistic(self._features(margin) @ self.coef_[k])


class PlattScaling(_Logistic):
    r"""A slope and an offset of the logit: :math:`\sigma(a m + b)`, m = log p − log(1 − p).

    Platt scaling on logits, where it contains the identity; on probabilities it does not. More
    than two classes are calibrated each against the rest and normalised.

    Parameters
    ----------
    input : {"logits", "proba"}, default "logits"
        What X holds; see `TemperatureScaling` for probabilities of zero. In logits, minus
        infinity counts as they do.
    classes : array-like of shape (n_classes,), optional
        The labels of the columns, where the rows may not show all of them.
    regularization : float, default 1
        Pull towards a = 1, b = 0 in units of rows, λ of
        :math:`\frac{\lambda}{2n} ((a - 1)^2 + b^2)`. One row keeps separable classes finite.

    Attributes
    ----------
    coef_ : ndarray of shape (n_maps, 2)
        a and b: of the second class of two, or of every class.
    classes_ : ndarray of shape (n_classes,)
        The labels of the columns.

    References
    ----------
    Platt, "Probabilistic outputs for support vector machines", 1999.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> margin = rng.normal(size=4000)
    >>> y = rng.random(4000) < 1 / (1 + np.exp(-(2 * margin - 1)))
    >>> PlattScaling().fit(np.column_stack([0 * margin, margin]), y).coef_.round(1)
    array([[ 2., -1.]])
    """

    _identity = (1.0, 0.0)

    def _features(self, margin: Array) -> Array:
        return np.column_stack([margin, np.ones_like(margin)])


class QuadraticScaling(_Logistic):
    r"""Platt scaling with a curvature: :math:`\sigma(a m + b + c m^2)`, m = log p − log(1 − p).

    Of public comparisons by log loss the best calibrator of two classes, beside beta calibration.
    It need not be monotone. More than two classes are calibrated each against the rest and
    normalised.

    Parameters
    ----------
    input : {"logits", "proba"}, default "logits"
        What X holds; see `TemperatureScaling` for probabilities of zero. In logits, minus
        infinity counts as they do.
    classes : array-like of shape (n_classes,), optional
        The labels of the columns, where the rows may not show all of them.
    regularization : float, default 1
        Pull towards a = 1, b = c = 0 in units of rows, as in `PlattScaling`.

    Attributes
    ----------
    coef_ : ndarray of shape (n_maps, 3)
        a, b and c: of the second class of two, or of every class.
    classes_ : ndarray of shape (n_classes,)
        The labels of the columns.

    References
    ----------
    Berta, Holzmüller, Jordan, Bach, "Structured matrix scaling for multi-class calibration",
    https://arxiv.org/abs/2511.03685.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> margin = rng.normal(size=4000)
    >>> y = rng.random(4000) < 1 / (1 + np.exp(-(margin + margin**2)))
    >>> QuadraticScaling().fit(np.column_stack([0 * margin, margin]), y).coef_.round(1)
    array([[ 1., -0.,  1.]])
    """

    _identity = (1.0, 0.0, 0.0)

    def _features(self, margin: Array) -> Array:
        return np.column_stack([margin, np.ones_like(margin), margin**2])


class BetaCalibration(_Logistic):
    r"""Beta calibration: :math:`\sigma(a \log p - b \log(1 - p) + c)` with a, b ≥ 0.

    The likelihood ratio of two beta distributions. Monotone, and with the identity at
    a = b = 1, c = 0. More than two classes are calibrated each against the rest and normalised.

    Parameters
    ----------
    input : {"logits", "proba"}, default "logits"
        What X holds; see `TemperatureScaling` for probabilities of zero. In logits, minus
        infinity counts as they do.
    classes : array-like of shape (n_classes,), optional
        The labels of the columns, where the rows may not show all of them.
    regularization : float, default 1
        Pull towards the identity in units of rows, as in `PlattScaling`.

    Attributes
    ----------
    coef_ : ndarray of shape (n_maps, 3)
        a, b and c: of the second class of two, or of every class.
    classes_ : ndarray of shape (n_classes,)
        The labels of the columns.

    References
    ----------
    Kull, Silva Filho, Flach, "Beta calibration", AISTATS 2017,
    https://proceedings.mlr.press/v54/kull17a.html.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> p = rng.random(20000)
    >>> y = rng.random(20000) < p**2 / (p**2 + 1 - p)  # a = 2, b = 1, c = 0
    >>> fitted = BetaCalibration(input="proba").fit(np.column_stack([1 - p, p]), y)
    >>> fitted.predict_proba([[0.2, 0.8]]).round(1)
    array([[0.2, 0.8]])
    """

    _identity = (1.0, 1.0, 0.0)
    _nonnegative = 2

    def _features(self, margin: Array) -> Array:
        log_prob, log_rest = -np.logaddexp(0.0, -margin), -np.logaddexp(0.0, margin)
        return np.column_stack([log_prob, -log_rest, np.ones_like(margin)])


class IsotonicCalibration(OneVsRest):
    """Scikit-learn's isotonic regression of each class on its probability.

    Steps that fit any monotone distortion. They need many rows, and hurt log loss: a step of
    frequency 0 or 1 stakes everything on what it says, and costs an infinite log loss where it
    is wrong. `select_calibrator` does not try it unless it is asked to. More than two classes are
    calibrated each against the rest and normalised.

    Parameters
    ----------
    input : {"logits", "proba"}, default "logits"
        What X holds; see `TemperatureScaling` for probabilities of zero. In logits, minus
        infinity counts as they do.
    classes : array-like of shape (n_classes,), optional
        The labels of the columns, where the rows may not show all of them.

    Attributes
    ----------
    thresholds_ : list of ndarray
        Of each map, the margins log p − log(1 − p) at the steps.
    values_ : list of ndarray
        Of each map, the probabilities there; between them it is linear.
    classes_ : ndarray of shape (n_classes,)
        The labels of the columns.

    References
    ----------
    Zadrozny, Elkan, "Transforming classifier scores into accurate multiclass probability
    estimates", KDD 2002.

    Examples
    --------
    >>> logits = [[0.0, -1.0], [0.0, 1.0], [0.0, 2.0], [0.0, 3.0]]
    >>> IsotonicCalibration().fit(logits, [0, 1, 0, 1]).predict_proba([[0.0, 1.5]])
    array([[0.5, 0.5]])
    """

    _learnt: ClassVar[tuple[str, ...]] = ("thresholds_", "values_")

    thresholds_: list[Array]
    values_: list[Array]

    def __init__(self, *, input: Input = "logits", classes: ArrayLike | None = None) -> None:
        self.input = input
        self.classes = classes

    def _learn_maps(self, problems: list[tuple[Array, Array]], weight: Array | None) -> None:
        regression = require("sklearn.isotonic", "sklearn").IsotonicRegression
        self.thresholds_, self.values_ = [], []
        for margin, positive in problems:
            fitted = regression(y_min=0.0, y_max=1.0).fit(margin, positive, weight)
            self.thresholds_.append(np.asarray(fitted.X_thresholds_, dtype=np.float64))
            self.values_.append(np.asarray(fitted.y_thresholds_, dtype=np.float64))

    def _map(self, k: int, margin: Array) -> Array:
        return np.interp(margin, self.thresholds_[k], self.values_[k])
