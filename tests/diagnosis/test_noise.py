"""Confident learning by hand, by simulation, and beside human votes."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from crossentropy.diagnosis import label_noise
from crossentropy.losses import ForwardCorrection

from .conftest import softmax

# Three classes: the mean probability of its own label is .6, .7 and .8 by class.
LABELS = [0, 0, 0, 1, 1, 1, 2, 2]
PROBA = np.array(
    [
        [0.8, 0.1, 0.1],
        [0.8, 0.2, 0.0],
        [0.2, 0.7, 0.1],  # confidently of class 1: its .7 is the mean itself
        [0.0, 1.0, 0.0],
        [0.1, 0.9, 0.0],
        [0.7, 0.2, 0.1],  # confidently of class 0
        [0.1, 0.0, 0.9],
        [0.2, 0.1, 0.7],  # confident of nothing: .7 is below .8
    ]
)


def noise_of(y=LABELS, proba=PROBA, **options):
    return label_noise(y, proba, input="proba", out_of_sample=True, **options)


def test_the_confident_joint_by_hand():
    noise = noise_of()
    np.testing.assert_allclose(noise.thresholds, [0.6, 0.7, 0.8])
    np.testing.assert_array_equal(noise.confident_joint, [[2, 1, 0], [1, 2, 0], [0, 0, 1]])
    np.testing.assert_allclose(noise.joint * 8, [[2, 1, 0], [1, 2, 0], [0, 0, 2]])
    np.testing.assert_allclose(noise.prior, [3 / 8, 3 / 8, 2 / 8])
    np.testing.assert_allclose(noise.noise_matrix[0], [2 / 3, 1 / 3, 0])
    np.testing.assert_allclose(noise.inverse_noise_matrix[1], [1 / 3, 2 / 3, 0])
    assert noise.noise_rate == pytest.approx(2 / 8)
    assert noise.interval.low < 2 / 8 < noise.interval.high
    assert noise.confident_errors == 2


def test_a_row_goes_to_the_best_class_above_its_threshold_not_to_the_best_of_all():
    # thresholds .9 and .2: the row's best class, 0, is below its own
    noise = noise_of([0, 0, 1, 1], [[0.95, 0.05], [0.85, 0.15], [0.9, 0.1], [0.7, 0.3]])
    np.testing.assert_allclose(noise.thresholds, [0.9, 0.2])
    np.testing.assert_array_equal(noise.confident_joint, [[1, 0], [1, 1]])
    assert noise.confident_errors == 1


def test_suspicious_rows_in_each_order():
    ranked = {rank: noise_of(rank=rank, n_rows=3).suspicious for rank in RANKS}
    assert list(ranked["normalized_margin"].row) == [2, 5, 7]
    assert list(ranked["self_confidence"].row) == [2, 5, 7]
    assert list(ranked["noise_rate"].row) == [2, 5, 7]
    assert list(noise_of(rank="noise_rate").suspicious.row) == [2, 5]
    found = ranked["normalized_margin"]
    assert list(found.given[:2]) == [0, 1]
    assert list(found.suggested[:2]) == [1, 0]
    np.testing.assert_allclose(found.p_given, [0.2, 0.2, 0.7])
    np.testing.assert_allclose(found.p_suggested, [0.7, 0.7, 0.2])


RANKS = ("normalized_margin", "self_confidence", "noise_rate")


@pytest.mark.parametrize("rank", RANKS)
def test_logits_and_probabilities_agree(calibrated, rank):
    y, logits = calibrated(0)
    by_logits = label_noise(y, logits, input="logits", out_of_sample=True, rank=rank)
    by_proba = noise_of(y, softmax(logits), rank=rank)
    np.testing.assert_array_equal(by_logits.confident_joint, by_proba.confident_joint)
    np.testing.assert_array_equal(by_logits.suspicious.row, by_proba.suspicious.row)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("classes", [2, 5])
def test_known_noise_is_recovered(dtype, classes):
    """Out-of-sample predictions of the true classes, with labels flipped by a known matrix."""
    rng = np.random.default_rng(0)
    true = rng.integers(classes, size=40_000)
    flip = 0.7 * np.eye(classes) + 0.3 * rng.dirichlet(np.ones(classes), size=classes)
    given = (flip[true].cumsum(axis=1) > rng.random((len(true), 1))).argmax(axis=1)
    # a model that is sure of the true class and has learnt the noise
    proba = (0.02 / classes + 0.98 * np.eye(classes)[true]) @ flip
    noise = noise_of(given, proba.astype(dtype))
    np.testing.assert_allclose(noise.noise_matrix, flip, atol=0.02)
    np.testing.assert_allclose(noise.prior, np.bincount(true) / len(true), atol=0.01)
    rate = (given != true).mean()
    assert noise.noise_rate == pytest.approx(rate, abs=0.005)
    wrong = np.flatnonzero(given != true)
    assert np.isin(noise.suspicious.row, wrong).mean() > 0.99
    ForwardCorrection(noise.noise_matrix)  # takes it as it is


def test_whole_weights_are_repeated_rows(calibrated):
    y, logits = calibrated(1, n=300)
    times = np.random.default_rng(0).integers(0, 4, 300)
    weighted = label_noise(
        y, logits, input="logits", out_of_sample=True, sample_weight=times, labels=range(4)
    )
    repeated = label_noise(
        np.repeat(y, times), np.repeat(logits, times, axis=0), input="logits", out_of_sample=True
    )
    np.testing.assert_allclose(weighted.confident_joint, repeated.confident_joint)
    np.testing.assert_allclose(weighted.joint, repeated.joint)
    assert weighted.noise_rate == pytest.approx(repeated.noise_rate)
    assert (times[weighted.suspicious.row] > 0).all()


def test_a_class_without_rows_is_no_ones_true_class():
    proba = np.insert(PROBA, 1, 0.0, axis=1)
    labels = ["a", "never", "b", "c"]
    noise = noise_of(np.array(["a", "b", "c"])[LABELS], proba, labels=labels)
    assert noise.thresholds[1] == np.inf
    assert noise.prior[1] == 0
    np.testing.assert_array_equal(noise.noise_matrix[1], [0, 1, 0, 0])
    kept = np.ix_([0, 2, 3], [0, 2, 3])
    np.testing.assert_allclose(noise.joint[kept], noise_of().joint)
    ForwardCorrection(noise.noise_matrix)


def test_a_class_of_which_no_row_is_confident_keeps_its_labels():
    noise = noise_of([0, 0, 1], [[1.0, 0.0], [0.8, 0.2], [0.6, 0.4]])
    assert noise.confident_joint[1].sum() == 1  # .4 is its threshold
    unsure = noise_of([0, 1, 1], [[1.0, 0.0], [0.9, 0.1], [0.7, 0.3]])
    np.testing.assert_allclose(unsure.joint.sum(axis=1), [1 / 3, 2 / 3])


def test_what_is_refused():
    with pytest.raises(ValueError, match="in-sample"):
        label_noise(LABELS, PROBA, input="proba", out_of_sample=False)
    with pytest.raises(TypeError, match="out_of_sample"):
        label_noise(LABELS, PROBA, input="proba")
    with pytest.raises(ValueError, match="rank must be one of"):
        noise_of(rank="loss")
    with pytest.raises(ValueError, match="n_rows"):
        noise_of(n_rows=-1)
    with pytest.raises(ValueError, match="two classes"):
        noise_of([0, 0], [[1.0], [1.0]])
    with pytest.raises(ValueError, match="NaN"):
        label_noise([0, 1], [[0, np.nan], [0, 1]], input="logits", out_of_sample=True)


def test_verified_errors_of_real_labels():
    default = Path(__file__).parents[3] / "shared" / "data" / "predictions"
    folder = Path(os.environ.get("CROSSENTROPY_PREDICTIONS", default))
    stem = folder / "label-errors-cifar10"
    if not stem.with_suffix(".votes.json").exists():
        pytest.skip("no real predictions here")
    votes = json.loads(stem.with_suffix(".votes.json").read_text())
    wrong = [vote["id"] for vote in votes if vote["mturk"]["given"] < 3]
    labels = np.load(stem.with_suffix(".labels.npy"))
    noise = noise_of(labels, np.load(stem.with_suffix(".probs.npy")), n_rows=244)
    assert len(wrong) == 54
    assert np.isin(wrong, noise.suspicious.row).sum() >= 50


@pytest.mark.parametrize("scale", [0.5, 3.0])
def test_the_confident_joint_is_the_papers_literally(calibrated, scale):
    y, logits = calibrated(2, n=1500, classes=6, scale=scale)
    proba = softmax(logits)
    threshold = [proba[y == k, k].mean() for k in range(6)]
    expected = np.zeros((6, 6))
    for given, p in zip(y, proba, strict=True):
        confident = [k for k in range(6) if p[k] >= threshold[k]]
        if confident:
            expected[given, max(confident, key=lambda k: p[k])] += 1
    noise = noise_of(y, proba)
    np.testing.assert_array_equal(noise.confident_joint, expected)
    off = expected.sum() - np.trace(expected)
    assert noise.confident_errors == len(noise.suspicious.row) == off
    np.testing.assert_allclose(noise.joint.sum(axis=1), np.bincount(y) / len(y))
