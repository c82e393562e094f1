"""Probabilities for another prior than the one they were learnt at."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, TypeVar

import numpy as np

from crossentropy._errors import InputError
from crossentropy._fit import LogitMap
from crossentropy._predictions import softmax

from ._base import MappedCalibrator

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from crossentropy._predictions import Array, Input

_MOST_STEPS = 10_000
_Own = TypeVar("_Own", bound="PriorShift")


class PriorShift(MappedCalibrator):
    r"""Move calibrated probabilities from the prior of their rows to that of deployment.

    .. math:: p'_k \propto p_k \frac{\pi'_k}{\pi_k}

    right where only the classes' shares differ, not what a class looks like. The model's own
    prior π is `source_prior`, or the labels' shares. That of deployment, π′, is `prior`; where it
    is not known, `adapt` estimates it from rows without labels by the EM algorithm of Saerens.
    Calibrate first: the correction takes the probabilities at their word.

    A model of undersampled classes is corrected with ``source_prior`` as sampled and ``prior`` as
    it is.

    Parameters
    ----------
    prior : array-like of shape (n_classes,), optional
        Shares of the classes in deployment. Without it nothing changes before `adapt`.
    source_prior : array-like of shape (n_classes,), optional
        Shares of the classes that the probabilities were learnt at. By default those of the
        labels that `fit` is given, where a class without rows counts as half of one.
    input : {"logits", "proba"}, default "logits"
        What X holds; see `TemperatureScaling` for probabilities of zero.
    classes : array-like of shape (n_classes,), optional
        The labels of the columns, where the rows may not show all of them.
    tol : float, default 1e-8
        `adapt` ends where no share changes by more.

    Attributes
    ----------
    source_prior_, prior_ : ndarray of shape (n_classes,)
        π and π′.
    classes_ : ndarray of shape (n_classes,)
        The labels of the columns.

    References
    ----------
    Saerens, Latinne, Decaestecker, "Adjusting the outputs of a classifier to new a priori
    probabilities: a simple procedure", Neural Computation 2002.

    Examples
    --------
    >>> shift = PriorShift(prior=[0.9, 0.1], source_prior=[0.5, 0.5], input="proba")
    >>> shift.fit([[0.5, 0.5], [0.2, 0.8]], [0, 1]).predict_proba([[0.5, 0.5], [0.2, 0.8]])
    array([[0.9       , 0.1       ],
           [0.69230769, 0.30769231]])
    """

    _learnt: ClassVar[tuple[str, ...]] = ("source_prior_", "prior_")

    source_prior_: Array
    prior_: Array

    def __init__(
        self,
        *,
        prior: ArrayLike | None = None,
        source_prior: ArrayLike | None = None,
        input: Input = "logits",
        classes: ArrayLike | None = None,
        tol: float = 1e-8,
    ) -> None:
        self.prior = prior
        self.source_prior = source_prior
        self.input = input
        self.classes = classes
        self.tol = tol

    def _learn(self, logits: Array, codes: Array, weight: Array | None) -> None:
        classes = logits.shape[1]
        if self.source_prior is None:
            counts = np.bincount(codes, weight, minlength=classes)
            rows = counts if weight is None else counts / weight.mean()
            shares = np.where(rows > 0, rows, 0.5)
            source = shares / shares.sum()
        else:
            source = _distribution(self.source_prior, classes, "source_prior")
            if not source.all():
                raise InputError("source_prior must be positive for every class")
        self.source_prior_ = source
        self.prior_ = source if self.prior is None else _distribution(self.prior, classes, "prior")

    def adapt(self: _Own, X: ArrayLike) -> _Own:
        """Estimate the prior of deployment from rows without labels.

        Maximises the rows' likelihood over π′; a maximum of one concave function.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_classes)
            Predictions like those that `fit` had.

        Returns
        -------
        PriorShift
            Itself, with another `prior_`.

        Raises
        ------
        ValueError
            If it is not fitted, or a `prior` was given.
        """
        if self.prior is not None:
            raise InputError("the prior was given; adapt is for a PriorShift without one")
        proba = softmax(self._predictions(X))
        likelihood = proba / self.source_prior_
        prior = self.source_prior_
        for _ in range(_MOST_STEPS):
            joint = likelihood * prior
            step = (joint / joint.sum(axis=1, keepdims=True)).mean(axis=0)
            done = np.abs(step - prior).max() <= self.tol
            prior = step
            if done:
                break
        self.prior_ = prior
        return self

    def logit_map(self) -> LogitMap:
        """Return the logarithms of the priors' ratios."""
        with np.errstate(divide="ignore"):  # a class that does not occur
            return LogitMap(bias=np.log(self.prior_ / self.source_prior_))


def _distribution(given: ArrayLike, classes: int, name: str) -> Array:
    prior = np.asarray(given, dtype=np.float64)
    if prior.shape != (classes,):
        raise InputError(f"{name} must have a share for each of {classes} classes, got {prior}")
    if not (prior >= 0).all() or abs(prior.sum() - 1) > 1e-6:
        raise InputError(f"{name} must be nonnegative and sum to one, got {prior}")
    shares: Array = prior / prior.sum()
    return shares
