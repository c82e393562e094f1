"""From trained logits to probabilities: prior correction and temperature, as one affine map."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from crossentropy._fit import fit_beta

Array = NDArray[Any]

# One row's worth of pull towards no temperature at all keeps beta finite on separable data.
_REGULARIZATION = 1.0
# Where the logits know nothing, beta = 0; this much of it keeps 1 / beta a number.
_LEAST_BETA = 1e-6


class Part(NamedTuple):
    """Rows to fit or validate on: features, column numbers of the labels, weights."""

    X: Array
    codes: Array
    weight: Array | None


@dataclass(frozen=True)
class Readout:
    """Calibrated logits are ``beta * (z + before) + after``.

    Attributes
    ----------
    before
        (C,) offsets that bring the logits to the training prior, in nats.
    beta
        Inverse temperature, fitted at the training prior.
    after
        (C,) offsets from the training prior to the prior of deployment, in nats.
    """

    before: Array
    beta: float
    after: Array

    def raw(self, logits: Array) -> Array:
        """Logits with the prior corrected, before temperature."""
        raw: Array = np.asarray(logits, np.float64) + (self.before + self.after)
        return raw

    def calibrated(self, logits: Array) -> Array:
        """Logits with the prior corrected, after temperature."""
        calibrated: Array = self.beta * (np.asarray(logits, np.float64) + self.before) + self.after
        return calibrated


def fit_readout(logits: Array, valid: Part, *, before: Array, after: Array) -> Readout:
    """Fit the temperature on the logits of the validation rows."""
    beta, _ = calibrate(logits + before, valid.codes, valid.weight)
    return Readout(before, beta, after)


def calibrate(
    logits: Array, codes: Array, weight: Array | None, start: float = 1.0
) -> tuple[float, bool]:
    """Inverse temperature, and whether any gives a finite loss (if none does, it is 1)."""
    logits = np.asarray(logits, dtype=np.float64)
    target = logits[np.arange(len(codes)), codes]
    if not np.isfinite(target).all() or not (logits < np.inf).all():
        return 1.0, False
    beta, _ = fit_beta(logits, codes, weight, regularization=_REGULARIZATION, start=start)
    return max(beta, _LEAST_BETA), True
