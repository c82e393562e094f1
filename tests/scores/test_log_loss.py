"""The log loss's labels, weights and floor; encoding and blocks beneath every score."""

import math

import numpy as np
import pytest
from mpmath import mp
from scipy.special import log_softmax
from sklearn.utils.class_weight import compute_sample_weight

from crossentropy._predictions import encode
from crossentropy.scores import brier_score, expected_calibration_error, log_loss

PROBA = [[0.5, 0.5], [0.5, 0.5]]


def test_distributions_as_labels_are_means_over_hard_labels(classes):
    y, logits, weight = classes.y, classes.logits, classes.weight
    target = np.random.default_rng(1).dirichlet(np.ones(5), 400)
    expected = -(target * log_softmax(logits, axis=1)).sum(axis=1)
    for said in ("logits", "proba"):
        found = log_loss(target, getattr(classes, said), input=said, sample_weight=weight)
        assert found == pytest.approx(np.average(expected, weights=weight))
    options = {"input": "logits", "sample_weight": weight}
    for more in ({}, {"class_weight": [1, 2, 0, 5, 1]}, {"class_weight": {2: 4.0}}):
        hard, soft = (log_loss(t, logits, **options, **more) for t in (y, np.eye(5)[y]))
        assert hard == pytest.approx(soft)
    hard, soft = (brier_score(t, logits, **options) for t in (y, np.eye(5)[y]))
    assert hard == pytest.approx(soft)
    away = ((classes.proba - target) ** 2).sum(axis=1)
    assert brier_score(target, logits, input="logits") == pytest.approx(away.mean())


def test_what_does_not_happen_costs_nothing():
    impossible = [[0.0, -math.inf]]
    assert log_loss([[1.0, 0.0]], impossible, input="logits") == 0
    assert log_loss([[0.5, 0.5]], impossible, input="logits") == math.inf
    assert log_loss([[0.5, 0.5]], [[1.0, 0.0]], input="proba", floor=0.25, base=2) == 1


@pytest.mark.parametrize("weighted", [False, True])
def test_class_weights_are_scikit_learns(classes, weighted):
    y = np.where(classes.y > 2, 1, classes.y)  # unbalanced, and two labels do not occur
    sample = classes.weight if weighted else np.ones(400)
    said = {"input": "logits", "labels": range(5)}
    each = log_loss(y, classes.logits, reduction="none", **said)
    for given, of_row in (
        ({1: 3.0, 2: 0.0}, np.array([1.0, 3.0, 0.0])[y]),
        ([0.5, 1, 2, 9, 9], np.array([0.5, 1, 2])[y]),
        ("balanced", 1 / np.bincount(y, sample)[y]),
    ):
        found = log_loss(
            y,
            classes.logits,
            class_weight=given,
            sample_weight=sample if weighted else None,
            **said,
        )
        assert found == pytest.approx(np.average(each, weights=sample * of_row))
    none = log_loss(y, classes.logits, class_weight="balanced", reduction="none", **said)
    np.testing.assert_allclose(none, each * compute_sample_weight("balanced", y))


def test_infinite_losses_can_be_found_refused_and_floored():
    y, proba = [0, 1, 0, 0], [[0.5, 0.5], [1.0, 0.0], [0.5, 0.5], [0.0, 1.0]]
    each = log_loss(y, proba, input="proba", reduction="none")
    assert np.flatnonzero(np.isinf(each)).tolist() == [1, 3]
    with pytest.raises(ValueError, match=r"2 of 4 rows .* the first of them row 1; pass floor="):
        log_loss(y, proba, input="proba", infinite="raise")
    said = {"input": "proba", "base": 2}
    assert log_loss(y, proba, infinite="raise", sample_weight=[1, 0, 1, 0], **said) == 1
    assert log_loss(y, proba, floor=2**-9, **said) == (1 + 9 + 1 + 9) / 4


