"""A distribution along the last axis, given as probabilities, their logarithms or logits."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from crossentropy._arrays import Array, namespace
from crossentropy._errors import InputError

from ._arguments import Input, constant, first, least_normal, position
from ._stable import log_softmax, logsumexp

# How far a sum may be from one, by the bytes of a number. Results of float32 are often kept in
# float64 arrays.
_TOLERANCE = {1: 0.1, 2: 2e-2, 4: 3.5e-4}
_LEAST_TOLERANCE = 1e-6


class Kind(NamedTuple):
    """What the numbers of an argument are, and how they are checked.

    Attributes
    ----------
    name
        The argument's name, for errors.
    input
        Probabilities, their logarithms or logits.
    size
        Bytes of a number as it was given.
    normalize
        Whether to divide by the sum.
    """

    name: str
    input: Input
    size: int
    normalize: bool


class Distribution:
    """Probabilities and log-probabilities along the last axis, each computed once, if at all."""

    def __init__(self, values: Array, kind: Kind) -> None:
        self.kind = kind
        self.xp: Any = namespace(values)
        self.given = values
        self.logarithmic = kind.input != "proba"
        self._log: Array | None = None
        self._proba: Array | None = None
        self._total: Array | None = None
        # NumPy's arrays alone can be asked for a number at no cost, and outside any compiler.
        known = not self.logarithmic and isinstance(values, np.ndarray)
        self._least = float(values.min(initial=math.inf)) if known else math.nan

    @property
    def positive(self) -> bool:
        """Whether it is known that no probability is 0."""
        return self._least > 0

    # Kept by hand: the lock of a cached_property stops torch's compiler.

    @property
    def log(self) -> Array:
        """Log-probabilities, of what is not given as probabilities."""
        if self._log is None:
            raw = self.kind.input == "logits" or self.kind.normalize
            self._log = log_softmax(self.given) if raw else self.given
        return self._log

    @property
    def proba(self) -> Array:
        """Probabilities; what is too small for the type is 0."""
        if self._proba is None:
            self._proba = self.given
            if self.logarithmic:
                self._proba = self.xp.exp(self.log)
            elif self.kind.normalize:
                self._proba = self.given / self.xp.sum(self.given, axis=-1, keepdims=True)
        return self._proba

    @property
    def total(self) -> Array:
        """Sum of the probabilities, one as far as rounding allows."""
        if self._total is None:
            self._total = self.xp.sum(self.proba, axis=-1)
        return self._total

    @property
    def present(self) -> Array:
        """Where the probability is not 0."""
        return self.proba != 0

    def log_where(self, wanted: Distribution) -> Array:
        """Log-probabilities, finite where another distribution has no mass.

        There 0·log 0 is 0, in the derivatives too; where it has mass, log 0 is minus infinity.
        """
        xp, least = self.xp, least_normal(self.given)
        if self.logarithmic:
            known = wanted.present | (self.log != -math.inf)
            return xp.where(known, self.log, constant(math.log(least), self.log))
        if self.positive:
            return xp.log(self.proba)
        known = wanted.present if wanted is self else wanted.present | self.present
        return xp.log(xp.where(known, self.proba, constant(least, self.proba)))

    def __getitem__(self, rows: Array) -> Distribution:
        return Distribution(self.given[rows], self.kind)

    # ---- validation ---------------------------------------------------------------------------

    def bad_rows(self) -> Array:
        """Which rows are no distribution; NaN never is one."""
        xp = self.xp
        if self.kind.input == "logits" or (self.logarithmic and self.kind.normalize):
            return ~xp.isfinite(logsumexp(self.given))
        if self.kind.normalize:
            total = xp.sum(self.given, axis=-1)
            good = (total > 0) & xp.isfinite(total)
        else:
            tolerance = _TOLERANCE.get(self.kind.size, _LEAST_TOLERANCE)
            good = xp.abs(self.total - 1) <= tolerance
        if self.logarithmic or self._least >= 0:
            return ~good
        return ~(good & xp.all(self.given >= 0, axis=-1))

    def reject(self, bad: Array, shape: tuple[int, ...], start: int) -> None:
        """Raise for the first bad row, of rows that are part of an array of a shape."""
        index = first(bad)
        row = self.xp.reshape(self.given, (-1, self.given.shape[-1]))[index, ...]
        at = position(start + index, shape)
        which = self.kind.name if at is None else f"row {at} of {self.kind.name}"
        raise InputError(f"{self._rule()}; {which} is {_shown(row)}")

    def _rule(self) -> str:
        if self.kind.input == "logits" or (self.logarithmic and self.kind.normalize):
            return f"{self.kind.input} must be below infinity, and not all of a row minus infinity"
        if self.kind.normalize:
            return "what is to be normalised must be nonnegative and have a positive, finite sum"
        if self.logarithmic:
            return (
                "the exponentials of log-probabilities must sum to one (input= says what is "
                "given, normalize=True divides by the sum)"
            )
        return (
            "probabilities must be nonnegative and sum to one (input= says if logarithms or "
            "logits are given, normalize=True divides by the sum)"
        )


def _shown(row: Array) -> str:
    """The ends of a row, and the sum."""
    numbers = np.asarray([float(value) for value in row])
    return np.array2string(numbers, threshold=6, edgeitems=3, precision=4)
