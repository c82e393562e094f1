"""Folds for what is fitted on some rows and judged on others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from crossentropy._errors import InputError

if TYPE_CHECKING:
    from crossentropy._predictions import Array

FOLDS = 5


def stratified_folds(codes: Array, seed: int = 0) -> tuple[Array, int]:
    """The fold of each row, every class spread evenly, and how many folds there are."""
    folds = min(FOLDS, len(codes))
    if folds < 2:
        raise InputError("a diagnosis needs at least two rows of positive weight")
    mixed = np.random.default_rng(seed).permutation(len(codes))
    by_class = mixed[np.argsort(codes[mixed], kind="stable")]
    fold = np.empty(len(codes), dtype=np.int64)
    fold[by_class] = np.arange(len(codes)) % folds
    return fold, folds
