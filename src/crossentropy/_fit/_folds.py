"""Folds for what is fitted on some rows and judged on others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from crossentropy._errors import InputError

if TYPE_CHECKING:
    from crossentropy._predictions import Array


def stratified_folds(codes: Array, folds: int, seed: int = 0) -> Array:
    """The fold of each row, every class spread evenly over them; rare ones over some."""
    if not 2 <= folds <= len(codes):
        raise InputError(f"folds must be between 2 and the {len(codes)} rows, got {folds}")
    mixed = np.random.default_rng(seed).permutation(len(codes))
    by_class = mixed[np.argsort(codes[mixed], kind="stable")]
    fold = np.empty(len(codes), dtype=np.int64)
    fold[by_class] = np.arange(len(codes)) % folds
    return fold
