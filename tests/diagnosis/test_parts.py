"""Confidence, imbalance, confused pairs and costly rows: by hand, and on what has no fault."""

import math

import numpy as np
import pytest

from crossentropy.diagnosis import confidence, confused_pairs, costly_rows, imbalance
from crossentropy.scores import log_loss

from .conftest import draw, softmax


def test_calibrated_predictions_yield_no_false_finding(calibrated):
    """Of 30 sets each interval may miss a few times, at its 2.5 %: five is one in a thousand."""
    false = np.zeros(5)
    for seed in range(30):
        y, logits = calibrated(seed, n=300)
        found = confidence(y, logits, input="logits", seed=seed)
        balance = imbalance(y, logits, input="logits", seed=seed)
        intervals = (
            found.interval,
            found.over.interval,
            found.under.interval,
            balance.bias_interval,
            balance.target_interval,
        )
        false += [interval.above_zero for interval in intervals]
    assert false.max() < 5, false


@pytest.mark.parametrize("beta", [0.5, 2.0])
def test_a_temperature_is_found_with_its_bits(calibrated, beta):
    y, logits = calibrated(0, n=20_000)
    found = confidence(y, logits / beta, input="logits")
    assert found.temperature == pytest.approx(1 / beta, rel=0.03)
    before, after = (log_loss(y, z, input="logits", base=2) for z in (logits / beta, logits))
    assert found.bits == pytest.approx(before - after, abs=2e-4)
    assert found.interval.low < before - after < found.interval.high
    wrong, right = (found.under, found.over) if beta > 1 else (found.over, found.under)
    assert wrong.interval.above_zero
    assert wrong.share > 0.8
    assert (wrong.gap > 0) == (beta < 1)
    assert not right.interval.above_zero


def test_intervals_hold_the_truth_as_often_as_they_say(calibrated):
    """The expected gain of the right temperature: 38 of 40, less 4 sigma."""
    truth = np.mean([_gain(*calibrated(seed, n=20_000)) for seed in range(3)])
    held = 0
    for seed in range(40):
        y, logits = calibrated(1000 + seed, n=300)
        low, high = confidence(y, 2 * logits, input="logits", seed=seed).interval
        held += low <= truth <= high
    assert held >= 33


def _gain(y, logits):
    return log_loss(y, 2 * logits, input="logits", base=2) - log_loss(
        y, logits, input="logits", base=2
    )


def test_zeros_do_not_decide_the_temperature(calibrated):
    y, logits = calibrated(3)
    proba = softmax(2 * logits)  # overconfident
    plain = confidence(y, proba, input="proba")
    proba[:3] = np.eye(4)[(y[:3] + 1) % 4]
    holed = confidence(y, proba, input="proba")
    with np.errstate(divide="ignore"):
        same = confidence(y, np.log(proba), input="logits")
    assert holed.temperature == pytest.approx(plain.temperature, rel=0.1)
    assert same.temperature == pytest.approx(holed.temperature, rel=1e-6)
    assert same.bits == pytest.approx(holed.bits, rel=1e-6)


def test_whole_weights_are_repeated_rows(calibrated):
    y, logits = calibrated(1, n=400)
    times = np.random.default_rng(0).integers(0, 4, 400)
    options = {"input": "logits", "labels": range(4)}
    twice = np.repeat(y, times), np.repeat(logits, times, axis=0)
    weighted = imbalance(y, logits, sample_weight=times, **options)
    repeated = imbalance(*twice, **options)
    for field in ("counts", "share", "predicted_share", "effective_number", "bits", "recall"):
        np.testing.assert_allclose(getattr(weighted, field), getattr(repeated, field))
    assert weighted.target_bits == pytest.approx(repeated.target_bits)
    ours = confused_pairs(y, logits, sample_weight=times, **options)
    theirs = confused_pairs(*twice, **options)
    assert [pair.columns for pair in ours] == [pair.columns for pair in theirs]
    assert [pair[3] for pair in ours] == pytest.approx([pair[3] for pair in theirs])
    assert [pair[5:] for pair in ours] == [pair[5:] for pair in theirs]
    hot = confidence(y, logits, sample_weight=times, **options).temperature
    assert hot == pytest.approx(confidence(*twice, **options).temperature, rel=0.02)


