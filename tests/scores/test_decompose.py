"""Decomposition and skill against R, sums by hand and known truths."""

import math

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from crossentropy.calibration import TemperatureScaling
from crossentropy.scores import brier_score, decompose, log_loss, skill

Y, P = [0, 0, 0, 1, 1, 1], np.array([0.4, 0.3, 0.2, 0.1, 0.5, 0.9])


def test_corp_is_reliabilitydiags():
    """Its Brier score counts the second class only, so half of ours."""
    parts = decompose(
        Y, np.column_stack([1 - P, P]), input="proba", score="brier_score", method="corp"
    )
    assert parts.score / 2 == pytest.approx(0.2266667, abs=5e-8)
    assert parts.calibration / 2 == pytest.approx(0.1016667, abs=5e-8)
    assert parts.resolution / 2 == pytest.approx(0.125)
    assert parts.uncertainty / 2 == pytest.approx(0.25)


def test_corp_by_hand_for_log_loss_with_zeros():
    """Pooled: four rows at 1/4, then two at 1, which cost nothing."""
    parts = decompose(Y, np.column_stack([1 - P, P]), input="proba", base=2, method="corp")
    pooled = -(3 * math.log2(3 / 4) + math.log2(1 / 4)) / 6
    assert parts.refinement == pytest.approx(pooled)
    assert parts.uncertainty == pytest.approx(1)
    said = [[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]
    sure = decompose([0, 0, 1], said, input="proba", method="corp")
    assert sure[:3] == (0, 0, 0)


@pytest.fixture(scope="module")
def bold():
    """Labels of known chances, and logits that are twice too large."""
    rng = np.random.default_rng(5)
    logits = 1.5 * rng.normal(size=(6000, 4))
    y = (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)
    return y, logits, 2 * logits


@pytest.mark.parametrize("score", ["log_loss", "brier_score"])
@pytest.mark.parametrize("weighted", [False, True])
def test_parts_are_the_known_ones(bold, score, weighted):
    y, true, logits = bold
    weight = np.random.default_rng(0).uniform(0, 2, len(y)) if weighted else None
    loss = {"log_loss": log_loss, "brier_score": brier_score}[score]
    said = {"input": "logits", "sample_weight": weight}
    parts = decompose(y, logits, score=score, **said)
    assert parts.score == pytest.approx(loss(y, logits, **said))
    assert parts.score == pytest.approx(parts.calibration + parts.refinement)
    assert parts.resolution == pytest.approx(parts.uncertainty - parts.refinement)
    assert parts.refinement == pytest.approx(loss(y, true, **said), rel=2e-3)
    for name, (low, high) in parts.intervals.items():
        value = getattr(parts, name)
        assert low < value < high or (name == "uncertainty" and high - low < 0.01)
    low, high = parts.intervals["refinement"]
    assert low < loss(y, true, **said) < high


def test_intervals_are_of_paired_differences(bold):
    """About ±1.96 standard errors of the rows' differences, far less than of the losses."""
    y, true, logits = bold
    parts = decompose(y, logits, input="logits", draws=4000)
    before = log_loss(y, logits, input="logits", reduction="none")
    after = log_loss(y, true, input="logits", reduction="none")
    for name, rows in (("calibration", before - after), ("score", before)):
        low, high = parts.intervals[name]
        assert high - low == pytest.approx(2 * 1.96 * rows.std() / np.sqrt(len(y)), rel=0.1)


def test_calibrated_predictions_have_next_to_nothing_to_win(bold):
    y, true, _ = bold
    parts = decompose(y, true, input="logits")
    low, high = parts.intervals["calibration"]
    assert low < 0 < high
    assert abs(parts.calibration) < 1e-3


def test_any_calibrator_will_do(bold):
    y, true, logits = bold
    names = np.array(["a", "b", "c", "d"])[y]
    for method in (LogisticRegression(), TemperatureScaling()):
        parts = decompose(names, logits, input="logits", method=method)
        assert parts.refinement == pytest.approx(log_loss(y, true, input="logits"), rel=5e-3)
        assert not hasattr(method, "classes_")


def test_zeros_need_a_floor_unless_they_weigh_nothing():
    y = np.tile([0, 1], 20)
    proba = np.tile([[0.7, 0.3], [0.4, 0.6]], (20, 1))
    proba[3] = [1.0, 0.0]
    with pytest.raises(ValueError, match="row 3 gives its own label probability zero"):
        decompose(y, proba, input="proba")
    parts = decompose(y, proba, input="proba", floor=1e-3)
    assert parts.score == pytest.approx(log_loss(y, proba, input="proba", floor=1e-3), rel=1e-3)
    weight = np.ones(40)
    weight[3] = 0
    parts = decompose(y, proba, input="proba", sample_weight=weight)
    kept = np.arange(40) != 3
    assert parts.score == pytest.approx(log_loss(y[kept], proba[kept], input="proba"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"score": "brier"}, "did you mean 'brier_score'"),
        ({"method": "crop"}, "did you mean 'corp'"),
        ({"level": 95}, "level must be between"),
        ({"folds": 1}, "folds must be between 2 and"),
        ({"floor": 2}, "floor must be a probability"),
        ({"method": "corp"}, "is for two classes, got 4"),
    ],
)
def test_errors_say_what_is_wrong(bold, options, message):
    with pytest.raises(ValueError, match=message):
        decompose(*bold[:2], input="logits", **options)


def test_skill_is_against_the_base_rates(classes):
    y, proba, weight = classes.y, classes.proba, classes.weight
    rates = np.tile(np.bincount(y, weight) / weight.sum(), (400, 1))
    said = {"input": "proba", "sample_weight": weight}
    for name, loss in (("log_loss", log_loss), ("brier_score", brier_score)):
        expected = 1 - loss(y, proba, **said) / loss(y, rates, **said)
        assert skill(y, proba, score=name, **said) == pytest.approx(expected)
        assert skill(y, rates, score=name, **said) == pytest.approx(0, abs=1e-12)
    assert skill([0, 1], [[1.0, 0.0], [0.0, 1.0]], input="proba") == 1
    assert skill([0, 1], [[0.0, 1.0], [0.0, 1.0]], input="proba") == -math.inf
    one = {"input": "proba", "labels": [0, 1]}
    assert math.isnan(skill([0], [[1.0, 0.0]], **one))
    assert skill([0], [[0.5, 0.5]], **one) == -math.inf
