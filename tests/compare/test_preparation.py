"""Corruption and division of training rows."""

from __future__ import annotations

import numpy as np
import pytest

from crossentropy._compare._preparation import class_counts, divide, flip, prepare, thin

from .conftest import a_study


def rng():
    return np.random.default_rng(0)


def test_noise_goes_to_all_other_classes_alike():
    codes = np.repeat(np.arange(4), 5000)
    noisy = flip(codes, 0.3, 4, rng())
    assert np.mean(noisy != codes) == pytest.approx(0.3, abs=0.01)
    for label in range(4):
        shares = np.bincount(noisy[codes == label], minlength=4) / 5000
        np.testing.assert_allclose(np.delete(shares, label), 0.1, atol=0.015)
    np.testing.assert_array_equal(flip(codes, 0.0, 4, rng()), codes)


def test_the_tail_falls_exponentially():
    codes = rng().permutation(np.repeat(np.arange(3), [100, 400, 300]))
    rows = np.arange(1000, 1800)
    kept = thin(rows, codes, 100, rng())
    np.testing.assert_array_equal(np.bincount(codes[kept - 1000]), [4, 400, 40])
    np.testing.assert_array_equal(thin(rows, codes, 1, rng()), rows)
    assert np.bincount(codes[thin(rows, codes, 1e9, rng()) - 1000]).min() == 2


def test_counts_are_weighted_and_never_zero(iris):
    X, y = iris
    weight = np.where(y == 0, 2.0, 0.5)
    study = a_study(X, y, sample_weight=10 * weight)
    np.testing.assert_allclose(
        class_counts(study, np.arange(150), y), weight.mean() ** -1 * np.array([100, 25, 25])
    )
    np.testing.assert_allclose(class_counts(study, np.arange(50), np.zeros(50, int)), [50, 1, 1])


def test_parts_are_stratified_and_keep_groups(iris):
    X, y = iris
    for most, part in divide(a_study(X, y), np.arange(150), 5, seed=0):
        assert list(np.bincount(y[part])) == [10, 10, 10]
        assert not set(most) & set(part)
    groups = np.arange(150) // 2
    for most, part in divide(a_study(X, y, groups=groups), np.arange(150), 5, seed=0):
        assert not set(groups[most]) & set(groups[part])


def test_training_rows_of_one_group_cannot_be_divided(iris):
    study = a_study(*iris, folds=2, groups=np.arange(150) % 2)
    with pytest.raises(ValueError, match="belong to one group"):
        divide(study, np.arange(0, 150, 2), 5, seed=0)


def test_clean_validation_keeps_noise_to_the_fit_rows(iris):
    X, y = iris
    for clean in (False, True):
        study = a_study(X, y, label_noise=0.5, clean_validation=clean)
        prepared = prepare(study, np.arange(150), rng(), corrupt=True)
        _, valid = divide(study, np.arange(150), 5, int(rng().integers(2**31)))[0]
        assert np.array_equal(prepared.valid.codes, y[valid]) == clean
        assert len(prepared.fit.codes) == 120
        study = a_study(X, y, label_noise=0.5, clean_validation=clean)
        refit = prepare(study, np.arange(150), rng(), corrupt=False)
        np.testing.assert_array_equal(refit.valid.codes, y[valid])


def test_the_prior_of_deployment(iris):
    X, y = iris
    plain = prepare(a_study(X, y), np.arange(150), rng(), corrupt=True)
    np.testing.assert_array_equal(plain.to_deployment, 0)
    tail = prepare(a_study(X, y, long_tail=25), np.arange(150), rng(), corrupt=True)
    np.testing.assert_allclose(
        tail.to_deployment, np.log(1 / 3) - np.log(tail.counts / tail.counts.sum())
    )
    given = prepare(
        a_study(X, y, deploy_prior=[0.5, 0.3, 0.2]), np.arange(150), rng(), corrupt=True
    )
    np.testing.assert_allclose(given.to_deployment, np.log([1.5, 0.9, 0.6]))
