"""The one temperature that log loss wants."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from crossentropy import rows
from crossentropy._errors import InputError

if TYPE_CHECKING:
    from crossentropy._predictions import Array

_TOLERANCE = 1e-4  # of the last step; Newton squares what is left
_MAX_PASSES = 100
_TRUST = 8.0  # a step may raise beta by no more than this factor
_SUSPICIOUS = 4.0  # so far from the start, look whether there is an optimum at all
_MANY = 2**20  # logits, from which on a part of the rows says where to start
_EVERY = 16


def fit_beta(
    logits: Array,
    codes: Array,
    weight: Array | None = None,
    *,
    regularization: float = 0.0,
    start: float = 1.0,
    n_threads: int = 1,
) -> tuple[float, int]:
    """Best inverse temperature, and the passes over all rows that it took.

    What `crossentropy.calibration.TemperatureScaling` runs after its checks: `codes` are column
    numbers, `weight` is positive somewhere. `start` saves passes where a good guess is known;
    from many rows it comes from some of them.
    """
    if not (math.isfinite(regularization) and regularization >= 0):
        raise InputError(f"regularization must be a nonnegative number, got {regularization}")
    return _fit(_sample(logits, codes, weight), regularization, start, n_threads)


def _fit(sample: _Sample, regularization: float, start: float, n_threads: int) -> tuple[float, int]:
    if sample.logits.size >= _MANY and len(sample.own) >= _EVERY**2:
        # with a pull, for a part of the rows may be separable
        pull = max(regularization / _EVERY, 1.0)
        start = _fit(sample.every(_EVERY), pull, start, n_threads)[0] or start
    return _newton(_Objective(sample, regularization, n_threads), start)


def _newton(objective: _Objective, start: float) -> tuple[float, int]:
    """Safeguarded: within the bracket that the gradient's signs leave."""
    beta, low, high = start, 0.0, math.inf
    doubtful = True  # whether the optimum may be at 0, or at infinity
    while objective.passes < _MAX_PASSES:
        gradient, curvature = objective.slopes(beta)
        far = not start / _SUSPICIOUS <= beta <= start * _SUSPICIOUS
        if doubtful and (far or curvature == 0):
            doubtful = False
            if gradient >= 0 and objective.slopes(0.0)[0] >= 0:
                return 0.0, objective.passes
            if gradient <= 0:
                objective.check_bounded()
        if gradient > 0:
            high = beta
        else:
            low = beta
        proposal = _step(beta, gradient, curvature)
        if not low <= proposal <= high:
            proposal = (low + high) / 2
        done = abs(proposal - beta) <= _TOLERANCE * beta
        beta = proposal
        if done:
            break
    return beta, objective.passes


def _step(beta: float, gradient: float, curvature: float) -> float:
    """Newton's step: in log(beta) downwards, where the plain one overshoots, else in beta."""
    if gradient > 0:
        return beta * math.exp(-gradient / (beta * curvature + gradient))
    upwards = beta - gradient / curvature if curvature > 0 else math.inf
    return min(upwards, beta * _TRUST)


class _Sample(NamedTuple):
    logits: Array  # float32 or float64, contiguous
    own: Array  # each row's logit of its label, float64
    weight: Array | None  # positive

    def every(self, step: int) -> _Sample:
        weight = None if self.weight is None else self.weight[::step]
        return _Sample(np.ascontiguousarray(self.logits[::step]), self.own[::step], weight)


def _sample(logits: Array, codes: Array, weight: Array | None) -> _Sample:
    """The rows that count, as the kernels read them."""
    logits = np.asarray(logits)
    if logits.dtype not in (np.float32, np.float64):
        logits = logits.astype(np.float64)
    logits = np.ascontiguousarray(logits)
    count, classes = logits.shape
    own = logits.ravel().take(np.arange(count) * classes + codes).astype(np.float64, copy=False)
    impossible = own == -np.inf
    if weight is not None:
        weight = np.asarray(weight, dtype=np.float64)
        impossible &= weight > 0
    if impossible.any():
        raise InputError(
            f"row {int(impossible.argmax())} gives its own label probability zero, so every "
            "temperature's log loss is infinite; leave the row out or give the label a finite logit"
        )
    if weight is not None and not weight.all():
        kept = np.flatnonzero(weight)
        logits, own, weight = logits[kept], own[kept], weight[kept]
    return _Sample(logits, own, weight)


class _Objective:
    """The convex mean cross entropy over beta, by its first two derivatives."""

    def __init__(self, sample: _Sample, regularization: float, n_threads: int) -> None:
        self._logits, self._own, weight = sample
        self._share = None if weight is None else weight / weight.sum()
        self._regularization = regularization
        self._pull = regularization / len(self._own)
        self._n_threads = n_threads
        self.passes = 0

    def slopes(self, beta: float) -> tuple[float, float]:
        """Gradient mean(E_p z - z_y) and Hessian mean Var_p z, with the penalty's."""
        self.passes += 1
        moments = rows.moments(self._logits, beta, n_threads=self._n_threads)
        gradient = self._mean(moments.mean - self._own)
        curvature = self._mean(moments.variance)
        if not (math.isfinite(gradient) and math.isfinite(curvature)):
            raise InputError(
                "logits must be numbers or minus infinity, not all of them that, and their "
                f"squares must be within the range of {self._logits.dtype}"
            )
        return gradient + self._pull * (beta - 1), curvature + self._pull

    def check_bounded(self) -> None:
        """Raise InputError where the loss falls without end."""
        if self._regularization == 0 and (self._own >= self._logits.max(axis=1)).all():
            raise InputError(
                "every row's own label already has the highest logit, so the log loss falls "
                "without end as the temperature goes to 0; pass regularization=1.0"
            )

    def _mean(self, values: Array) -> float:
        return float(values.mean() if self._share is None else self._share @ values)
