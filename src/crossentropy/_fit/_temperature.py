"""The one temperature that log loss wants."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from crossentropy._errors import InputError

if TYPE_CHECKING:
    from crossentropy._predictions import Array

_TOLERANCE = 1e-7  # of the last step; Newton squares what is left
_MAX_PASSES = 100
_TRUST = 8.0  # a step may raise beta by no more than this factor


def fit_beta(
    logits: Array,
    codes: Array,
    weight: Array | None = None,
    *,
    regularization: float = 0.0,
    start: float = 1.0,
) -> tuple[float, int]:
    """Best inverse temperature, and the passes it took.

    What `crossentropy.calibration.TemperatureScaling` runs after its checks: `codes` are column
    numbers, `weight` is positive somewhere. `start` saves passes where a good guess is known.
    """
    if not (math.isfinite(regularization) and regularization >= 0):
        raise InputError(f"regularization must be a nonnegative number, got {regularization}")
    objective = _Objective(logits, codes, weight, regularization)
    if objective.slopes(0.0)[0] >= 0:
        return 0.0, 1
    beta, low, high = start, 0.0, math.inf
    passes = 1
    while passes < _MAX_PASSES:
        passes += 1
        gradient, curvature = objective.slopes(beta)
        if gradient > 0:
            high = beta
        else:
            low = beta
        proposal = _newton(beta, gradient, curvature)
        if not low <= proposal <= high:
            proposal = (low + high) / 2
        done = abs(proposal - beta) <= _TOLERANCE * beta
        beta = proposal
        if done:
            break
    return beta, passes


def _newton(beta: float, gradient: float, curvature: float) -> float:
    """Newton's step: in log(beta) downwards, where the plain one overshoots, else in beta."""
    if gradient > 0:
        return beta * math.exp(-gradient / (beta * curvature + gradient))
    upwards = beta - gradient / curvature if curvature > 0 else math.inf
    return min(upwards, beta * _TRUST)


class _Objective:
    """The convex mean cross entropy over beta, by its first two derivatives."""

    def __init__(
        self, logits: Array, codes: Array, weight: Array | None, regularization: float
    ) -> None:
        logits = np.asarray(logits, dtype=np.float64)
        weight = np.ones(len(codes)) if weight is None else np.asarray(weight, dtype=np.float64)
        kept = np.flatnonzero(weight)
        if len(kept) < len(codes):
            logits, codes, weight = logits[kept], codes[kept], weight[kept]
        highest = logits.max(axis=1, keepdims=True)
        if not np.isfinite(highest).all():
            raise InputError("logits must be numbers or minus infinity, not all of them that")
        logits = logits - highest
        target = logits[np.arange(len(codes)), codes]
        if np.isneginf(target).any():
            row = int(kept[np.isneginf(target).argmax()])
            raise InputError(
                f"row {row} gives its own label probability zero, so every temperature's log "
                "loss is infinite; leave the row out or give the label a finite logit"
            )
        if regularization == 0 and not target.any() and logits.any():
            raise InputError(
                "every row's own label already has the highest logit, so the log loss falls "
                "without end as the temperature goes to 0; pass regularization=1.0"
            )
        self._allowed = None if np.isfinite(logits).all() else np.isfinite(logits)
        self._logits = logits if self._allowed is None else np.where(self._allowed, logits, 0.0)
        self._share = weight / weight.sum()
        self._target = float(self._share @ target)
        self._pull = regularization / len(codes)

    def slopes(self, beta: float) -> tuple[float, float]:
        """Gradient mean(E_p z - z_y) and Hessian mean Var_p z, with the penalty's."""
        odds = np.exp(beta * self._logits)
        if self._allowed is not None:
            odds *= self._allowed
        total = odds.sum(axis=1)
        odds *= self._logits
        mean = odds.sum(axis=1) / total
        square = np.einsum("ij,ij->i", odds, self._logits) / total
        return (
            float(self._share @ mean) - self._target + self._pull * (beta - 1),
            float(self._share @ (square - mean**2)) + self._pull,
        )
