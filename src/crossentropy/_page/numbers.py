"""Figures as text, the same on the page and in the terminal."""

from __future__ import annotations

import math
from typing import TypeAlias

# Results that went through JSON hold infinity as the string "inf".
Number: TypeAlias = float | str


def number(value: Number, digits: int = 3) -> str:
    """Return a figure with that many decimals, a true minus sign, and ∞.

    Examples
    --------
    >>> number(-0.41, 2), number("inf")
    ('−0.41', '∞')
    """
    value = float(value)
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
    return number(100 * float(value), digits)


def difference(mean: Number, low: Number, high: Number, digits: int = 3) -> str:
    """Return a signed difference and half the width of its interval.

    Examples
    --------
    >>> difference(0.07, 0.05, 0.09, digits=2)
    '+0.07 ± 0.02'
    """
    sign = "+" if float(mean) > 0 else ""
    return f"{sign}{number(mean, digits)} ± {number((float(high) - float(low)) / 2, digits)}"
