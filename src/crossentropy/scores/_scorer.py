"""Scores as scikit-learn's ``scoring=``."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from crossentropy._errors import InputError, closest

from ._brier import brier_score
from ._calibration_error import calibration_error
from ._decisions import accuracy, balanced_accuracy, top_k_accuracy
from ._log_loss import log_loss
from ._reliability import expected_calibration_error
from ._skill import skill

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from crossentropy._predictions import Array

_SCORES: dict[str, tuple[Callable[..., Any], int]] = {  # and whether more is better
    "log_loss": (log_loss, -1),
    "brier_score": (brier_score, -1),
    "skill": (skill, 1),
    "calibration_error": (calibration_error, -1),
    "expected_calibration_error": (expected_calibration_error, -1),
    "accuracy": (accuracy, 1),
    "balanced_accuracy": (balanced_accuracy, 1),
    "top_k_accuracy": (top_k_accuracy, 1),
}


def scorer(name: str, **options: Any) -> Scorer:
    """Score as scikit-learn's model selection takes it, ``scoring=scorer("log_loss")``.

    More is better: losses and errors come with a minus. It reads ``predict_proba`` and
    ``classes_``, so a test fold may lack classes. What a training fold lacks was given
    probability zero, and costs accordingly: an infinite log loss, unless there is a ``floor``.

    Parameters
    ----------
    name : str
        A score of this package: ``"log_loss"``, ``"brier_score"``, ``"skill"``,
        ``"calibration_error"``, ``"expected_calibration_error"``, ``"accuracy"``,
        ``"balanced_accuracy"`` or ``"top_k_accuracy"``.
    **options
        Its keyword arguments, such as ``base=2``.

    Returns
    -------
    Scorer
        A callable ``(estimator, X, y, sample_weight=None)``.

    Raises
    ------
    ValueError
        If there is no such score.

    Examples
    --------
    >>> class Coin:
    ...     classes_ = ["heads", "tails"]
    ...     def predict_proba(self, X):
    ...         return [[0.5, 0.5] for _ in X]
    >>> scorer("log_loss", base=2)(Coin(), [1, 2], ["heads", "heads"])
    -1.0
    """
    if name not in _SCORES:
        raise InputError(f"no score {name!r}: {closest(name, _SCORES)}")
    return Scorer(name, options)


class Scorer:
    """What `scorer` returns; compares, prints and pickles by its name and options."""

    def __init__(self, name: str, options: dict[str, Any]) -> None:
        self.name = name
        self.options = options

    def __call__(
        self, estimator: Any, X: Any, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> float:
        """Score an estimator's probabilities of X against the labels y."""
        y = np.asarray(y)
        proba = np.asarray(estimator.predict_proba(X))
        proba, labels = _with_unseen(proba, np.asarray(estimator.classes_), y)
        score, sign = _SCORES[self.name]
        options = {"input": "proba", "labels": labels, "sample_weight": sample_weight}
        return sign * float(score(y, proba, **options, **self.options))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Scorer) and (self.name, self.options) == (
            other.name,
            other.options,
        )

    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        options = "".join(f", {name}={value!r}" for name, value in self.options.items())
        return f"scorer({self.name!r}{options})"


def _with_unseen(proba: Array, classes: Array, y: Array) -> tuple[Array, Array]:
    """Columns of zeros for labels that the estimator has never seen, and all labels."""
    unseen = np.setdiff1d(y, classes)
    if not len(unseen):
        return proba, classes
    zeros = np.zeros((len(proba), len(unseen)), dtype=proba.dtype)
    return np.hstack([proba, zeros]), np.concatenate([classes, unseen])
