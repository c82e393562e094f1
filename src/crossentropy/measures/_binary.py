"""A yes or no: both sides' probabilities and logarithms, whatever was given."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from crossentropy._arrays import Array

from ._arguments import Input, constant, least_normal, reject_entry
from ._stable import log_sigmoid, sigmoid


def check_probabilities(values: Array, kind: Input) -> None:
    """Raise for an entry that is no probability, no logarithm of one, or no logit."""
    if kind == "proba":
        reject_entry(
            ~((values >= 0) & (values <= 1)),
            values,
            "probabilities must lie in [0, 1] (input= says if logarithms or logits are given)",
        )
    elif kind == "log_proba":
        reject_entry(
            ~(values <= 0),
            values,
            "log-probabilities must be at most 0 (input= says if probabilities are given)",
        )
    else:
        reject_entry(values != values, values, "logits must be numbers")


class BinaryLogs(NamedTuple):
    """Both sides of probabilities, log-probabilities or logits of yes, on demand."""

    xp: Any
    values: Array
    kind: Input

    def shares(self) -> tuple[Array, Array]:
        """Probabilities of yes and of no."""
        if self.kind == "proba":
            return self.values, 1 - self.values
        if self.kind == "log_proba":
            return self.xp.exp(self.values), -self.xp.expm1(self.values)
        return sigmoid(self.values), sigmoid(-self.values)

    def log_yes(self, share: Array) -> Array:
        """Logarithm of yes, finite where it is impossible and has no share."""
        silent = share == 0
        if self.kind == "proba":
            return self.xp.log(self._replaced(silent & (self.values == 0), self.values))
        log = log_sigmoid(self.values) if self.kind == "logits" else self.values
        return self._bounded(silent, log)

    def log_no(self, share: Array) -> Array:
        """Logarithm of no, finite where it is impossible and has no share."""
        xp, silent = self.xp, share == 0
        if self.kind == "logits":
            return self._bounded(silent, log_sigmoid(-self.values))
        if self.kind == "proba":
            certain = silent & (self.values == 1)
            log = xp.log1p(-xp.where(certain, constant(0.0, self.values), self.values))
        else:
            certain = silent & (self.values == 0)
            log = _log_rest(xp, xp.where(certain, constant(-1.0, self.values), self.values))
        return xp.where(certain, constant(math.log(least_normal(log)), log), log)

    def _replaced(self, where: Array, values: Array) -> Array:
        return self.xp.where(where, constant(least_normal(values), values), values)

    def _bounded(self, silent: Array, log: Array) -> Array:
        least = constant(math.log(least_normal(log)), log)
        return self.xp.where(silent & (log == -math.inf), least, log)


def _log_rest(xp: Any, log_p: Array) -> Array:
    """log(1 − p) from log p: by expm1 near p = 1, by log1p near 0."""
    near = log_p > -math.log(2)
    half = constant(-math.log(2), log_p)
    return xp.where(
        near,
        xp.log(-xp.expm1(xp.where(near, log_p, half))),
        xp.log1p(-xp.exp(xp.where(near, half, log_p))),
    )
