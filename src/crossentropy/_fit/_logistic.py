"""Logistic regression on a few features, with a pull towards given coefficients."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from crossentropy._errors import InputError
from crossentropy._optional import require

if TYPE_CHECKING:
    from crossentropy._predictions import Array


def fit_logistic(
    features: Array,
    positive: Array,
    weight: Array | None,
    *,
    identity: Array,
    regularization: float,
    nonnegative: int = 0,
) -> Array:
    """Coefficients θ of σ(features·θ), by mean log loss and ``λ/(2n) ‖θ − identity‖²``.

    The first `nonnegative` of them are no less than 0. Newton's method in a trust region.
    """
    if not (np.isfinite(regularization) and regularization >= 0):
        raise InputError(f"regularization must be a nonnegative number, got {regularization}")
    share = np.full(len(features), 1 / len(features)) if weight is None else weight / weight.sum()
    pull = regularization / len(features)
    sign = np.where(positive, 1.0, -1.0)
    free = np.ones(len(identity), dtype=bool)
    while True:
        objective = _Objective(features[:, free] * sign[:, None], share, identity[free], pull)
        theta = np.zeros(len(identity))
        theta[free] = objective.minimise()
        negative = (theta < 0) & (np.arange(len(theta)) < nonnegative)
        if not negative.any():
            return theta
        free &= ~negative


class _Objective:
    """Of features that are turned so that every label is positive."""

    def __init__(self, features: Array, share: Array, identity: Array, pull: float) -> None:
        # in units of each feature's size, in which the trust region is round
        size = np.sqrt(share @ features**2)
        self._size = np.where(size > 0, size, 1.0)
        self._features, self._share = features / self._size, share
        self._identity, self._pull = identity * self._size, pull / self._size**2

    def minimise(self) -> Array:
        optimize = require("scipy.optimize", "sklearn")
        found = optimize.minimize(
            self._value,
            self._identity,
            jac=self._slope,
            hess=self._hessian,
            method="trust-exact",
            options={"gtol": 1e-9, "maxiter": 500},
        )
        if self._pull.max() == 0 and (self._features @ found.x > 0).all():
            raise InputError(
                "the classes are separable, so the log loss falls without end as the map grows "
                "steeper; pass regularization=1.0"
            )
        theta: Array = found.x / self._size
        return theta

    def _value(self, theta: Array) -> float:
        away = theta - self._identity
        loss = self._share @ np.logaddexp(0.0, -(self._features @ theta))
        return float(loss + self._pull @ (away * away) / 2)

    def _slope(self, theta: Array) -> Array:
        wrong = self._share * logistic(-(self._features @ theta))
        slope: Array = self._pull * (theta - self._identity) - wrong @ self._features
        return slope

    def _hessian(self, theta: Array) -> Any:
        p = logistic(self._features @ theta)
        spread = (self._share * p * (1 - p))[:, None]
        return (self._features * spread).T @ self._features + np.diag(self._pull)


def logistic(margin: Array) -> Array:
    """1 / (1 + e^−m), without overflow."""
    decay = np.exp(-np.abs(margin))
    result: Array = np.where(margin >= 0, 1.0, decay) / (1.0 + decay)
    return result
