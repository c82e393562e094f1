"""Temperature scaling: one number for all rows and classes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from crossentropy._errors import InputError
from crossentropy._fit import fit_beta
from crossentropy._predictions import check_predictions, softmax

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from crossentropy._predictions import Array


class TemperatureScaling:
    r"""Divide the logits by one temperature, chosen by log loss.

    Minimises over :math:`\beta = 1/T \ge 0` the convex

    .. math:: \frac1n \sum_i \bigl[\operatorname{lse}(\beta z_i) - \beta z_{i,y_i}\bigr]
              + \frac{\lambda}{2n}(\beta - 1)^2

    by a safeguarded Newton iteration with gradient :math:`\text{mean}(E_p z - z_y)` and Hessian
    :math:`\text{mean}(\operatorname{Var}_p z)`. The order of the classes in a row, and so the
    accuracy, never changes.

    Parameters
    ----------
    regularization : float, default 0
        :math:`\lambda \ge 0`, the pull towards :math:`\beta = 1` in units of rows. Zero is the
        plain maximum-likelihood fit; 1 keeps the temperature finite on separable data and is
        hardly felt elsewhere.

    Attributes
    ----------
    beta_ : float
        The inverse temperature. Zero where the logits know nothing about the labels.
    temperature_ : float
        ``1 / beta_``.
    classes_ : ndarray of shape (n_classes,)
        The labels of the columns.
    n_iter_ : int
        Passes over the logits.

    References
    ----------
    Guo, Pleiss, Sun, Weinberger, "On calibration of modern neural networks", ICML 2017,
    https://arxiv.org/abs/1706.04599.

    Examples
    --------
    >>> import numpy as np
    >>> logits = np.array([[9.0, 0.0], [9.0, 0.0], [0.0, 9.0], [0.0, 9.0]])
    >>> y = np.array([0, 1, 1, 1])
    >>> scaling = TemperatureScaling().fit(logits, y)
    >>> round(scaling.temperature_, 3)  # 3 of 4 are right, so p = 0.75: beta = log(3) / 9
    8.192
    >>> scaling.predict_proba(logits[:1]).round(2)
    array([[0.75, 0.25]])
    """

    _estimator_type = "classifier"  # for scikit-learn before 1.6

    beta_: float
    temperature_: float
    classes_: Array
    n_iter_: int

    def __init__(self, *, regularization: float = 0.0) -> None:
        self.regularization = regularization

    def fit(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> TemperatureScaling:
        """Choose the temperature.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_classes)
            Logits, columns in the sorted order of the labels. Minus infinity is allowed where
            it is not the row's own label.
        y : array-like of shape (n_rows,)
            Labels of any type. Array may leave out a class: they are column numbers
            when all lie in ``range(n_classes)``.
        sample_weight : array-like of shape (n_rows,), optional
            Nonnegative weights; their scale does not matter.

        Returns
        -------
        TemperatureScaling
            Itself.

        Raises
        ------
        ValueError
            If a row gives its own label probability zero, or if the data is separable and
            ``regularization`` is zero: then no finite temperature is best.
        """
        data = check_predictions(
            y, X, input="logits", labels=_column_labels(X, y), sample_weight=sample_weight
        )
        self.beta_, self.n_iter_ = fit_beta(
            data.values, data.codes, data.weight, regularization=self.regularization
        )
        self.temperature_ = 1.0 / self.beta_ if self.beta_ > 0 else math.inf
        self.classes_ = data.labels
        return self

    def predict_proba(self, X: ArrayLike) -> Array:
        """Return the calibrated probabilities, ``softmax(X / temperature_)``.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_classes)
            Logits.

        Returns
        -------
        ndarray of shape (n_rows, n_classes)
            Probabilities, float64.
        """
        if not hasattr(self, "beta_"):
            raise InputError("this TemperatureScaling is not fitted yet: call fit first")
        logits = np.asarray(X, dtype=np.float64)
        # -inf stays impossible at every temperature, also at beta = 0 (where 0 * inf is NaN).
        with np.errstate(invalid="ignore"):
            return softmax(np.where(np.isneginf(logits), logits, self.beta_ * logits))

    def predict(self, X: ArrayLike) -> Array:
        """Return the most probable label of each row."""
        labels: Array = self.classes_[self.predict_proba(X).argmax(axis=1)]
        return labels

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the constructor's parameters, as scikit-learn's ``clone`` wants them."""
        return {"regularization": self.regularization}

    def set_params(self, **params: Any) -> TemperatureScaling:
        """Set constructor parameters by name."""
        for name, value in params.items():
            if name not in self.get_params():
                raise InputError(f"TemperatureScaling has no parameter {name!r}")
            setattr(self, name, value)
        return self

    def __sklearn_tags__(self) -> Any:
        # only scikit-learn asks, so it is there to import
        from sklearn.utils import ClassifierTags, Tags, TargetTags

        target, classifier = TargetTags(required=True), ClassifierTags()
        return Tags("classifier", target_tags=target, classifier_tags=classifier)

    def __repr__(self) -> str:
        return f"TemperatureScaling(regularization={self.regularization!r})"


def _column_labels(X: ArrayLike, y: ArrayLike) -> Array | None:
    """Column numbers as labels where integer labels are a part of them, else y's own."""
    labels, columns = np.unique(np.asarray(y)), np.shape(X)[-1] if np.ndim(X) == 2 else 0
    inside = labels.dtype.kind in "iu" and labels.size < columns
    if inside and labels.min() >= 0 and labels.max() < columns:
        return np.arange(columns)
    return None
