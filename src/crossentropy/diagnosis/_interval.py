"""How sure a mean over rows is: a paired bootstrap that stays cheap for millions of rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from crossentropy._predictions import Array

LEVEL = 0.95
_RESAMPLES = 1000
_GROUPS = 2000  # more rows than that are resampled in random groups of equal size


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
        """Whether all of it is."""
        return self.low > 0


def bootstrap(values: Array, weight: Array, *, seed: int = 0) -> Interval:
    """Percentile interval of the weighted mean of one number per row.

    Of differences between two losses of each row it is the paired bootstrap. Where there are
    more than 2000 rows, random groups of them are resampled: as wide, and as fast as 2000 rows.
    """
    rng = np.random.default_rng(seed)
    count = min(len(values), _GROUPS)
    group = np.arange(len(values)) % count
    if count < len(values):
        rng.shuffle(group)
    total = np.bincount(group, weights=weight * values, minlength=count)
    mass = np.bincount(group, weights=weight, minlength=count)
    times = rng.multinomial(count, np.full(count, 1 / count), size=_RESAMPLES)
    drawn = times @ mass
    means = (times @ total)[drawn > 0] / drawn[drawn > 0]
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(low), float(high))


def wilson(share: float, count: float) -> Interval:
    """Wilson's interval of a share that was seen in so many rows."""
    z = 1.959963984540054  # of the normal distribution, for 95 %
    if count <= 0:
        return Interval(0.0, 1.0)
    centre = (share + z * z / (2 * count)) / (1 + z * z / count)
    spread = share * (1 - share) / count + (z / (2 * count)) ** 2
    half = z * float(np.sqrt(spread)) / (1 + z * z / count)
    return Interval(max(0.0, centre - half), min(1.0, centre + half))
