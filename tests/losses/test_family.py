"""Every property on every row of the table."""

import mpmath
import numpy as np
import pytest

from crossentropy import losses, rows
from tests import oracle
from tests.table import CLASSES, every_loss

MARGINS = [-1e4, -200.0, -20.0, -1.0, 0.0, 1.0, 20.0, 57.0]


def some_rows(classes, n=8, scale=3.0):
    rng = np.random.default_rng(classes)
    return rng.normal(size=(n, classes)) * scale, rng.integers(0, classes, n)


def gradient_of(loss, target, logits):
    return loss.loss_gradient(target, logits)[1]


@every_loss
@pytest.mark.parametrize("margin", MARGINS)
def test_value_to_sixty_digits(path, loss, literal, margin):
    """From losses of 1e-25 to 1e4, however near p is to 0 or 1."""
    got = loss.loss(np.array([0]), np.array([[margin, 0.0]]))
    with mpmath.workdps(60 + max(0, int(margin))):
        want = float(literal(1 / (1 + mpmath.exp(-mpmath.mpf(margin))), mpmath))
    np.testing.assert_allclose(got, [want], rtol=1e-12)


@every_loss
@pytest.mark.parametrize("classes", [c for c in CLASSES if 1 < c <= 33])
def test_value_gradient_and_hessian_are_autograds(path, loss, literal, classes):
    logits, target = some_rows(classes)
    value, gradient, diagonal = oracle.by_autograd(literal, logits, target)
    np.testing.assert_allclose(loss.loss(target, logits), value, rtol=1e-10)
    got_value, got_gradient = loss.loss_gradient(target, logits)
    np.testing.assert_allclose(got_value, value, rtol=1e-10)
    np.testing.assert_allclose(got_gradient, gradient, atol=1e-12)
    got_gradient, got_diagonal = loss.gradient_hessian(target, logits)
    np.testing.assert_allclose(got_gradient, gradient, atol=1e-12)
    np.testing.assert_allclose(got_diagonal, diagonal, atol=1e-11)


@every_loss
@pytest.mark.parametrize("margin", MARGINS)
def test_slope_and_curvature_are_derivatives_at_the_extremes(loss, literal, margin):
    logits = np.array([[margin, 0.0]])
    row = rows.statistics(rows.make(logits, np.array([0])))
    with mpmath.workdps(120 + max(0, int(margin))):
        u = -mpmath.log1p(mpmath.exp(-mpmath.mpf(margin)))
        first = mpmath.diff(lambda t: literal(mpmath.exp(t), mpmath), u, h=abs(u) * 1e-30)
        second = mpmath.diff(lambda t: literal(mpmath.exp(t), mpmath), u, 2, h=abs(u) * 1e-25)
    np.testing.assert_allclose(loss.slope(row), -float(first.real), rtol=1e-9, atol=1e-30)
    np.testing.assert_allclose(loss.curvature(row), float(second.real), rtol=1e-6, atol=1e-12)


@every_loss
@pytest.mark.parametrize("classes", CLASSES)
def test_a_rows_gradient_sums_to_zero(path, loss, literal, classes):
    logits, target = some_rows(classes)
    np.testing.assert_allclose(gradient_of(loss, target, logits).sum(1), 0, atol=1e-12)


@every_loss
def test_adding_a_constant_changes_nothing(path, loss, literal):
    logits, target = some_rows(5)
    shifted = logits + np.array([[-50.0], [1000.0]] * 4)
    value, gradient = loss.loss_gradient(target, logits)
    moved_value, moved_gradient = loss.loss_gradient(target, shifted)
    np.testing.assert_allclose(moved_value, value, rtol=1e-9)
    np.testing.assert_allclose(moved_gradient, gradient, atol=1e-10)


@every_loss
def test_permuting_classes_permutes_the_gradient(path, loss, literal):
    logits, target = some_rows(33)
    order = np.random.default_rng(4).permutation(33)
    value, gradient = loss.loss_gradient(target, logits)
    permuted = loss.loss_gradient(np.argsort(order)[target], logits[:, order])
    np.testing.assert_allclose(permuted[0], value, rtol=1e-13)
    np.testing.assert_allclose(permuted[1], gradient[:, order], atol=1e-14)


@every_loss
def test_two_classes_are_the_sigmoid_of_the_difference(path, loss, literal):
    logits, target = some_rows(2)
    signed = np.where(target == 1, 1, -1) * (logits[:, 1] - logits[:, 0])
    p = 1 / (1 + np.exp(-signed))
    np.testing.assert_allclose(loss.loss(target, logits), literal(p, np), rtol=1e-10)