def test_the_true_value_where_scikit_learn_clips():
    """At p = 1e-30 a label costs 69 nats, and in float32 not 8 or 16."""
    for dtype in (np.float32, np.float64):
        proba = np.array([[1e-30, 1.0]], dtype=dtype)
        found = log_loss([0], proba, input="proba", labels=[0, 1])
        assert found == pytest.approx(30 * math.log(10), rel=1e-7)
    assert log_loss([0], [[-1000.0, 0.0]], input="logits", labels=[0, 1]) == 1000
    truth = mp.log(1 + mp.exp(-60) + mp.exp(-63))
    found = log_loss([0], [[60.0, 0.0, -3.0]], input="logits", labels=range(3))
    assert found == pytest.approx(float(truth), rel=1e-12)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int64, np.uint64, bool, "U3", object])
@pytest.mark.parametrize("count", [2, 300])
def test_labels_are_encoded_as_numpy_does(dtype, count):
    rng = np.random.default_rng(0)
    for low, high in ((0, 5), (3, 100), (-90, -2)):
        y = rng.integers(low, high, count)
        y = abs(y) if np.dtype(dtype).kind == "u" else y
        y = (y % 2).astype(bool) if dtype is bool else y.astype(dtype)
        labels, expected = np.unique(y, return_inverse=True)
        codes, found = encode(y, None)
        np.testing.assert_array_equal(found, labels)
        assert found.dtype == y.dtype
        np.testing.assert_array_equal(codes, expected)
        shuffled = rng.permutation(labels)
        codes, _ = encode(y, shuffled)
        np.testing.assert_array_equal(shuffled[codes], y)


def test_blocks_of_rows_change_nothing_but_the_row_that_an_error_names():
    rng = np.random.default_rng(0)
    logits, y = rng.normal(size=(70_000, 3)), rng.integers(0, 3, 70_000)
    logs = log_softmax(logits, axis=1)
    proba, expected = np.exp(logs), -logs[np.arange(len(y)), y].mean()
    assert log_loss(y, logits, input="logits") == pytest.approx(expected, rel=1e-12)
    assert log_loss(y, proba, input="proba") == pytest.approx(expected, rel=1e-12)
    away = ((proba - np.eye(3)[y]) ** 2).sum(axis=1)
    assert brier_score(y, proba, input="proba") == pytest.approx(away.mean())
    logits[66_001, 1] = np.nan
    proba[66_002] *= 1.1
    for score in (log_loss, brier_score, expected_calibration_error):
        with pytest.raises(ValueError, match="row 66001 is"):
            score(y, logits, input="logits")
        with pytest.raises(ValueError, match="row 66002 is"):
            score(y, proba, input="proba")


def test_every_path_of_the_rows_gives_the_same(classes, path):
    y, logits, weight = classes.y, classes.logits, classes.weight
    said = {"input": "logits", "sample_weight": weight}
    rows = -log_softmax(logits, axis=1)[np.arange(400), y]
    assert log_loss(y, logits, **said) == pytest.approx(np.average(rows, weights=weight), rel=1e-12)
    gap = (logits.argmax(axis=1) == y) - classes.proba.max(axis=1)
    one = expected_calibration_error(y, logits, bins=1, **said)
    assert one == pytest.approx(abs(np.average(gap, weights=weight)))


@pytest.mark.parametrize(
    ("y", "options", "message"),
    [
        ([0, 1], {"floor": 0}, "floor must be a probability"),
        ([0, 1], {"infinite": "warn"}, 'infinite must be "return" or "raise"'),
        ([0, 1], {"class_weight": [1, 2, 3]}, "one nonnegative number for each of 2"),
        ([0, 1], {"class_weight": {7: 1}}, "class_weight has 7, no label: there are '0'"),
        ([0, 1], {"class_weight": "even"}, 'weights or "balanced"'),
        ([0, 1], {"class_weight": [0, 0]}, "no row has a label of positive"),
        ([[1, 0]], {}, "must have the predictions' shape"),
        ([[1, 0], [0.5, 0.4]], {}, "the distributions of y_true must sum .* row 1 is"),
        ([[1, 0], [2, -1]], {}, "distributions of y_true must be nonnegative .* row 1 is"),
    ],
)
def test_errors_say_what_is_wrong(y, options, message):
    with pytest.raises(ValueError, match=message):
        log_loss(y, PROBA, input="proba", **options)
