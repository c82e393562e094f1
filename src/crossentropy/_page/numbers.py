"""Figures as text, the same on the page and in the terminal."""

from __future__ import annotations

import math
from typing import TypeAlias

# In results infinity is the string "inf" and what is no number is None, as JSON has neither.
Number: TypeAlias = float | str | None


def to_float(value: Number) -> float:
    """Return the float that a figure in results stands for."""
    return math.nan if value is None else float(value)


def number(value: Number, digits: int = 3) -> str:
    """Return a figure with that many decimals, a true minus sign, and ∞.

    Examples
    --------
    >>> number(-0.41, 2), number("inf")
    ('−0.41', '∞')
    """
    value = to_float(value)
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    text = f"{value:.{digits}f}"
    return text.replace("-", "−") if float(text) else text.lstrip("-")


def percent(value: Number, digits: int = 1) -> str:
    """Return a share in percent, without the sign for it.

    Examples
    --------
    >>> percent(0.931)
    '93.1'
    """
    return number(100 * to_float(value), digits)


def difference(mean: Number, low: Number, high: Number, digits: int = 3) -> str:
    """Return a signed difference and half the width of its interval.

    Examples
    --------
    >>> difference(0.07, 0.05, 0.09, digits=2)
    '+0.07 ± 0.02'
    """
    text = number(mean, digits)
    sign = "+" if to_float(mean) > 0 and text.strip("0.") else ""
    half = (to_float(high) - to_float(low)) / 2
    around = "" if math.isnan(half) else f" ± {number(half, digits)}"
    return f"{sign}{text}{around}"
