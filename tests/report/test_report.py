"""`crossentropy.report`: what its numbers are, whatever the predictions."""

import itertools
import json
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("sklearn")
pytest.importorskip("jinja2")
pytest.importorskip("matplotlib")

import crossentropy
from crossentropy._report._rows import _Sample
from crossentropy._report._words import headline, parts
from crossentropy.calibration import TemperatureScaling, cross_fitted
from crossentropy.scores import log_loss


def drawn(rows=600, classes=4, temperature=1.0, seed=0):
    """Labels and logits that a temperature calibrates."""
    rng = np.random.default_rng(seed)
    logits = 2 * rng.standard_normal((rows, classes))
    y = (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)
    return y, temperature * logits


def test_the_parts_are_those_of_the_calibrators():
    y, logits = drawn(temperature=3)
    results = crossentropy.report(y, logits, input="logits").to_dict()
    split = parts(results)
    assert split.loss == pytest.approx(log_loss(y, logits, input="logits", base=2))
    assert split.calibration + split.refinement == pytest.approx(split.loss)
    scaling = TemperatureScaling(regularization=1.0)
    refined = log_loss(y, cross_fitted(scaling, logits, y), input="proba", base=2)
    told = {one["name"]: one for one in results["remedies"]["candidates"]}
    assert told["temperature"]["log_loss"] == pytest.approx(refined)
    assert told["temperature"]["gain"] == pytest.approx(split.loss - refined)
    assert split.refinement <= refined + 1e-12
    assert "would win back" in headline(results)[0]
    assert any(one["kind"] == "overconfidence" for one in results["diagnosis"]["findings"])


def test_calibrated_predictions_have_nothing_to_win():
    y, logits = drawn(rows=1500)
    results = crossentropy.report(y, logits, input="logits").to_dict()
    assert "would not measurably lower it" in headline(results)[0]
    assert not [one for one in results["diagnosis"]["findings"] if one["measure"] == "won"]
    told = results["reliability"]
    inside = [
        low <= accuracy <= high
        for low, accuracy, high in zip(
            told["chance_low"], told["accuracy"], told["chance_high"], strict=True
        )
    ]
    assert np.mean(inside) > 0.7


IMPOSSIBLE = np.array([[0.0, -np.inf]] * 3 + [[2.0, 0.0]] * 20)


@pytest.mark.parametrize(
    ("y", "values", "kind"),
    [
        ([0, 1], [[0.5, 0.5], [0.4, 0.6]], "proba"),
        ([0] * 12, [[0.5, 0.5]] * 12, "proba"),
        ([0, 1] * 10, [[1.0, 0.0], [0.0, 1.0]] * 10, "proba"),
        ([1, 0, 0] + [0] * 15 + [1] * 5, IMPOSSIBLE, "logits"),
        (np.arange(30) % 3, np.zeros((30, 3)), "logits"),
        (np.arange(30) % 3, 1e5 * np.eye(3)[np.arange(30) % 2], "logits"),
    ],
    ids=["two rows", "one class", "perfect", "impossible", "constant", "huge"],
)
def test_odd_predictions_have_a_report(y, values, kind):
    found = crossentropy.report(y, values, input=kind, labels=np.arange(len(values[0])))
    told = found.to_dict()
    json.dumps(told, allow_nan=False)
    exact = log_loss(y, values, input=kind, labels=np.arange(len(values[0])), base=2)
    shown = told["scores"]["log_loss"]
    assert (np.inf if shown == "inf" else shown) == pytest.approx(exact)
    assert found.to_html().startswith("<!doctype html>")


def test_groups_and_baseline_need_their_rows():
    y, logits = drawn(rows=40)
    with pytest.raises(ValueError, match="groups must have shape"):
        crossentropy.report(y, logits, input="logits", groups=[1, 2])
    with pytest.raises(ValueError, match="need y_true"):
        crossentropy.report(y, logits, input="logits", baseline=logits[:9])


def test_a_sample_does_not_depend_on_the_blocks():
    def sampled(sizes):
        sample, first = _Sample(20, seed=3), 0
        for size in sizes:
            row = np.arange(first, first + size)
            block = SimpleNamespace(codes=row % 5, values=np.c_[row, -row] / 2, weight=None)
            sample.add(first, block)
            first += size
        return sample.rows()

    whole = sampled([300])
    for sizes in ([1] * 300, [100, 7, 193], [299, 1]):
        for one, other in itertools.zip_longest(whole, sampled(sizes)):
            np.testing.assert_array_equal(one, other)
    codes, values, weight, row = whole
    assert weight is None
    assert len(row) == 20
    assert (np.diff(row) > 0).all()
    np.testing.assert_array_equal(codes, row % 5)
    np.testing.assert_array_equal(values[:, 0], row / 2)


def test_every_row_is_as_likely_to_be_held():
    counts = np.zeros(40)
    for seed in range(400):
        sample = _Sample(10, seed)
        for first in range(0, 40, 8):
            sample.add(first, SimpleNamespace(codes=np.zeros(8), values=np.eye(8), weight=None))
        counts[sample.rows()[3]] += 1
    # binomial, 400 draws of a quarter: standard deviation 8.7
    assert abs(counts - 100).max() < 40
