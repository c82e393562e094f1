"""The check of a loss's parameters, where the loss is made."""

from __future__ import annotations

import math

from crossentropy._errors import InputError


def at_least(low: float, **parameters: float) -> None:
    """Raise ValueError unless every parameter is a finite number ≥ low."""
    for name, value in parameters.items():
        if not low <= value < math.inf:
            raise InputError(f"{name} must be a number of at least {low}, got {value}")


def between(low: float, high: float, **parameters: float) -> None:
    """Raise ValueError unless every parameter lies in [low, high]."""
    for name, value in parameters.items():
        if not low <= value <= high:
            raise InputError(f"{name} must lie in [{low}, {high}], got {value}")
