"""What all calibrators share: checks, scikit-learn's conventions, and the form on disk.

Nothing here imports scikit-learn: it calls methods of its own conventions where it is used.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import numpy as np

from crossentropy._cpus import cpus
from crossentropy._errors import InputError
from crossentropy._fit import LogitMap
from crossentropy._predictions import (
    LEAST_PROBABILITY,
    Input,
    Predictions,
    check_predictions,
    reject_row,
    softmax,
)

from . import _saved
from ._conventions import Parameters, labels_of, not_fitted

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from crossentropy._predictions import Array

_Own = TypeVar("_Own", bound="Calibrator")


def log_probabilities(proba: Array) -> Array:
    """Logits of probabilities: their logarithms, from `LEAST_PROBABILITY` on.

    A probability of exactly zero is what a float has underflowed to, or a vote that no tree cast;
    it is no proof. Its logarithm would make every temperature's log loss infinite, so it counts
    as 1.18e-38, 126 bits.
    """
    logits: Array = np.log(np.maximum(proba, proba.dtype.type(LEAST_PROBABILITY)))
    return logits


class Calibrator(Parameters, ABC):
    """A map from a model's predictions to probabilities, learnt from labelled predictions.

    Subclasses take their options by keyword, `_learn` from logits and turn them into
    probabilities in `_calibrate`; `_learnt` names what they have learnt, as it is saved.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels of the columns.
    n_features_in_ : int
        The number of columns.
    """

    _learnt: ClassVar[tuple[str, ...]] = ()

    input: Input
    classes: ArrayLike | None
    classes_: Array
    n_features_in_: int

    # ---- to fit and to predict ------------------------------------------------------------------

    def fit(self: _Own, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> _Own:
        """Learn the map.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_classes)
            Logits, or probabilities if ``input="proba"``: rows that the model was not trained
            on, columns in the sorted order of the labels. A logit of minus infinity is a class
            that is impossible.
        y : array-like of shape (n_rows,)
            Labels of any type. They may leave out a class if `classes` names the columns, or if
            they are column numbers: integers that all lie in ``range(n_classes)``.
        sample_weight : array-like of shape (n_rows,), optional
            Nonnegative weights; their scale does not matter.

        Returns
        -------
        Calibrator
            Itself.

        Raises
        ------
        ValueError
            If the arrays are no predictions with their labels, or no map is best.
        """
        data, names = self.check(X, y, sample_weight), _column_names(X)
        self._learn(data.values, data.codes, data.weight)
        self.classes_ = np.asarray(data.labels)
        self.n_features_in_ = data.values.shape[1]
        if names is not None:
            self.feature_names_in_ = names
        elif hasattr(self, "feature_names_in_"):
            del self.feature_names_in_
        return self

    def check(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> Predictions:
        """Check what `fit` is given: its logits, labels as column numbers, weights and labels."""
        X, y = _numeric(X), labels_of(y)
        if X.ndim == 2 and X.shape[1] < 2:
            raise InputError(
                f"found array with {X.shape[1]} feature(s) (shape={X.shape}) while a minimum of 2 "
                "is required: a column for each class, 1 - p and p if it is p"
            )
        data = check_predictions(
            y,
            X,
            input=self.input,
            labels=_column_labels(X, y) if self.classes is None else self.classes,
            sample_weight=sample_weight,
        )
        return data._replace(values=self._logits(data.values))

    def predict_proba(self, X: ArrayLike) -> Array:
        """Return calibrated probabilities.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_classes)
            Predictions like those that `fit` had.

        Returns
        -------
        ndarray of shape (n_rows, n_classes)
            Probabilities, float64.
        """
        return self._calibrate(self._predictions(X))

    def predict(self, X: ArrayLike) -> Array:
        """Return the most probable label of each row."""
        proba = self.predict_proba(X)
        labels: Array = self.classes_[proba.argmax(axis=1)]
        return labels

    @abstractmethod
    def _learn(self, logits: Array, codes: Array, weight: Array | None) -> None: ...

    @abstractmethod
    def _calibrate(self, logits: Array) -> Array:
        """Probabilities of logits."""

    def _predictions(self, X: ArrayLike) -> Array:
        """Check what a fitted calibrator is given; the logits of it."""
        if not hasattr(self, "classes_"):
            raise not_fitted(self)
        names, known = _column_names(X), getattr(self, "feature_names_in_", None)
        if names is not None and known is not None and list(names) != list(known):
            raise InputError(
                f"the columns are {list(names)}, but the calibrator was fitted on {list(known)}; "
                "put them into that order"
            )
        values = _numeric(X)
        if values.ndim != 2 or values.shape[1] != self.n_features_in_:
            shown = f"{values.shape[1]} features" if values.ndim == 2 else f"shape {values.shape}"
            raise InputError(
                f"X has {shown}, but {type(self).__name__} is expecting {self.n_features_in_} "
                "features as input: a column for each class"
            )
        no_labels = np.zeros(len(values), dtype=np.int64)
        data = check_predictions(
            no_labels,
            values,
            input=self.input,
            labels=np.arange(values.shape[1]),
            sample_weight=None,
        )
        return self._logits(data.values)

    def _logits(self, values: Array) -> Array:
        if self.input == "proba":
            return log_probabilities(values)
        with np.errstate(invalid="ignore", over="ignore"):
            if np.isfinite(values.sum()):  # then every logit is
                return values
        bad = ~(values < np.inf).all(axis=1)
        reject_row(bad, values, "logits must be numbers or minus infinity, not NaN or inf")
        none = np.isneginf(values).all(axis=1)
        reject_row(none, values, "logits must be numbers in some class of every row")
        return values

    # ---- on disk --------------------------------------------------------------------------------

    def save(self, path: str | Path) -> None:
        """Write the fitted calibrator as JSON, whole or not at all.

        Parameters
        ----------
        path
            The file; one that is there is replaced.

        Raises
        ------
        ValueError
            If it is not fitted, or its labels are neither numbers nor text.
        """
        if not hasattr(self, "classes_"):
            raise not_fitted(self)
        _saved.write(Path(path), self, ("classes_", "n_features_in_", *self._learnt))

    @staticmethod
    def load(path: str | Path) -> Calibrator:
        """Read a calibrator that `save` has written: of whichever class it was.

        Parameters
        ----------
        path
            The file.

        Raises
        ------
        ValueError
            If it is no such file.
        """
        return _saved.read(Path(path), Calibrator)  # type: ignore[type-abstract] # for its subclasses


class MappedCalibrator(Calibrator):
    """A calibrator whose map is a `LogitMap`, so that networks can apply it too."""

    @abstractmethod
    def logit_map(self) -> LogitMap:
        """Return the map of logits that was learnt, in numbers."""

    def _calibrate(self, logits: Array) -> Array:
        return softmax(self.logit_map()(logits, cpus()))


def _numeric(X: ArrayLike) -> Array:
    if hasattr(X, "toarray") and hasattr(X, "nnz"):
        raise TypeError("sparse predictions are not supported; call .toarray() first")
    values = np.asarray(X)
    if np.iscomplexobj(values):
        raise InputError("Complex data not supported: predictions are real numbers")
    if values.dtype == object:
        values = values.astype(np.float64)
    if values.ndim == 1:
        raise InputError(
            f"X has shape {values.shape}, but a row has a column for each class. Reshape your "
            "data: to (1, n_classes) if it is one row, to the columns 1 - p and p if it is p"
        )
    return values


def _column_names(X: Any) -> Array | None:
    columns = getattr(X, "columns", None)
    names = None if columns is None else np.asarray(columns, dtype=object)
    return names if names is not None and all(isinstance(n, str) for n in names) else None


def _column_labels(X: Array, y: Array) -> Array | None:
    """Column numbers as labels where integer labels are a part of them, else y's own."""
    columns = X.shape[-1] if X.ndim == 2 else 0
    if y.dtype.kind in "iu" and y.size and y.min() >= 0 and y.max() < columns:
        return np.arange(columns)
    return None
