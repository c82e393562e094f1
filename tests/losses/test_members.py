"""What members of the family are in the limit, and what only they do."""

import itertools

import numpy as np
import pytest

from crossentropy import losses
from tests.losses.test_family import some_rows

INF = np.inf


def assert_same_loss(got, want, factor=1.0, tolerance=1e-9):
    """Value, gradient and Hessian, `got` times a factor."""
    logits, target = some_rows(6)
    pairs = zip(got.loss_gradient(target, logits), want.loss_gradient(target, logits), strict=True)
    for mine, theirs in pairs:
        np.testing.assert_allclose(factor * mine, theirs, rtol=tolerance, atol=tolerance)
    mine, theirs = (loss.gradient_hessian(target, logits)[1] for loss in (got, want))
    np.testing.assert_allclose(factor * mine, theirs, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(
    "loss",
    [
        losses.Focal(0.0),
        losses.Poly(0.0),
        losses.GeneralizedCrossEntropy(0.0),
        losses.GeneralizedCrossEntropy(1e-12),
        losses.TruncatedGeneralizedCrossEntropy(0.0, 0.0),
        losses.SymmetricCrossEntropy(1.0, 0.0),
        losses.CompSum(1.0),
        losses.CompSum(1 - 1e-12),
        losses.CosFace(margin=0.0, scale=1.0),
    ],
    ids=repr,
)
def test_limits_are_cross_entropy(path, loss):
    assert_same_loss(loss, losses.CrossEntropy())


def test_the_taylor_series_converges_to_cross_entropy():
    """After T terms the rest is below (1 − p)^(T + 1)/(p (T + 1))."""
    target, logits = np.array([0, 0]), np.array([[1.0, 0.0, 0.0], [-2.0, 0.0, 0.0]])
    p = np.exp(-losses.CrossEntropy().loss(target, logits))
    for degree in (1, 10, 100, 1000):
        rest = losses.CrossEntropy().loss(target, logits) - losses.TaylorCrossEntropy(degree).loss(
            target, logits
        )
        assert (rest > -1e-12).all()
        assert (rest <= (1 - p) ** (degree + 1) / (p * (degree + 1)) + 1e-12).all()


@pytest.mark.parametrize(
    ("loss", "factor", "other"),
    [
        (losses.GeneralizedCrossEntropy(1.0), 2, losses.MeanAbsoluteError()),
        (losses.CompSum(2.0), 2, losses.MeanAbsoluteError()),
        (losses.TaylorCrossEntropy(1), 2, losses.MeanAbsoluteError()),
        (losses.CompSum(1.3), 1, losses.GeneralizedCrossEntropy(0.3)),
        (losses.TruncatedGeneralizedCrossEntropy(0.7, 0.0), 1, losses.GeneralizedCrossEntropy(0.7)),
        (losses.ReverseCrossEntropy(), -2 / np.log(1e-4), losses.MeanAbsoluteError()),
        (
            0.1 * losses.CrossEntropy() + losses.ReverseCrossEntropy(),
            1,
            losses.SymmetricCrossEntropy(0.1, 1.0),
        ),
    ],
    ids=repr,
)
def test_members_that_are_each_other(path, loss, factor, other):
    assert_same_loss(loss, other, factor, tolerance=1e-13)


def test_truncation_silences_rows_below_the_threshold(path):
    loss = losses.TruncatedGeneralizedCrossEntropy(q=0.7, k=0.5)
    logits = np.log([[0.4, 0.6], [0.6, 0.4]])
    value, gradient = loss.loss_gradient(np.array([0, 0]), logits)
    np.testing.assert_allclose(value, (1 - np.array([0.5, 0.6]) ** 0.7) / 0.7)
    np.testing.assert_array_equal(gradient[0], 0)
    assert (gradient[1] != 0).all()


def test_normalized_cross_entropy_by_hand(path):
    """p = (.25, .75): log 4 / (log 4 + log 4/3)."""
    loss = losses.NormalizedCrossEntropy()
    logits = np.log([[0.25, 0.75]])
    share = np.log(4) / (np.log(4) + np.log(4 / 3))
    np.testing.assert_allclose(loss.loss(np.array([0]), logits), [share])
    np.testing.assert_allclose(loss.loss(np.array([1]), logits), [1 - share])


def test_normalized_cross_entropies_of_all_targets_sum_to_one(path):
    logits = np.repeat(some_rows(7)[0][:1], 7, axis=0)
    shares = losses.NormalizedCrossEntropy().loss(np.arange(7), logits)
    np.testing.assert_allclose(shares.sum(), 1)


def test_a_normalized_impossible_row_is_lost_whole(path):
    loss = losses.NormalizedCrossEntropy()
    value, gradient = loss.loss_gradient(np.array([0, 1]), np.array([[-INF, 0, 1], [-INF, 0, 1]]))
    np.testing.assert_allclose(value, [1, 0], atol=1e-200)
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize(
    ("loss", "margins"),
    [
        (losses.CosFace(), [0.35] * 4),
        (losses.CosFace(margin=0.1, scale=5.0), [0.1] * 4),
        (losses.LDAM((810, 160, 10, 10)), [1 / 6, 0.25, 0.5, 0.5]),
    ],
    ids=lambda x: getattr(x, "name", ""),
)
def test_margins_are_taken_off_the_targets_logit(path, loss, margins):
    """As cross entropy of scale·(z − m·onehot(y)), on cosines."""
    rng = np.random.default_rng(0)
    cosines, target = rng.uniform(-1, 1, (40, 4)), rng.integers(0, 4, 40)
    pushed = cosines - np.array(margins)[target][:, None] * np.eye(4)[target]
    plain = losses.CrossEntropy()
    value, gradient = plain.loss_gradient(target, loss.scale * pushed)
    hessian = plain.gradient_hessian(target, loss.scale * pushed)[1]
    got = loss.loss_gradient(target, cosines)
    np.testing.assert_allclose(got[0], value, rtol=1e-10)
    np.testing.assert_allclose(got[1], loss.scale * gradient, rtol=1e-9, atol=1e-12)
    got = loss.gradient_hessian(target, cosines)[1]
    np.testing.assert_allclose(got, loss.scale**2 * hessian, rtol=1e-9, atol=1e-9)


def test_margins_of_counts():
    loss = losses.LDAM(np.array([10_000, 16, 1]), max_margin=0.6)
    np.testing.assert_allclose(loss.margins, [0.06, 0.3, 0.6])
    assert loss == losses.LDAM([10_000, 16, 1], 0.6)
    assert hash(loss) == hash(losses.LDAM([10_000, 16, 1], 0.6))
    assert loss.label == "ldam (max_margin = 0.6, scale = 30)"


def test_counts_of_other_classes():
    with pytest.raises(ValueError, match="class_counts are of 2 classes, the logits have 3"):
        losses.LDAM((1, 2)).loss(np.array([0]), np.zeros((1, 3)))


def test_slopes_that_no_float32_holds(path):
    """The sum-exponential loss at p = e⁻²⁰⁰: a is 7e86, and a·p_j a number for other j."""
    logits = np.array([[-200.0, 0.0, -190.0]])
    value, gradient = losses.CompSum(0.0).loss_gradient(np.array([0]), logits)
    np.testing.assert_allclose(value, [np.exp(200) + np.exp(10)])
    want = [[-np.exp(200) - np.exp(10), np.exp(200), np.exp(10)]]
    np.testing.assert_allclose(gradient, want, rtol=1e-12)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: losses.Focal(-1), "gamma must be a number of at least 0, got -1"),
        (lambda: losses.Focal(np.nan), "gamma"),
        (lambda: losses.Poly(-2), "epsilon"),
        (lambda: losses.TaylorCrossEntropy(0), "degree must be a number of at least 1, got 0"),
        (lambda: losses.TaylorCrossEntropy(2.5), "degree must be a whole number, got 2.5"),
        (lambda: losses.GeneralizedCrossEntropy(1.5), r"q must lie in \[0, 1\], got 1.5"),
        (lambda: losses.TruncatedGeneralizedCrossEntropy(k=1.5), r"k must lie in \[0, 1\]"),
        (lambda: losses.CompSum(-0.1), "tau"),
        (lambda: losses.SymmetricCrossEntropy(alpha=-1), "alpha"),
        (lambda: losses.SymmetricCrossEntropy(beta=np.inf), "beta"),
        (lambda: losses.active_passive(-1), "factor must be a number of at least 0, got -1"),
        (lambda: losses.CosFace(margin=-1), "margin"),
        (lambda: losses.CosFace(scale=0), "scale must be a positive number, got 0"),
        (lambda: losses.CosFace(scale=2000), "scale times margin must be at most 500 nats"),
        (lambda: losses.LDAM([]), "class_counts must be at least 1 for every class"),
        (lambda: losses.LDAM([3, 0]), "class_counts must be at least 1 for every class"),
        (lambda: losses.LDAM([3, 1], max_margin=-1), "max_margin"),
    ],
)
def test_parameters_out_of_range(make, says):
    with pytest.raises(ValueError, match=says):
        make()


def test_labels_are_never_ignored_in_silence():
    with pytest.raises(IndexError, match="Target -100 is out of bounds"):
        losses.CrossEntropy().loss(np.array([-100]), np.zeros((1, 3)))


@pytest.mark.parametrize("gamma", [0.3, 1.0, 1.5, 2.0, 3.0, 5.0])
def test_focal_weights_fall_with_confidence(gamma):
    """Of rows that are ever surer, the loss relative to cross entropy falls."""
    logits = np.stack([np.linspace(-5, 5, 30), np.zeros(30)], axis=1)
    target = np.zeros(30, dtype=int)
    ratio = losses.Focal(gamma).loss(target, logits) / losses.CrossEntropy().loss(target, logits)
    assert all(later < earlier for earlier, later in itertools.pairwise(ratio))
