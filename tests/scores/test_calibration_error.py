"""Kinds of calibration error against sums by hand, and their bands against simulation."""

import numpy as np
import pytest

from crossentropy.scores import _bins, calibration_error, expected_calibration_error

KINDS = ("ece", "ace", "mce", "classwise", "debiased", "smooth")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("weighted", [False, True])
def test_logits_probabilities_and_any_order_of_rows_give_the_same(classes, kind, weighted):
    weight = classes.weight if weighted else None
    one = calibration_error(
        classes.y, classes.logits, input="logits", kind=kind, sample_weight=weight
    )
    order = np.random.default_rng(0).permutation(400)
    other = calibration_error(
        classes.y[order],
        classes.proba[order],
        input="proba",
        kind=kind,
        sample_weight=None if weight is None else 3 * weight[order],
    )
    assert float(one) == pytest.approx(float(other), abs=1e-9)
    assert one.debiased == pytest.approx(other.debiased, abs=1e-9)


def test_kinds_by_hand(classes):
    y, proba = classes.y, classes.proba
    said = {"input": "proba", "bins": 6}

    def expected(p, happened, bin_of):
        return sum(abs((p - happened)[bin_of == k].sum()) / len(p) for k in range(bin_of.max() + 1))

    top, right = proba.max(axis=1), proba.argmax(axis=1) == y
    width = np.clip(np.ceil(top * 6).astype(int) - 1, 0, 5)
    ece = calibration_error(y, proba, kind="ece", **said)
    assert float(ece) == pytest.approx(expected(top, right, width))
    assert float(ece) == pytest.approx(expected_calibration_error(y, proba, **said))
    gaps = [abs((top - right)[width == k].mean()) for k in set(width)]
    assert float(calibration_error(y, proba, kind="mce", **said)) == pytest.approx(max(gaps))
    rank = top.argsort().argsort()
    mass = (rank + 0.5).astype(float) * 6 // 400
    ace = calibration_error(y, proba, kind="ace", **said)
    assert float(ace) == pytest.approx(expected(top, right, mass.astype(int)))
    each = [
        expected(proba[:, k], y == k, np.clip(np.ceil(proba[:, k] * 6).astype(int) - 1, 0, 5))
        for k in range(5)
    ]
    classwise = calibration_error(y, proba, kind="classwise", **said)
    assert float(classwise) == pytest.approx(np.mean(each))
    one = calibration_error(y, proba, kind="ece", pos_label=3, **said)
    assert float(one) == pytest.approx(each[3])


def test_debiased_beside_every_kind_and_by_itself(classes):
    errors = {k: calibration_error(classes.y, classes.proba, input="proba", kind=k) for k in KINDS}
    assert errors["debiased"].estimate == errors["debiased"].debiased == errors["ace"].debiased
    assert errors["ece"].debiased == errors["mce"].debiased
    assert errors["smooth"].debiased == pytest.approx(errors["ace"].debiased, abs=5e-3)


def calibrated(rng, count=400, classes=3, sharpness=1.0):
    logits = 1.5 * rng.normal(size=(count, classes))
    y = (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)
    return y, sharpness * logits


@pytest.mark.parametrize("kind", KINDS)
def test_calibrated_predictions_lie_in_their_band_and_bold_ones_above_it(kind):
    """At 95 %, of 60 seldom more than 9 outside; draws of smooth ones are dear, so fewer."""
    rng = np.random.default_rng(7)
    trials, draws = (10, 60) if kind == "smooth" else (60, 300)
    said = {"input": "logits", "kind": kind, "labels": range(3)}
    outside, small = 0, 0
    for _ in range(trials):
        error = calibration_error(*calibrated(rng), **said)
        low, high = error.null_band(draws=draws)
        outside += not low - 1e-9 <= float(error) <= high + 1e-9
        small += error.p_value(draws=draws) < 0.05
        assert error.interval(draws=draws)[0] == 0 or float(error) > high * 0.8
    assert outside <= 2 + 0.12 * trials
    assert small <= 2 + 0.12 * trials
    bold = calibration_error(*calibrated(rng, 2000, sharpness=2.5), **said)
    if kind != "mce":  # the maximum is ruled by the emptiest bin
        assert float(bold) > bold.null_band(draws=draws)[1]
        assert bold.p_value(draws=draws) < 0.02


def test_the_interval_covers_the_truth_where_a_percentile_interval_does_not():
    rng = np.random.default_rng(8)
    logits = 1.5 * rng.normal(size=(500_000, 3))
    y = (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)
    bold = 1.15 * logits
    truth = expected_calibration_error(y, bold, input="logits")
    ours, plain = 0, 0
    for start in range(0, 100_000, 1000):
        part = slice(start, start + 1000)
        error = calibration_error(y[part], bold[part], input="logits")
        low, high = error.interval(draws=200)
        ours += low <= truth <= high
        drawn = _bins.distribution(_bins.expected_error, error.bins, _bins.resampled, 200, 0)
        plain += drawn[5] <= truth <= drawn[194]
    assert ours >= 75  # of 100
    assert plain <= 45


def test_the_same_seed_gives_the_same_band(classes):
    error = calibration_error(classes.y, classes.proba, input="proba")
    assert error.null_band(seed=1) == error.null_band(seed=1) != error.null_band(seed=2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "smoth"}, "did you mean 'smooth'"),
        ({"bins": 0}, "bins must be at least 1"),
        ({"kind": "classwise", "pos_label": 1}, "leave pos_label out"),
        ({"pos_label": 9}, "pos_label=9 is no label"),
    ],
)
def test_errors_say_what_is_wrong(classes, options, message):
    with pytest.raises(ValueError, match=message):
        calibration_error(classes.y, classes.proba, input="proba", **options)
    with pytest.raises(ValueError, match="level must be"):
        calibration_error(classes.y, classes.proba, input="proba").null_band(level=95)
