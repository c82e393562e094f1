"""The smooth error against its formula, summed over rows and images by hand."""

import numpy as np
import pytest

from crossentropy.scores import _bins
from crossentropy.scores._smooth import GRID, smooth_error


def literal(confidence, residual, width, points=1500):
    """∫|r_σ(t)| dt, the Gaussian reflected at 0 and 1 by images of every row."""
    t = (np.arange(points) + 0.5) / points
    smoothed = np.zeros(points)
    for period in range(-2, 3):
        for sign in (1, -1):
            away = (t[:, None] - 2 * period - sign * confidence) / width
            smoothed += np.exp(-(away**2) / 2) @ residual
    return np.abs(smoothed).mean() / (np.sqrt(2 * np.pi) * width * len(confidence))


@pytest.mark.parametrize("shape", [(4, 2), (1, 1), (0.3, 0.3), (30, 1)])
def test_the_width_equals_the_error_of_the_formula(shape):
    rng = np.random.default_rng(0)
    confidence = rng.beta(*shape, 600)
    correct = rng.random(600) < confidence**1.5
    width = float(smooth_error(_bins.equal_width(confidence, correct, None, GRID)))
    assert literal(confidence, confidence - correct, width) == pytest.approx(width, rel=1e-3)


def test_residuals_of_one_sign_have_their_mean_as_error_however_they_are_smoothed():
    """Mass at the very edge counts in full, where a reflection about a grid point halves it."""
    confidence = np.repeat([1.0, 0.7], [50, 50])
    correct = np.arange(100) % 50 < 30
    error = smooth_error(_bins.equal_width(confidence, correct, None, GRID))
    assert error == pytest.approx((confidence - correct).mean(), rel=1e-9)


def test_no_residual_has_no_error_and_grids_merge():
    sure = np.ones(10)
    assert smooth_error(_bins.equal_width(sure, sure, None, GRID)) == 0
    rng = np.random.default_rng(1)
    confidence, correct = rng.random(999), rng.random(999) < 0.5
    whole = _bins.equal_width(confidence, correct, None, GRID)
    parts = [_bins.equal_width(confidence[i::3], correct[i::3], None, GRID) for i in range(3)]
    merged = parts[2].merged(parts[0]).merged(parts[1])
    assert smooth_error(merged) == pytest.approx(float(smooth_error(whole)), abs=1e-11)


def test_many_grids_at_once():
    rng = np.random.default_rng(2)
    grids = [_bins.equal_width(rng.random(50), rng.random(50) < 0.5, None, 64) for _ in range(3)]
    together = _bins.Bins(*(np.stack(sums) for sums in zip(*grids, strict=True)))
    np.testing.assert_allclose(smooth_error(together), [smooth_error(g) for g in grids])
