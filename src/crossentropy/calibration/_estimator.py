"""A scikit-learn estimator and its calibrator as one estimator."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from crossentropy._errors import InputError, closest
from crossentropy._fit import stratified_folds
from crossentropy._optional import require
from crossentropy._predictions import Input

from ._base import Calibrator
from ._conventions import Parameters, labels_of, not_fitted
from ._select import Selection, default_candidates, select_calibrator

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from crossentropy._predictions import Array


class Calibrated(Parameters):
    """An estimator whose probabilities are calibrated on rows that it was not fitted on.

    Cross-fitted, the estimator is fitted on each but one of `cv` folds, the calibrator on what
    these say about the folds left out, and the estimator once more on all rows. With
    ``cv="prefit"`` the estimator is taken as it is, and `fit` is given held-out rows.

    Parameters
    ----------
    estimator : estimator
        A classifier of scikit-learn's conventions, with `decision_function` or `predict_proba`.
    method : str or Calibrator, default "auto"
        A name out of `default_candidates`; a calibrator, whose `input` and `classes` are set to
        fit; or "auto", for `select_calibrator`.
    response : {"auto", "decision_function", "predict_proba"}, default "auto"
        What is calibrated: decisions as logits, or probabilities. "auto" takes decisions where
        there are any. Decisions of two classes are the second one's margin.
    cv : int, splitter, iterable or "prefit", default 5
        Stratified folds, or splits of scikit-learn's kinds that leave out every row once, or that
        the estimator is fitted.
    seed : int, default 0
        Of the folds.

    Attributes
    ----------
    estimator_ : estimator
        The fitted estimator.
    calibrator_ : Calibrator
        The fitted calibrator.
    selection_ : Selection or None
        What "auto" chose from.
    classes_ : ndarray of shape (n_classes,)
        The labels.

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from sklearn.naive_bayes import GaussianNB
    >>> X, y = load_wine(return_X_y=True)
    >>> model = Calibrated(GaussianNB(), method="temperature").fit(X, y)
    >>> bool(model.calibrator_.temperature_ > 1)
    True
    >>> model.predict_proba(X).shape
    (178, 3)
    """

    estimator_: Any
    calibrator_: Calibrator
    selection_: Selection | None
    classes_: Array

    def __init__(
        self,
        estimator: Any,
        *,
        method: str | Calibrator = "auto",
        response: Literal["auto", "decision_function", "predict_proba"] = "auto",
        cv: Any = 5,
        seed: int = 0,
    ) -> None:
        self.estimator = estimator
        self.method = method
        self.response = response
        self.cv = cv
        self.seed = seed

    def fit(self, X: Any, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Calibrated:
        """Fit the estimator and its calibrator, or with ``cv="prefit"`` the calibrator alone.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
            What the estimator reads.
        y : array-like of shape (n_rows,)
            Labels.
        sample_weight : array-like of shape (n_rows,), optional
            Nonnegative weights, of both fits.

        Returns
        -------
        Calibrated
            Itself.

        Raises
        ------
        ValueError
            If a class has fewer than two rows to be cross-fitted on, or `method` is unknown.
        """
        labels = labels_of(y)
        if isinstance(self.cv, str) and self.cv == "prefit":
            self.estimator_ = self.estimator
            predictions, given = self._predictions(self.estimator, X), self._input(self.estimator)
        else:
            predictions, given = self._out_of_fold(X, labels, sample_weight)
            self.estimator_ = _fitted(self.estimator, X, labels, sample_weight)
        self.classes_ = np.asarray(self.estimator_.classes_)
        self._fit_calibrator(predictions, given, labels, sample_weight)
        for name in ("n_features_in_", "feature_names_in_"):
            if hasattr(self.estimator_, name):
                setattr(self, name, getattr(self.estimator_, name))
        return self

    def predict_proba(self, X: Any) -> Array:
        """Return calibrated probabilities, (n_rows, n_classes)."""
        if not hasattr(self, "calibrator_"):
            raise not_fitted(self)
        return self.calibrator_.predict_proba(self._predictions(self.estimator_, X))

    def predict(self, X: Any) -> Array:
        """Return the most probable label of each row."""
        best = self.predict_proba(X).argmax(axis=1)
        labels: Array = self.classes_[best]
        return labels

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags = require("sklearn.utils", "sklearn").get_tags(self.estimator).input_tags
        return tags

    def _fit_calibrator(
        self, predictions: Array, given: Input, labels: Array, sample_weight: ArrayLike | None
    ) -> None:
        self.selection_ = None
        if isinstance(self.method, str) and self.method == "auto":
            self.selection_ = select_calibrator(
                predictions,
                labels,
                input=given,
                classes=self.classes_,
                sample_weight=sample_weight,
                seed=self.seed,
            )
            self.calibrator_ = self.selection_.calibrator
            return
        if isinstance(self.method, str):
            known = default_candidates(given, predictions.shape[1], self.classes_)
            if self.method not in known:
                hint = closest(self.method, ["auto", *known])
                raise InputError(f"there is no method {self.method!r}; {hint}")
            calibrator = known[self.method]
        else:
            params = {**self.method.get_params(), "input": given, "classes": self.classes_}
            calibrator = type(self.method)(**params)
        self.calibrator_ = calibrator.fit(predictions, labels, sample_weight)

    def _out_of_fold(
        self, X: Any, labels: Array, sample_weight: ArrayLike | None
    ) -> tuple[Array, Input]:
        utils = require("sklearn.utils", "sklearn")
        (X,) = utils.indexable(X)
        weight = None if sample_weight is None else np.asarray(sample_weight)
        predictions = np.empty((0, 0))
        for others, own in self._splits(X, labels):
            some = None if weight is None else weight[others]
            fitted = _fitted(self.estimator, utils._safe_indexing(X, others), labels[others], some)
            part = self._predictions(fitted, utils._safe_indexing(X, own))
            if len(predictions) == 0:
                predictions = np.full((len(labels), part.shape[1]), np.nan)
            predictions[own] = part
        if np.isnan(predictions).all(axis=1).any():
            raise InputError("cv leaves rows out; every row must be left out of one fit")
        return predictions, self._input(fitted)

    def _splits(self, X: Any, labels: Array) -> Iterable[tuple[Array, Array]]:
        if not isinstance(self.cv, int):
            splits: Iterable[tuple[Array, Array]] = (
                require("sklearn.model_selection", "sklearn").check_cv(self.cv).split(X, labels)
            )
            return splits
        classes, codes = np.unique(labels, return_inverse=True)
        counts = np.bincount(codes)
        if counts.min() < 2:
            rare = classes[counts.argmin()]
            raise InputError(
                f"class {rare} has 1 sample, so a fold has none to learn it from; give it more, or "
                'fit the estimator before and pass cv="prefit"'
            )
        fold = stratified_folds(codes, self.cv, self.seed)
        return [(np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in range(self.cv)]

    def _uses_decisions(self, estimator: Any) -> bool:
        if self.response not in ("auto", "decision_function", "predict_proba"):
            raise InputError(
                'response must be "auto", "decision_function" or "predict_proba", got '
                f"{self.response!r}"
            )
        has = hasattr(estimator, "decision_function")
        return self.response == "decision_function" or (self.response == "auto" and has)

    def _input(self, estimator: Any) -> Input:
        return "logits" if self._uses_decisions(estimator) else "proba"

    def _predictions(self, estimator: Any, X: Any) -> Array:
        if not self._uses_decisions(estimator):
            return np.asarray(estimator.predict_proba(X))
        decisions = np.asarray(estimator.decision_function(X))
        if decisions.ndim == 1:
            return np.column_stack([np.zeros_like(decisions), decisions])
        return decisions


def _fitted(estimator: Any, X: Any, labels: Array, sample_weight: ArrayLike | None) -> Any:
    """A clone, fitted; weights are for those that take them."""
    clone = require("sklearn.base", "sklearn").clone(estimator)
    return (
        clone.fit(X, labels)
        if sample_weight is None
        else clone.fit(X, labels, sample_weight=sample_weight)
    )
