"""The maps of logits that calibrators apply, as numbers: NumPy and torch read the same ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from crossentropy import rows

from ._threads import over_blocks

if TYPE_CHECKING:
    from crossentropy._predictions import Array


class LogitMap(NamedTuple):
    """A temperature, then mixing with the uniform distribution, then an affine map.

    With z the logits and C classes, ``x = log[(1 − mixing)·softmax(beta·z) + mixing/C]``, or
    ``beta·z`` without mixing, becomes ``weight·x + bias``.

    Attributes
    ----------
    beta
        Inverse temperature.
    mixing
        Share of the uniform distribution, in [0, 1).
    weight
        (C,) factors, or a (C, C) matrix; None for the identity.
    bias
        (C,) offsets, or None.
    """

    beta: float = 1.0
    mixing: float = 0.0
    weight: Array | None = None
    bias: Array | None = None

    def __call__(self, logits: Array, n_threads: int = 1) -> Array:
        """Calibrated logits; minus infinity stays so, unless there is mixing."""
        x = np.empty(logits.shape)

        def work(part: slice) -> None:
            x[part] = affine(self._tempered(logits[part]), self.weight, self.bias)

        over_blocks(work, x.shape, n_threads)
        return x

    def tempered(self, logits: Array, n_threads: int = 1) -> Array:
        """What the affine map is applied to, in the logits' type."""
        x = np.empty_like(logits)

        def work(part: slice) -> None:
            x[part] = self._tempered(logits[part])

        over_blocks(work, x.shape, n_threads)
        return x

    def _tempered(self, logits: Array) -> Array:
        if self.mixing == 0:
            with np.errstate(invalid="ignore"):  # at beta = 0, where 0 · inf is NaN
                return np.where(np.isneginf(logits), logits, self.beta * logits)
        lse = rows.moments(np.ascontiguousarray(logits), self.beta).lse
        with np.errstate(invalid="ignore", under="ignore"):
            x = self.beta * logits
            x -= lse[:, None]
            np.exp(x, out=x)
        x[np.isneginf(logits)] = 0.0
        x *= 1 - self.mixing
        x += self.mixing / logits.shape[1]
        return np.log(x, out=x)


def affine(x: Array, weight: Array | None, bias: Array | None) -> Array:
    """``weight·x + bias`` of rows x, by class or by a matrix."""
    if weight is not None:
        x = x * weight if weight.ndim == 1 else x @ weight.T
        return x if bias is None else np.add(x, bias, out=x)
    return x if bias is None else x + bias


def laplace(count: int) -> float:
    """Share of the uniform distribution after `count` rows: Laplace's rule of succession."""
    return 1.0 / (count + 1)
