"""The smooth calibration error, from residual sums on a fine grid of confidences.

The grid is that of `Bins` of equal width, whose sums add up, so the error can be streamed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ._bins import Bins

if TYPE_CHECKING:
    from crossentropy._predictions import Array

GRID = 4096  # cells: far finer than the width at which a million rows are smoothed
HALVINGS = 40  # of the interval of widths, to 1e-12


def smooth_error(grid: Bins, halvings: int = HALVINGS) -> Array:
    r"""Smooth calibration error of (..., cells) of equal width: (...).

    Residuals p - y are smoothed by a Gaussian of width :math:`\sigma`, reflected at 0 and 1, and
    the error :math:`\int |r_\sigma(t)| dt` is taken at the width that equals it. Errors fall with
    the width, from the sum of the cells' residuals without their signs to that with, so there is
    one such width, and halving finds it. The reflected Gaussian is a
    factor of each cosine of the residuals, so that a width costs one Fourier transform.

    References
    ----------
    J. Błasiok, P. Nakkiran, "Smooth ECE: principled reliability diagrams via kernel smoothing",
    ICLR 2024.
    """
    cells = grid.weight.shape[-1]
    residual = (grid.confidence - grid.correct) / grid.weight.sum(axis=-1, keepdims=True)
    spectrum = np.fft.rfft(np.concatenate([residual, residual[..., ::-1]], axis=-1))
    decay = -((np.pi * np.arange(cells + 1)) ** 2) / 2

    def error(width: Array) -> Array:
        smoothed = np.fft.irfft(spectrum * np.exp(decay * width[..., None] ** 2), n=2 * cells)
        total: Array = np.abs(smoothed[..., :cells]).sum(axis=-1)
        return total

    low, high = np.abs(residual.sum(axis=-1)), np.abs(residual).sum(axis=-1)
    for _ in range(halvings):
        middle = (low + high) / 2
        above = error(middle) > middle
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    width: Array = (low + high) / 2
    return width
