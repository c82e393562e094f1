"""Intervals and decisions against the formulas of their papers."""

from __future__ import annotations

import math

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from scipy import stats

from crossentropy._compare._statistics import Estimate, holm, over_rows, over_splits, unadjusted

DIFFERENCES = np.array([-0.3, -0.1, -0.25, -0.2, -0.4, -0.15])


def test_nadeau_bengio_by_hand():
    estimate = over_splits(DIFFERENCES, ratio=0.25)
    error = math.sqrt((1 / 6 + 0.25) * DIFFERENCES.var(ddof=1))
    assert estimate == pytest.approx((DIFFERENCES.mean(), error, 5))
    assert estimate.p_value == pytest.approx(2 * stats.t.cdf(DIFFERENCES.mean() / error, 5))


def test_without_overlap_it_is_the_t_test():
    found = unadjusted(over_splits(DIFFERENCES, ratio=0.0), lower_is_better=True)
    expected = stats.ttest_1samp(DIFFERENCES, 0)
    interval = expected.confidence_interval(0.95)
    assert found[:4] == pytest.approx(
        (DIFFERENCES.mean(), interval.low, interval.high, expected.pvalue)
    )
    assert found.verdict == "better"
    assert unadjusted(over_splits(DIFFERENCES, 0.0), lower_is_better=False).verdict == "worse"


def test_over_rows_is_the_t_test_of_rows():
    rng = np.random.default_rng(0)
    rows = rng.normal(0.1, 1, 50)
    estimate = over_rows(rows, None, np.zeros(50, int))
    assert estimate == pytest.approx((rows.mean(), stats.sem(rows), 49))
    assert over_rows(rows, np.full(50, 7.0), np.zeros(50, int)) == pytest.approx(estimate)


def test_over_rows_averages_strata():
    rng = np.random.default_rng(0)
    strata = np.repeat([0, 2], [10, 40])
    rows = rng.normal(size=50) + strata
    estimate = over_rows(rows, None, strata)
    parts = rows[:10], rows[10:]
    assert estimate.mean == pytest.approx(np.mean([part.mean() for part in parts]))
    variance = sum(part.var() / len(part) for part in parts) / 4
    assert estimate.error == pytest.approx(math.sqrt(variance * 50 / 48))
    assert estimate.df == 48


@given(
    st.lists(
        st.tuples(st.floats(-3, 3), st.floats(0.01, 2), st.integers(1, 20)), min_size=1, max_size=9
    )
)
def test_intervals_exclude_zero_exactly_when_holm_rejects(drawn):
    estimates = {str(k): Estimate(*values) for k, values in enumerate(drawn)}
    decided = holm(estimates, lower_is_better=True)
    p_values = sorted((estimate.p_value, name) for name, estimate in estimates.items())
    rejecting = True
    for step, (p_value, name) in enumerate(p_values):
        rejecting = rejecting and p_value < 0.05 / (len(p_values) - step)
        assert (decided[name].verdict != "undecided") == rejecting
        assert decided[name].p_value == p_value


def test_the_level_stays_where_holm_stops():
    estimates = {"a": Estimate(-1, 0.01, 9), "b": Estimate(-1, 0.9, 9), "c": Estimate(-1, 0.8, 9)}
    decided = holm(estimates, lower_is_better=True)
    assert [decided[name].verdict for name in "abc"] == ["better", "undecided", "undecided"]
    for name, level in (("a", 0.05 / 3), ("b", 0.05 / 2), ("c", 0.05 / 2)):
        half = stats.t.isf(level / 2, 9) * estimates[name].error
        assert decided[name].high - decided[name].mean == pytest.approx(half)


def test_infinite_and_missing_differences_win_nothing():
    infinite = over_splits(np.array([0.1, np.inf]), 0.25)
    both = over_splits(np.array([0.1, np.nan]), 0.25)
    saved = over_splits(np.array([0.1, -np.inf]), 0.25)
    single = over_splits(np.array([-0.5]), 0.25)
    found = holm(
        {"inf": infinite, "nan": both, "-inf": saved, "one": single, "none": Estimate(0, 0, 3)},
        lower_is_better=True,
    )
    verdicts = {name: difference.verdict for name, difference in found.items()}
    assert verdicts == {
        "inf": "worse",
        "nan": "undecided",
        "-inf": "undecided",
        "one": "undecided",
        "none": "undecided",
    }
    assert all(difference.p_value == 1 for difference in found.values())
    row = over_rows(np.array([np.inf, 0.0]), None, np.zeros(2, int))
    assert unadjusted(row, lower_is_better=True).verdict == "worse"
    assert found["none"][:3] == (0, 0, 0)
