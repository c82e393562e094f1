"""Tests of calibration: their statistics by hand, their p-values uniform under the hypothesis."""

import math

import numpy as np
import pytest
from scipy import stats

from crossentropy.scores import _bins, calibration_test
from crossentropy.scores._calibration_test import _greatest_tail, _range_tail, test_of

KINDS = ("ks", "kuiper", "spiegelhalter")


@pytest.mark.parametrize("weighted", [False, True])
def test_statistics_by_hand(classes, weighted):
    weight = classes.weight if weighted else np.ones(400)
    p, right = classes.proba.max(axis=1), classes.proba.argmax(axis=1) == classes.y
    order = p.argsort()
    path = np.cumsum((weight * (right - p))[order]) / weight.sum()
    z = (weight * (right - p) * (1 - 2 * p)).sum() / np.sqrt(
        (weight**2 * (1 - 2 * p) ** 2 * p * (1 - p)).sum()
    )
    expected = {
        "ks": np.abs(path).max(),
        "kuiper": max(path.max(), 0) - min(path.min(), 0),
        "spiegelhalter": z,
    }
    for kind in KINDS:
        found = calibration_test(
            classes.y, classes.logits, input="logits", kind=kind, sample_weight=weight
        )
        assert found.statistic == pytest.approx(expected[kind], rel=1e-9)
    assert found.p_value == pytest.approx(2 * stats.norm.sf(abs(z)), rel=1e-9)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("weighted", [False, True])
def test_p_values_are_uniform_if_the_predictions_are_calibrated(kind, weighted):
    rng = np.random.default_rng(11)
    values = []
    for _ in range(400):
        p = rng.beta(5, 2, 3000)
        weight = rng.uniform(0, 2, 3000) if weighted else None
        values.append(test_of(kind, _bins.distinct(p, rng.random(3000) < p, weight)).p_value)
    assert stats.kstest(values, "uniform").pvalue > 1e-3
    assert 0.02 < np.mean(np.array(values) < 0.05) < 0.09


def test_tails_of_brownian_motion():
    """P(max|B| > x) on both sides of the change of series, and its density of the range."""
    assert _greatest_tail(1 - 1e-9) == pytest.approx(_greatest_tail(1 + 1e-9), abs=1e-8)
    # reflection: P(max B > x) = 2 P(B > x), so P(max |B| > x) → 4 P(B > x) for large x
    assert _greatest_tail(4) == pytest.approx(4 * stats.norm.sf(4), rel=1e-6)
    assert _range_tail(5) == pytest.approx(8 * stats.norm.sf(5), rel=1e-3)
    # Feller: the mean range of Brownian motion on [0, 1] is 2·sqrt(2/π)
    x = np.linspace(0.2, 12, 2000)
    mean = 0.2 + np.trapezoid([_range_tail(each) for each in x], x)
    assert mean == pytest.approx(2 * math.sqrt(2 / math.pi), abs=1e-5)
    # and that of max|B| is sqrt(π/2)
    x = np.linspace(1e-3, 12, 2000)
    mean = 1e-3 + np.trapezoid([_greatest_tail(each) for each in x], x)
    assert mean == pytest.approx(math.sqrt(math.pi / 2), abs=1e-5)


def test_cells_of_a_grid_give_nearly_the_same(confident):
    given = confident.confidence, confident.correct, confident.weight
    for kind in KINDS:
        exact = test_of(kind, _bins.distinct(*given))
        gridded = test_of(kind, _bins.equal_width(*given, 4096))
        assert gridded.p_value == pytest.approx(exact.p_value, abs=0.01)


def test_bold_predictions_are_found(classes):
    for kind in KINDS:
        assert calibration_test(classes.y, classes.logits, input="logits", kind=kind).p_value < 1e-6


def test_what_is_sure_leaves_nothing_to_chance():
    sure = [[1.0, 0.0], [0.0, 1.0]]
    for kind in KINDS:
        right = calibration_test([0, 1], sure, input="proba", kind=kind)
        wrong = calibration_test([1, 1], sure, input="proba", kind=kind, labels=[0, 1])
        assert right == (0, 1)
        assert wrong.p_value == 0
    with pytest.raises(ValueError, match="did you mean 'kuiper'"):
        calibration_test([0, 1], sure, input="proba", kind="kupier")
