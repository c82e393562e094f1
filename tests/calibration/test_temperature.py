"""The temperature against a general optimizer, and at the edges where there is none."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp, softmax
from sklearn.base import clone
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from crossentropy.calibration import TemperatureScaling

SEPARABLE = np.array([[2.0, 0.0], [0.0, 1.0]]), np.array([0, 1])


def draw(seed, rows=300, classes=4, scale=3.0):
    """Logits that know something about the labels, and are overconfident by `scale`."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(rows, classes))
    y = np.array([rng.choice(classes, p=p) for p in softmax(logits, axis=1)])
    return scale * logits, y, rng.uniform(0.1, 2, rows)


def reference(logits, y, weight, regularization):
    def objective(log_beta):
        beta = math.exp(log_beta)
        rows = logsumexp(beta * logits, axis=1) - beta * logits[np.arange(len(y)), y]
        return np.average(rows, weights=weight) + regularization / (2 * len(y)) * (beta - 1) ** 2

    found = minimize_scalar(objective, bounds=(-25, 25), options={"xatol": 1e-10}, method="bounded")
    return math.exp(found.x)


@pytest.mark.parametrize("scale", [1e-6, 0.1, 1.0, 3.0, 1e6])
@pytest.mark.parametrize("classes", [2, 10])
def test_the_temperature_is_the_optimum(scale, classes):
    logits, y, _ = draw(0, classes=classes, scale=scale)
    fitted = TemperatureScaling().fit(logits, y)
    assert fitted.beta_ == pytest.approx(reference(logits, y, None, 0.0), rel=1e-6)
    assert fitted.temperature_ == pytest.approx(scale, rel=0.25)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("regularization", [0.0, 1.0, 100.0])
def test_weights_and_regularization(seed, regularization):
    logits, y, weight = draw(seed)
    fitted = TemperatureScaling(regularization=regularization).fit(logits, y, weight)
    assert fitted.beta_ == pytest.approx(reference(logits, y, weight, regularization), rel=1e-6)
    assert fitted.n_iter_ <= 8


def test_weights_count_as_repeated_rows():
    logits, y, _ = draw(1)
    times = np.arange(len(y)) % 3
    weighted = TemperatureScaling().fit(logits, y, times)
    repeated = TemperatureScaling().fit(np.repeat(logits, times, axis=0), np.repeat(y, times))
    assert weighted.beta_ == pytest.approx(repeated.beta_, rel=1e-12)


def test_float32_is_fitted_like_float64():
    logits, y, _ = draw(2)
    single = TemperatureScaling().fit(logits.astype(np.float32), y)
    assert single.beta_ == pytest.approx(TemperatureScaling().fit(logits, y).beta_, rel=1e-6)


def test_separable_data_needs_regularization():
    with pytest.raises(ValueError, match=r"pass regularization=1\.0"):
        TemperatureScaling().fit(*SEPARABLE)
    fitted = TemperatureScaling(regularization=1.0).fit(*SEPARABLE)
    assert 1 < fitted.beta_ < 3
    assert fitted.beta_ == pytest.approx(reference(*SEPARABLE, None, 1.0), rel=1e-6)


def test_logits_that_know_nothing_get_no_confidence():
    fitted = TemperatureScaling().fit([[3.0, 0.0], [0.0, 1.0]], [1, 0])
    assert (fitted.beta_, fitted.temperature_) == (0.0, math.inf)
    np.testing.assert_array_equal(fitted.predict_proba([[5.0, 0.0]]), [[0.5, 0.5]])


def test_impossible_classes_stay_impossible():
    logits, y, _ = draw(3)
    plain = TemperatureScaling().fit(logits, y)
    more = np.column_stack([logits, np.full(len(y), -np.inf)])
    fitted = TemperatureScaling().fit(more, y)
    assert fitted.beta_ == pytest.approx(plain.beta_, rel=1e-9)
    np.testing.assert_array_equal(fitted.predict_proba(more)[:, -1], 0)


def test_an_impossible_label_is_refused_unless_it_weighs_nothing():
    logits, y, weight = draw(4)
    logits[7, y[7]] = -np.inf
    with pytest.raises(ValueError, match="row 7 gives its own label probability zero"):
        TemperatureScaling().fit(logits, y)
    weight[[3, 7]] = 0
    assert TemperatureScaling().fit(logits, y, weight).beta_ > 0
    logits[11, y[11]] = -np.inf
    with pytest.raises(ValueError, match="row 11 gives"):
        TemperatureScaling().fit(logits, y, weight)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_logits_that_are_no_numbers_are_refused(bad):
    with pytest.raises(ValueError, match="logits must be numbers"):
        TemperatureScaling().fit([[bad, 0.0], [0.0, 1.0]], [0, 1])


def test_labels_of_any_type_and_absent_columns():
    logits, y, _ = draw(5)
    names = np.array(["ash", "birch", "cedar", "dogwood"])
    named = TemperatureScaling().fit(logits, names[y])
    assert list(named.classes_) == list(names)
    np.testing.assert_array_equal(named.predict(logits), names[logits.argmax(axis=1)])
    few = y < 3
    assert list(TemperatureScaling().fit(logits[few], y[few]).classes_) == [0, 1, 2, 3]
    with pytest.raises(ValueError, match="3 classes but the predictions have 4 columns"):
        TemperatureScaling().fit(logits[few], names[y[few]])


def test_it_is_an_estimator():
    scaling = TemperatureScaling(regularization=2.0)
    assert clone(scaling).get_params()["regularization"] == 2.0
    assert scaling.set_params(regularization=3.0).regularization == 3.0
    logits, y, _ = draw(6)
    pipeline = make_pipeline(FunctionTransformer(), TemperatureScaling()).fit(logits, y)
    plain = TemperatureScaling().fit(logits, y)
    np.testing.assert_array_equal(pipeline.predict_proba(logits), plain.predict_proba(logits))
    assert len(cross_val_score(TemperatureScaling(), logits, y, scoring="neg_log_loss")) == 5
    assert repr(scaling) == "TemperatureScaling(regularization=3.0)"
    with pytest.raises(ValueError, match="no parameter 'temperature'"):
        scaling.set_params(temperature=1)
    with pytest.raises(ValueError, match="not fitted yet"):
        scaling.predict_proba([[0.0, 1.0]])
    with pytest.raises(ValueError, match="nonnegative number, got -1"):
        TemperatureScaling(regularization=-1).fit(*SEPARABLE)
