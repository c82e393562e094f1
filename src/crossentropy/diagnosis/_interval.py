"""How sure a mean over rows is: a paired bootstrap that stays cheap for millions of rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from crossentropy._predictions import Array

LEVEL = 0.95
_RESAMPLES = 1000
_ROUNDING = 1e-9
_GROUPS = 1000  # more rows than that are resampled in random groups of equal size


class Interval(NamedTuple):
    """A 95 % confidence interval.

    Attributes
    ----------
    low : float
        Its lower end, in the unit of what it belongs to.
    high : float
        Its upper end.
    """

    low: float
    high: float

    @property
    def above_zero(self) -> bool:
        """Whether all of it is, by more than rounding can do."""
        return self.low > _ROUNDING


class Bootstrap:
    """One set of resamples of the rows, for every mean of a diagnosis.

    Of differences between two losses of each row its intervals are those of the paired
    bootstrap. Where there are more than 1000 rows, random groups of them are resampled: as wide,
    and as fast as 1000 rows.

    Parameters
    ----------
    n_rows
        How many rows there are.
    seed
        Of the resamples and groups.
    """

    def __init__(self, n_rows: int, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self._count = count = min(n_rows, _GROUPS)
        self._group = np.arange(n_rows) % count
        if count < n_rows:
            rng.shuffle(self._group)
        draws = rng.multinomial(count, np.full(count, 1 / count), size=_RESAMPLES)
        self._times = draws.astype(np.float64)

    def interval(self, values: Array, weight: Array) -> Interval:
        """Percentile interval of the weighted mean of one number per row."""
        total, mass = self._times @ self._sums(weight * values), self._times @ self._sums(weight)
        means = total[mass > 0] / mass[mass > 0]
        low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        return Interval(float(low), float(high))

    def _sums(self, values: Array) -> Array:
        return np.bincount(self._group, weights=values, minlength=self._count)


def wilson(share: float, count: float) -> Interval:
    """Wilson's interval of a share that was seen in so many rows."""
    z = 1.959963984540054  # of the normal distribution, for 95 %
    if count <= 0:
        return Interval(0.0, 1.0)
    centre = (share + z * z / (2 * count)) / (1 + z * z / count)
    spread = share * (1 - share) / count + (z / (2 * count)) ** 2
    half = z * float(np.sqrt(spread)) / (1 + z * z / count)
    return Interval(max(0.0, centre - half), min(1.0, centre + half))
