"""Folds for what is fitted on some rows and judged on others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crossentropy._errors import InputError
from crossentropy._fit import stratified_folds

if TYPE_CHECKING:
    from crossentropy._predictions import Array

FOLDS = 5


def folds_of(codes: Array, seed: int = 0) -> tuple[Array, int]:
    """The fold of each row, and how many folds there are: five, or as many as rows."""
    folds = min(FOLDS, len(codes))
    if folds < 2:
        raise InputError("a diagnosis needs at least two rows of positive weight")
    return stratified_folds(codes, folds, seed), folds
