"""Sums over bins: filled in any parts, merged in any order, and what chance makes of them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossentropy.scores import _bins
from crossentropy.scores._bins import Bins

ERRORS = (_bins.expected_error, _bins.maximum_error, _bins.debiased_error)


def close(one, other):
    for a, b in zip(one, other, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 60), st.integers(1, 20), st.booleans())
def test_parts_merge_to_the_whole_and_edges_belong_to_the_bin_below(seed, count, bins, weighted):
    rng = np.random.default_rng(seed)
    confidence = np.where(rng.random(count) < 0.5, rng.integers(0, 9, count) / 8, rng.random(count))
    correct = rng.random(count) < 0.5
    weight = rng.uniform(0, 3, count) if weighted else None
    whole = _bins.equal_width(confidence, correct, weight, bins)
    cut = count // 3
    parts = [
        _bins.equal_width(confidence[s], correct[s], None if weight is None else weight[s], bins)
        for s in (slice(cut), slice(cut, None))
    ]
    close(parts[0].merged(parts[1]), whole)
    close(parts[1].merged(parts[0]), whole)
    w = np.ones(count) if weight is None else weight
    for k in range(bins):
        inside = (confidence > k / bins) & (confidence <= (k + 1) / bins)
        inside |= (confidence == 0) & (k == 0)
        assert whole.weight[k] == pytest.approx(w[inside].sum())
        assert whole.square[k] == pytest.approx((w[inside] ** 2).sum())
        assert whole.confidence[k] == pytest.approx((w * confidence)[inside].sum())
        assert whole.correct[k] == pytest.approx((w * correct)[inside].sum())


@pytest.mark.parametrize("weighted", [False, True])
def test_classwise_bins_are_each_class_against_the_rest(classes, weighted):
    weight = classes.weight if weighted else None
    together = _bins.classwise(classes.proba, classes.y, weight, 7)
    for k in range(5):
        close(together.at(k), _bins.equal_width(classes.proba[:, k], classes.y == k, weight, 7))


def test_equal_mass_bins_weigh_the_same_and_keep_ties_together():
    rng = np.random.default_rng(0)
    confidence = rng.permutation(np.arange(100) / 100)
    cells = _bins.distinct(confidence, confidence > 0.3, None)
    np.testing.assert_array_equal(_bins.equal_mass(cells, 4).weight, 25)
    tied = np.repeat([0.2, 0.9], [70, 30])
    bins = _bins.equal_mass(_bins.distinct(tied, tied > 1, None), 10)
    assert sorted(bins.weight[bins.weight > 0]) == [30, 70]
    assert bins.confidence.sum() == pytest.approx(tied.sum())


def test_equal_mass_from_a_fine_grid_is_close(confident):
    given = confident.confidence, confident.correct, confident.weight
    exact = _bins.equal_mass(_bins.distinct(*given), 15)
    coarse = _bins.equal_mass(_bins.equal_width(*given, 4096), 15)
    np.testing.assert_allclose(coarse.weight, exact.weight, atol=0.01 * exact.weight.sum())
    assert _bins.debiased_error(coarse) == pytest.approx(_bins.debiased_error(exact), abs=2e-3)


def test_errors_by_hand():
    """Two rows at .6, of which one is right, and three at .9, all right."""
    confidence = np.array([0.6, 0.6, 0.9, 0.9, 0.9])
    bins = _bins.equal_width(confidence, np.array([1, 0, 1, 1, 1]), None, 2).merged(
        Bins(*np.zeros((4, 2)))
    )
    assert _bins.expected_error(bins) == pytest.approx(abs(4 / 5 - 3.9 / 5))
    bins = _bins.equal_width(confidence, np.array([1, 0, 1, 1, 1]), None, 5)
    assert _bins.expected_error(bins) == pytest.approx(2 / 5 * 0.1 + 3 / 5 * 0.1)
    assert _bins.maximum_error(bins) == pytest.approx(0.1)
    # squares .01 each, less ȳ(1 − ȳ)/(n − 1) = .25 in the first
    assert _bins.debiased_square(bins) == pytest.approx(2 / 5 * (0.01 - 0.25) + 3 / 5 * 0.01)
    assert _bins.debiased_error(bins) == 0


@pytest.mark.parametrize("error", ERRORS)
def test_errors_do_not_depend_on_the_scale_of_the_weights(confident, error):
    one = _bins.equal_width(confident.confidence, confident.correct, confident.weight, 15)
    other = _bins.equal_width(confident.confidence, confident.correct, 7 * confident.weight, 15)
    assert error(one) == pytest.approx(float(error(other)), rel=1e-9)


def test_a_draw_is_worked_on_like_the_bins_themselves(confident):
    bins = _bins.equal_width(confident.confidence, confident.correct, confident.weight, 15)
    rng = np.random.default_rng(0)
    for chance in (_bins.resampled, _bins.if_calibrated):
        drawn = chance(bins, 5, rng)
        for error in ERRORS:
            each = [error(Bins(*(s if s.ndim == 1 else s[k] for s in drawn))) for k in range(5)]
            np.testing.assert_allclose(error(drawn), each)


def test_resampled_sums_vary_as_those_of_resampled_rows(confident):
    """Mean and spread of each bin's gap against a bootstrap that draws the rows themselves."""
    c, w = confident, confident.weight
    bins = _bins.equal_width(c.confidence, c.correct, w, 5)
    rng = np.random.default_rng(0)
    drawn = _bins.resampled(bins, 4000, rng)
    rows = rng.poisson(1, (1500, len(w)))
    by_row = [_bins.equal_width(c.confidence, c.correct, w * n, 5) for n in rows]
    for name in ("weight", "correct"):
        sums, expected = getattr(drawn, name), np.array([getattr(b, name) for b in by_row])
        np.testing.assert_allclose(sums.mean(0)[1:], expected.mean(0)[1:], rtol=0.03)
        # rows share their bin's mean weight: right for the sums, whose variance is the sum of w²
        np.testing.assert_allclose(sums.std(0)[1:], expected.std(0)[1:], rtol=0.12)


def test_calibrated_sums_vary_as_calibrated_labels_do(confident):
    c = confident
    bins = _bins.equal_width(c.confidence, c.correct, c.weight, 15)
    drawn = _bins.if_calibrated(bins, 4000, np.random.default_rng(0)).correct
    rows = (np.random.default_rng(1).random((2000, 3000)) < c.confidence) * c.weight
    edges = np.clip(np.ceil(c.confidence * 15).astype(int) - 1, 0, 14)
    for k in range(4, 15):
        expected = rows[:, edges == k].sum(axis=1)
        assert drawn[:, k].mean() == pytest.approx(expected.mean(), rel=0.02)
        assert drawn[:, k].std() == pytest.approx(expected.std(), rel=0.15)


def test_wilson_by_its_defining_equation():
    bins = _bins.equal_width(np.full(20, 0.5), np.arange(20) < 7, None, 1)
    for edge in _bins.wilson(bins, 1.96):
        # the edges are where |ȳ − p| = 1.96·sqrt(p(1 − p)/n)
        assert abs(0.35 - edge[0]) == pytest.approx(1.96 * np.sqrt(edge[0] * (1 - edge[0]) / 20))
