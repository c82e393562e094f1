"""How thoroughly to measure."""

from __future__ import annotations

from typing import NamedTuple


class Effort(NamedTuple):
    """How long each candidate is measured, and whether only the telling sizes are.

    Attributes
    ----------
    seconds
        About so long for each candidate of a comparison.
    least
        Rounds that even the slowest candidate runs.
    quick
        Whether sections leave out what a first look can do without.
    """

    seconds: float = 0.6
    least: int = 7
    quick: bool = False


QUICK = Effort(seconds=0.06, least=3, quick=True)
