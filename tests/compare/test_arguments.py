"""Bad input ends with one sentence that says what to do."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch

from crossentropy._compare import compare

from .conftest import QUICK, a_study

X = np.arange(40.0).reshape(20, 2)
Y = np.arange(20) % 2


def with_one(values, place, value):
    changed = np.array(values, dtype=object if isinstance(value, str) or value is None else float)
    changed[place] = value
    return changed


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"y": np.zeros(20)}, r"only the class 0\.0; a comparison needs at least two"),
        ({"y": np.array([])}, "X has 20 rows but y has 0"),
        ({"y": Y[:19]}, "X has 20 rows but y has 19"),
        ({"y": np.eye(2)[Y]}, r"one label per row.*\(20, 2\)"),
        ({"y": with_one(Y, 3, np.nan)}, "lacks a label in row 3 and 1 rows in all"),
        ({"y": with_one(Y, 3, None)}, "lacks a label in row 3"),
        ({"y": with_one(Y, 3, np.inf)}, "y is infinite in row 3"),
        ({"y": with_one(Y, 3, 7)}, r"class 7\.0 has 1 row, fewer than the 3 .* merge the class"),
        ({"y": ["a"] * 2 + ["b"] * 18}, "class 'a' has 2 rows.*use at most 2 folds"),
        ({"X": np.zeros((30, 1)), "y": np.linspace(0, 1, 30)}, "looks like regression"),
        ({"X": with_one(X, (5, 1), np.inf)}, "column 1 of X is infinite in row 5"),
        ({"X": X[0]}, r"table of shape \(n_rows, n_features\), got \(2,\)"),
        ({"X": X[:, :0]}, "table of shape"),
        ({"X": scipy.sparse.eye_array(20)}, "sparse matrix; pass a dense one"),
        ({"losses": ["focus"]}, "unknown loss 'focus'; did you mean 'focal'"),
        ({"head": "cnn"}, "head must be one of mlp, linear, got 'cnn'"),
        ({"folds": 1}, "folds must be at least 2, got 1"),
        ({"repeats": 0}, "repeats must be at least 1, got 0"),
        ({"epochs": 0}, "epochs must be at least 1"),
        ({"seed": -1}, "seed must be at least 0"),
        ({"label_noise": 1.0}, "label_noise is the share .* got 1.0"),
        ({"label_noise": -0.1}, "label_noise is the share"),
        ({"long_tail": 0.5}, "long_tail is the ratio .* got 0.5"),
        ({"sample_weight": np.ones(3)}, r"sample_weight must have shape \(20,\)"),
        ({"sample_weight": with_one(np.ones(20), 4, 0.0)}, "must be positive; it is 0 in row 4"),
        ({"groups": np.ones(3)}, r"groups must have shape \(20,\)"),
        ({"groups": Y}, "holds 2 groups, fewer than the 3 folds"),
        ({"groups": with_one(Y, 4, None)}, "groups has missing values"),
        ({"deploy_prior": [1.0]}, "a share for each of the 2 classes"),
        ({"deploy_prior": [1.0, 0.0]}, "must be positive and sum to 1"),
        ({"deploy_prior": [0.2, 0.2]}, "must be positive and sum to 1"),
        ({"deploy_prior": {"0": 0.5, "2": 0.5}}, "must have the classes 0, 1; got 0, 2"),
        ({"test": X}, "must be a tuple"),
        ({"test": (X, Y[:3])}, "20 rows but the y of the test rows has 3"),
        ({"test": (X, Y + 1)}, r"hold the class 2 \(row 1\), which the training rows lack"),
        ({"test": (X[:, :1], Y)}, r"shape \(n_rows, 2\), got \(20, 1\)"),
        ({"test": (X[:0], Y[:0])}, "there are no test rows"),
        ({"test": (X, Y, np.zeros(20))}, "weight of test rows must be positive"),
        ({"model": lambda classes: torch.nn.Linear(2, 3)}, r"shape \(2, 2\); it returned \(2, 3\)"),
        ({"model": lambda classes: 3}, "returned int"),
        ({"model": torch.nn.Linear, "X": with_one(X, (5, 1), np.nan)}, "not finite in row 5"),
        ({"model": torch.nn.Linear, "X": X[:, 0]}, r"shape \(n_rows, \.\.\.\)"),
        ({"model": torch.nn.Linear, "X": X.astype(str)[:, :1] + "x"}, "must be a numeric array"),
    ],
)
def test_bad_arguments(changes, message):
    given = {"X": X, "y": Y} | changes
    with pytest.raises(ValueError, match=message):
        a_study(given.pop("X"), given.pop("y"), **given)


def test_jobs_must_be_positive():
    with pytest.raises(ValueError, match="jobs must be at least 1, got 0"):
        compare(X, Y, **QUICK | {"jobs": 0})


@pytest.mark.parametrize(
    ("y", "classes"),
    [
        (["b", "a"], ["a", "b"]),
        (pd.Series(["b", "a"], dtype="category"), ["a", "b"]),
        (pd.Series(["b", "a"]), ["a", "b"]),
        ([True, False], [False, True]),
        (pd.Series([2, 1], dtype="Int64"), [1, 2]),
        (np.array([2, 1], dtype=object), [1, 2]),
        (np.array(["x", 1], dtype=object), ["1", "x"]),
        ([0.5, -1.0], [-1.0, 0.5]),
        (np.array(["2020-01-02", "2020-01-01"], "M8[D]"), ["2020-01-01", "2020-01-02"]),
    ],
)
def test_labels_of_any_type(y, classes):
    labels = pd.concat([pd.Series(y)] * 10) if isinstance(y, pd.Series) else np.tile(y, 10)
    study = a_study(X, labels)
    assert study.classes.tolist() == classes
    np.testing.assert_array_equal(study.codes, np.tile([1, 0], 10))


def test_a_prior_by_label_is_put_in_order():
    study = a_study(X, np.where(Y, "yes", "no"), deploy_prior={"yes": 0.1, "no": 0.9})
    np.testing.assert_allclose(study.protocol.deploy_prior, [0.9, 0.1])


def test_weights_of_either_part_fill_the_other_with_ones():
    assert a_study(X, Y, test=(X, Y)).weight is None
    study = a_study(X, Y, test=(X, Y, np.full(20, 2.0)))
    np.testing.assert_array_equal(study.weight, np.repeat([1.0, 2.0], 20))
    study = a_study(X, Y, sample_weight=np.full(20, 3.0), test=(X, Y))
    np.testing.assert_array_equal(study.weight, np.repeat([3.0, 1.0], 20))
