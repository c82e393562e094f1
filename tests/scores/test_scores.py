"""Scores against scipy, scikit-learn and sums by hand; nothing clipped, nothing guessed."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
from scipy.special import log_softmax, softmax
from sklearn.metrics import log_loss as sklearn_log_loss

from crossentropy import scores
from crossentropy.scores import (
    brier_score,
    expected_calibration_error,
    log_loss,
    reliability_curve,
)


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    logits = 3 * rng.normal(size=(200, 4))
    y = rng.permutation(np.arange(200) % 4)
    return y, logits, rng.uniform(0, 2, 200)


def test_log_loss_is_scipys(data):
    y, logits, weight = data
    rows = -log_softmax(logits, axis=1)[np.arange(200), y]
    none = log_loss(y, logits, input="logits", reduction="none")
    np.testing.assert_allclose(none, rows, rtol=1e-12)
    mean = log_loss(y, logits, input="logits", base=2, sample_weight=weight)
    assert mean == pytest.approx(np.average(rows, weights=weight) / math.log(2), rel=1e-14)


def test_probabilities_give_the_same_loss_as_logits(data):
    y, logits, weight = data
    proba = softmax(logits, axis=1)
    loss = log_loss(y, proba, input="proba", sample_weight=weight)
    assert loss == pytest.approx(log_loss(y, logits, input="logits", sample_weight=weight))
    assert loss == pytest.approx(sklearn_log_loss(y, proba, sample_weight=weight))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int64])
def test_log_loss_takes_any_dtype_and_keeps_its_precision(data, dtype):
    y, logits, _ = data
    logits = logits.astype(dtype)
    expected = log_loss(y, logits.astype(float), input="logits")
    assert log_loss(y, logits, input="logits") == pytest.approx(expected, rel=1e-6)


def test_a_tiny_probability_costs_what_it_costs():
    loss = log_loss([0, 1], [[1e-30, 1.0], [0.0, 1.0]], input="proba", reduction="none")
    np.testing.assert_allclose(loss, [30 * math.log(10), 0.0])
    assert not np.signbit(loss).any()


def test_a_zero_probability_costs_infinity_unless_it_weighs_nothing():
    y, proba = [0, 1], [[0.0, 1.0], [0.5, 0.5]]
    assert log_loss(y, proba, input="proba") == math.inf
    assert log_loss(y, proba, input="proba", sample_weight=[0, 1], base=2) == 1
    logits = [[-math.inf, 0.0], [0.0, 0.0]]
    assert log_loss(y, logits, input="logits") == math.inf


@pytest.mark.parametrize(
    ("y", "labels"),
    [
        (np.array(["b", "a"]), ["b", "a"]),
        (np.array(["b", "a"], dtype=object), ["b", "a"]),
        ([True, False], [True, False]),
        ([2.5, -1.0], [2.5, -1.0]),
    ],
)
def test_labels_of_any_type_in_any_order(y, labels):
    loss = log_loss(y, [[0.25, 0.75], [0.25, 0.75]], input="proba", labels=labels, reduction="none")
    np.testing.assert_allclose(np.exp(-loss), [0.25, 0.75])


def test_brier_score_sums_over_classes(data):
    y, logits, weight = data
    proba = softmax(logits, axis=1)
    expected = np.average(((proba - np.eye(4)[y]) ** 2).sum(axis=1), weights=weight)
    for values, said in ((proba, "proba"), (logits, "logits")):
        assert brier_score(y, values, input=said, sample_weight=weight) == pytest.approx(expected)


def test_reliability_curve_by_hand(data):
    y, logits, weight = data
    proba = softmax(logits, axis=1)
    curve = reliability_curve(y, logits, input="logits", sample_weight=weight)
    top, right = proba.max(axis=1), proba.argmax(axis=1) == y
    gaps = 0.0
    for k, (confidence, accuracy, total) in enumerate(zip(*curve, strict=True)):
        inside = (top > k / 15) & (top <= (k + 1) / 15)
        assert total == pytest.approx(weight[inside].sum())
        if inside.any():
            assert confidence == pytest.approx(np.average(top[inside], weights=weight[inside]))
            assert accuracy == pytest.approx(np.average(right[inside], weights=weight[inside]))
            gaps += total * abs(confidence - accuracy)
        else:
            assert math.isnan(confidence)
            assert math.isnan(accuracy)
    error = expected_calibration_error(y, logits, input="logits", sample_weight=weight)
    assert error == pytest.approx(gaps / weight.sum())


def test_weights_count_as_repeated_rows(data):
    y, logits, _ = data
    times = np.arange(200) % 3
    said = {"input": "logits", "labels": range(4)}
    for score in (log_loss, brier_score, expected_calibration_error):
        repeated = score(np.repeat(y, times), np.repeat(logits, times, axis=0), **said)
        assert score(y, logits, sample_weight=times, **said) == pytest.approx(repeated)


PROBA = [[0.5, 0.5], [0.5, 0.5]]


@pytest.mark.parametrize(
    ("y", "values", "options", "message"),
    [
        ([0, 1], PROBA, {"input": "guess"}, 'input must be "logits" or "proba"'),
        ([0, 1], [0.5, 0.5], {}, "pass the columns 1 - p and p"),
        ([0], PROBA, {}, r"y_true of shape \(2,\), got \(1,\)"),
        ([0, 2], PROBA, {"labels": [0, 1]}, "among the labels; row 1 is .*2"),
        ([0, 0], PROBA, {}, "y_true holds 1 classes .* 2 columns; pass labels="),
        ([0, 1], PROBA, {"labels": [0, 1, 2]}, "labels names 3 classes"),
        ([0, 1], PROBA, {"labels": [1, 1]}, "names a class twice"),
        ([0, 1], [[0.5, 0.5], [-0.5, 1.5]], {}, "nonnegative numbers; row 1 is"),
        ([0, 1], [[np.nan, 0.5], [0.5, 0.5]], {}, "nonnegative numbers; row 0 is"),
        ([0, 1], [[0.5, 0.5], [0.5, 0.6]], {}, "sum to one in every row .* row 1 is"),
        ([0, 1], [[np.inf, 0.5], [0.5, 0.6]], {}, "row 0 is"),
        ([0, 1], [[0.0, 1.0], [np.nan, 1.0]], {"input": "logits"}, "NaN or plus .* row 1 is"),
        ([0, 1], [[0.0, np.inf], [0.0, 1.0]], {"input": "logits"}, "NaN or plus .* row 0 is"),
        ([0, 1], PROBA, {"sample_weight": [1.0]}, "sample_weight must have shape"),
        ([0, 1], PROBA, {"sample_weight": [1.0, -1.0]}, "finite and nonnegative"),
        ([0, 1], PROBA, {"sample_weight": [0.0, 0.0]}, "not all zero"),
        ([0, 1], PROBA, {"base": 1}, "base must be positive and not 1"),
        ([0, 1], PROBA, {"reduction": "sum"}, 'must be "mean" or "none"'),
        ([], np.empty((0, 2)), {"labels": [0, 1]}, "no rows"),
        ([0, 1], np.empty((2, 0)), {}, "no columns"),
        ([0, 1], PROBA, {"labels": []}, "labels names 0 classes"),
    ],
)
def test_errors_say_what_is_wrong(y, values, options, message):
    with pytest.raises(ValueError, match=message):
        log_loss(y, values, **{"input": "proba"} | options)


def test_impossible_logits_are_refused_by_every_score():
    for score in (brier_score, expected_calibration_error, reliability_curve):
        with pytest.raises(ValueError, match="row 1 is"):
            score([0, 1], [[0.0, 1.0], [-np.inf, -np.inf]], input="logits")
    with pytest.raises(ValueError, match="bins must be at least 1"):
        reliability_curve([0, 1], PROBA, input="proba", bins=0)


def test_float32_sums_are_not_refused():
    proba = softmax(np.random.default_rng(0).normal(size=(50, 1000)).astype(np.float32), axis=1)
    assert log_loss(np.zeros(50), proba, input="proba", labels=range(1000)) > 0


def test_scores_and_calibration_import_no_framework():
    code = (
        "import sys, crossentropy.scores, crossentropy.calibration;"
        "assert not {'torch', 'sklearn', 'scipy', 'pandas'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_public_names_are_there():
    assert all(hasattr(scores, name) for name in scores.__all__)
