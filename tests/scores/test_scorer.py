"""Scorers in scikit-learn's model selection, on folds that lack classes."""

import math
import pickle

import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV, KFold, LeaveOneOut, cross_val_score
from sklearn.naive_bayes import GaussianNB

from crossentropy.scores import log_loss, scorer
from crossentropy.scores._scorer import _SCORES


@pytest.mark.parametrize("name", sorted(_SCORES))
def test_folds_of_one_class_each_are_scored(name):
    """iris is sorted by class, so every test fold holds one, which training never saw."""
    x, y = load_iris(return_X_y=True)
    options = {"floor": 1e-6} if name == "log_loss" else {}
    options |= {"k": 2} if name == "top_k_accuracy" else {}
    model = GaussianNB()
    found = cross_val_score(model, x, y, scoring=scorer(name, **options), cv=KFold(3))
    assert not np.isnan(found).any()
    if name == "log_loss":
        np.testing.assert_allclose(found, math.log(1e-6))
    if name == "accuracy":
        np.testing.assert_array_equal(found, 0)


def test_what_training_lacked_costs_infinity():
    x, y = load_iris(return_X_y=True)
    model = GaussianNB().fit(x[:100], y[:100])
    assert scorer("log_loss")(model, x, y) == -math.inf


def test_single_rows_and_strings_and_a_search():
    x, y = load_iris(return_X_y=True)
    x, names = x[::10], np.array(["setosa", "versicolor", "virginica"])[y[::10]]
    bits = scorer("log_loss", base=2, floor=1e-9)
    model = GaussianNB()
    each = cross_val_score(model, x, names, scoring=bits, cv=LeaveOneOut())
    assert each.shape == (15,)
    search = GridSearchCV(
        model, {"var_smoothing": [0.1, 10.0]}, scoring={"bits": bits}, refit="bits", cv=3
    )
    assert search.fit(x, names).best_params_ == {"var_smoothing": 0.1}
    fitted = search.best_estimator_
    expected = log_loss(names, fitted.predict_proba(x), input="proba", base=2)
    assert search.score(x, names) == pytest.approx(-expected)
    weight = np.arange(15)
    expected = log_loss(names, fitted.predict_proba(x), input="proba", base=2, sample_weight=weight)
    assert bits(fitted, x, names, sample_weight=weight) == pytest.approx(-expected)


def test_scorers_print_compare_and_pickle_by_name_and_options():
    one = scorer("log_loss", base=2)
    assert repr(one) == "scorer('log_loss', base=2)"
    assert pickle.loads(pickle.dumps(one)) == one != scorer("log_loss")
    assert len({one, scorer("log_loss", base=2)}) == 1
    with pytest.raises(ValueError, match="did you mean 'log_loss'"):
        scorer("logloss")