def test_prior_correction_wins_what_bayes_says():
    rng = np.random.default_rng(0)
    y = (rng.random(20_000) < 0.1).astype(int)
    x = rng.normal(size=20_000) + 2 * y
    odds = 2 * x - 2 + math.log(0.1 / 0.9)  # exact for the prior .1
    logits = np.stack([np.zeros_like(odds), odds], axis=1)
    found = imbalance(y, logits, input="logits")
    weight = np.where(y == 1, 0.5 / y.mean(), 0.5 / (1 - y.mean()))
    balanced = logits + np.array([0, math.log(9)])
    before, after = (
        log_loss(y, z, input="logits", base=2, sample_weight=weight) for z in (logits, balanced)
    )
    assert found.target_bits == pytest.approx(before - after, abs=0.01)
    assert found.target_interval.low < before - after < found.target_interval.high
    assert found.ratio == pytest.approx(9, rel=0.05)
    assert not found.bias_interval.above_zero
    same = imbalance(y, logits, input="logits", target_prior=found.share)
    assert same.target_bits == pytest.approx(0, abs=1e-12)
    assert not same.target_interval.above_zero


def test_a_biased_class_is_found(calibrated):
    y, logits = calibrated(0, n=5000)
    found = imbalance(y, logits + np.array([1.0, 0, 0, 0]), input="logits")
    assert found.bias_interval.above_zero
    assert found.predicted_share[0] > found.share[0] + 0.1


def test_classes_without_rows():
    proba = [[0.6, 0.4, 0.0], [0.3, 0.5, 0.2], [0.5, 0.3, 0.2]]
    found = imbalance(["a", "b", "a"], proba, input="proba", labels=["a", "b", "c"])
    np.testing.assert_array_equal(found.counts, [2, 1, 0])
    assert np.isnan(found.bits[2])
    assert np.isnan(found.recall[2])
    np.testing.assert_allclose(found.target_prior, [0.5, 0.5, 0])
    assert found.ratio == 2
    assert math.isfinite(found.target_bits)
    assert math.isfinite(found.bias_bits)
    with pytest.raises(ValueError, match="'c' a share"):
        imbalance(
            ["a", "b", "a"],
            proba,
            input="proba",
            labels=["a", "b", "c"],
            target_prior=[0.2, 0.4, 0.4],
        )


@pytest.mark.parametrize("prior", [[0.5, 0.6], [1.5, -0.5], [1.0], [np.nan, 1.0]])
def test_a_prior_is_a_distribution(prior):
    with pytest.raises(ValueError, match="target_prior"):
        imbalance([0, 1], np.eye(2), input="proba", target_prior=prior)


def test_a_pair_costs_what_merging_wins():
    rng = np.random.default_rng(0)
    proba = rng.dirichlet([1, 1, 0.2, 0.2], size=500)
    y = draw(rng, proba)
    pairs = confused_pairs(y, proba, input="proba", n_pairs=6)
    assert pairs[0].columns == (0, 1)
    assert [pair.bits for pair in pairs] == sorted((pair.bits for pair in pairs), reverse=True)
    for pair in pairs:
        a, b = pair.columns
        merged = np.delete(proba, b, axis=1)
        merged[:, a] += proba[:, b]
        relabelled = np.where(y == b, a, y)
        after = log_loss(
            relabelled, merged, input="proba", base=2, labels=np.delete(np.arange(4), b)
        )
        assert pair.bits == pytest.approx(log_loss(y, proba, input="proba", base=2) - after)
        top = proba.argmax(axis=1)
        assert pair.first_as_second == ((y == a) & (top == b)).sum()
        assert pair.second_as_first == ((y == b) & (top == a)).sum()
        assert pair.interval.low < pair.bits < pair.interval.high
    by_logits = confused_pairs(y, np.log(proba), input="logits", n_pairs=6)
    assert [pair.columns for pair in by_logits] == [pair.columns for pair in pairs]
    assert [p.bits for p in by_logits] == pytest.approx([p.bits for p in pairs])


def test_costly_rows_and_the_price_of_zero():
    proba = np.array([[0.5, 0.5], [1.0, 0.0], [0.25, 0.75], [0.5, 0.5]])
    with np.errstate(divide="ignore"):
        logits = np.log(proba)
    for values, kind in ((proba, "proba"), (logits, "logits")):
        found = costly_rows([0, 1, 0, 1], values, input=kind, sample_weight=[1, 1, 1, 0])
        np.testing.assert_array_equal(found.row, [1, 2, 0])
        np.testing.assert_allclose(found.bits, [126, 2, 1])
        np.testing.assert_array_equal(found.predicted, [0, 1, 1])
        np.testing.assert_allclose(found.p_predicted, [1, 0.75, 0.5])
        assert found.zeros == 1
        assert found.share_of_dearest == pytest.approx(126 / 129)


def test_a_finite_logit_has_its_price_however_low():
    assert costly_rows([0, 1], [[0.0, 0.0], [1000.0, 0.0]], input="logits").bits[0] == (
        pytest.approx(1000 / math.log(2))
    )