@every_loss
def test_impossible_and_certain_rows(path, loss, literal):
    """p = 0 and p = 1 exactly: gradients stay finite."""
    logits = np.array([[-np.inf, 0.0], [0.0, -np.inf], [-800.0, 0.0], [800.0, 0.0]])
    value, gradient = loss.loss_gradient(np.zeros(4, dtype=int), logits)
    assert np.isfinite(gradient).all()
    assert not np.isnan(value).any()
    np.testing.assert_array_equal(value[[1, 3]], 0)
    np.testing.assert_array_equal(gradient[[1, 3]], 0)
    assert np.isfinite(loss.gradient_hessian(np.zeros(4, dtype=int), logits)[1]).all()


@every_loss
def test_bad_logits_are_never_hidden(path, loss, literal):
    logits = np.array([[np.nan, 0.0], [0.0, np.inf], [np.inf, 0.0]])
    value, gradient = loss.loss_gradient(np.zeros(3, dtype=int), logits)
    assert np.isnan(gradient).all()
    assert np.isnan(value).all()


@every_loss
def test_weights_multiply_value_gradient_and_hessian(path, loss, literal):
    logits, target = some_rows(4)
    sample_weight = np.linspace(0, 2, len(target))
    class_weight = np.array([0.5, 1.0, 2.0, 3.0])
    weights = {"sample_weight": sample_weight, "class_weight": class_weight}
    factor = sample_weight * class_weight[target]
    plain, weighted = loss.loss_gradient(target, logits), None
    weighted = loss.loss_gradient(target, logits, **weights)
    np.testing.assert_allclose(weighted[0], factor * plain[0])
    np.testing.assert_allclose(weighted[1], factor[:, None] * plain[1], atol=1e-14)
    hessian = loss.gradient_hessian(target, logits, **weights)[1]
    plain_hessian = loss.gradient_hessian(target, logits)[1]
    np.testing.assert_allclose(hessian, factor[:, None] * plain_hessian, atol=1e-14)


@every_loss
def test_losses_of_float32_logits(path, loss, literal):
    logits, target = some_rows(10)
    exact = loss.loss_gradient(target, logits.astype(np.float32).astype(float))
    value, gradient = loss.loss_gradient(target, logits.astype(np.float32))
    assert value.dtype == np.float64
    assert gradient.dtype == np.float32
    np.testing.assert_allclose(value, exact[0], rtol=1e-5)
    np.testing.assert_allclose(gradient, exact[1], atol=1e-6)


@pytest.mark.parametrize(
    "loss",
    [
        losses.Focal(0.0),
        losses.Poly(0.0),
        losses.GeneralizedCrossEntropy(0.0),
        losses.GeneralizedCrossEntropy(1e-12),
        losses.SymmetricCrossEntropy(1.0, 0.0),
    ],
    ids=repr,
)
def test_limits_are_cross_entropy(path, loss):
    logits, target = some_rows(6)
    want = losses.CrossEntropy().loss_gradient(target, logits)
    got = loss.loss_gradient(target, logits)
    np.testing.assert_allclose(got[0], want[0], rtol=1e-9)
    np.testing.assert_allclose(got[1], want[1], atol=1e-9)


def test_generalized_cross_entropy_at_one_is_half_the_absolute_error(path):
    logits, target = some_rows(6)
    half = losses.GeneralizedCrossEntropy(1.0).loss(target, logits)
    np.testing.assert_allclose(2 * half, losses.MeanAbsoluteError().loss(target, logits))


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: losses.Focal(-1), "gamma must be a number of at least 0, got -1"),
        (lambda: losses.Focal(np.nan), "gamma"),
        (lambda: losses.Poly(-2), "epsilon"),
        (lambda: losses.GeneralizedCrossEntropy(1.5), r"q must lie in \[0, 1\], got 1.5"),
        (lambda: losses.SymmetricCrossEntropy(alpha=-1), "alpha"),
        (lambda: losses.SymmetricCrossEntropy(beta=np.inf), "beta"),
    ],
)
def test_parameters_out_of_range(make, says):
    with pytest.raises(ValueError, match=says):
        make()


def test_labels_are_never_ignored_in_silence():
    with pytest.raises(IndexError, match="Target -100 is out of bounds"):
        losses.CrossEntropy().loss(np.array([-100]), np.zeros((1, 3)))
