"""Every property on every row of the table."""

import functools

import ml_dtypes
import mpmath
import numpy as np
import pytest

from crossentropy import losses
from tests import oracle
from tests.table import CLASSES, every_loss

MARGINS = [-1e4, -200.0, -20.0, -1.0, 0.0, 1.0, 20.0, 57.0]


def some_rows(classes, loss=None, n=8, spread=3.0):
    """Logits that have this spread where the loss's rule sees them, and targets."""
    rng = np.random.default_rng(classes)
    logits, target = rng.normal(size=(n, classes)) * spread, rng.integers(0, classes, n)
    return (logits if loss is None else logits / loss.scale), target


def gradient_of(loss, target, logits):
    return loss.loss_gradient(target, logits)[1]


# what is true does not depend on the path, and takes longer than what is tested
@functools.cache
def value_at(loss, literal, margin):
    with mpmath.workdps(60 + max(0, int(margin))):
        logits = [mpmath.mpf(margin / loss.scale) * loss.scale, mpmath.mpf(0)]
        return float(literal(oracle.point(logits, 0), mpmath))


@functools.cache
def derivatives_at(loss, literal, margin):
    """First and second derivative in the target's logit of two."""

    def value(z):
        return literal(oracle.point([z * loss.scale, mpmath.mpf(0)], 0), mpmath)

    with mpmath.workdps(120 + max(0, int(margin))):
        z = mpmath.mpf(margin / loss.scale)
        return [float(mpmath.diff(value, z, order, h=1e-30)) for order in (1, 2)]


@functools.cache
def autograds(loss, literal, classes):
    return oracle.by_autograd(loss, literal, *some_rows(classes, loss))


@every_loss
@pytest.mark.parametrize("margin", MARGINS)
def test_value_to_sixty_digits(path, loss, literal, margin):
    """From losses of 1e-25 to 1e4, however near p is to 0 or 1."""
    got = loss.loss(np.array([0]), np.array([[margin / loss.scale, 0.0]]))
    np.testing.assert_allclose(got, [value_at(loss, literal, margin)], rtol=1e-12)


@every_loss
@pytest.mark.parametrize("classes", [2, 3, 17])
def test_value_gradient_and_hessian_are_autograds(path, loss, literal, classes):
    logits, target = some_rows(classes, loss)
    value, gradient, diagonal = autograds(loss, literal, classes)
    np.testing.assert_allclose(loss.loss(target, logits), value, rtol=1e-10)
    got_value, got_gradient = loss.loss_gradient(target, logits)
    within = {"rtol": 1e-10, "atol": 1e-12 * loss.scale}
    np.testing.assert_allclose(got_value, value, rtol=1e-10)
    np.testing.assert_allclose(got_gradient, gradient, **within)
    got_gradient, got_diagonal = loss.gradient_hessian(target, logits)
    np.testing.assert_allclose(got_gradient, gradient, **within)
    np.testing.assert_allclose(got_diagonal, diagonal, rtol=1e-9, atol=1e-11 * loss.scale**2)


@every_loss
@pytest.mark.parametrize("margin", MARGINS)
def test_gradient_and_hessian_are_derivatives_at_the_extremes(path, loss, literal, margin):
    logits = np.array([[margin / loss.scale, 0.0]])
    first, second = derivatives_at(loss, literal, margin)
    gradient, hessian = loss.gradient_hessian(np.array([0]), logits)
    exact = 1e-14 if loss.needs_weighted else 1e-30  # their a·p, c·w and b are each as exact
    np.testing.assert_allclose(gradient[0, 0], max(first, -1e300), rtol=1e-9, atol=exact)
    if np.isfinite(second):
        np.testing.assert_allclose(hessian[0, 0], second, rtol=1e-6, atol=1e-12 * loss.scale**2)


@every_loss
@pytest.mark.parametrize("classes", CLASSES)
def test_a_rows_gradient_sums_to_zero(path, loss, literal, classes):
    logits, target = some_rows(classes, loss)
    gradient = gradient_of(loss, target, logits)
    size = np.abs(gradient).sum(1) + loss.scale
    np.testing.assert_allclose(gradient.sum(1) / size, 0, atol=1e-12)


@every_loss
def test_adding_a_constant_changes_nothing(path, loss, literal):
    logits, target = some_rows(5, loss)
    shifted = logits + np.array([[-50.0], [1000.0]] * 4) / loss.scale
    value, gradient = loss.loss_gradient(target, logits)
    moved_value, moved_gradient = loss.loss_gradient(target, shifted)
    np.testing.assert_allclose(moved_value, value, rtol=1e-9)
    np.testing.assert_allclose(moved_gradient, gradient, rtol=1e-9, atol=1e-10 * loss.scale)


@every_loss
def test_permuting_classes_permutes_the_gradient(path, loss, literal):
    """Of classes whose margins are alike, where they have margins of their own."""
    logits, target = some_rows(33, loss)
    order = np.arange(33).reshape(11, 3)[np.random.default_rng(4).permutation(11)].ravel()
    value, gradient = loss.loss_gradient(target, logits)
    permuted = loss.loss_gradient(np.argsort(order)[target], logits[:, order])
    np.testing.assert_allclose(permuted[0], value, rtol=1e-12)
    want = gradient[:, order]
    np.testing.assert_allclose(permuted[1], want, rtol=1e-12, atol=1e-13 * loss.scale)


@every_loss
def test_two_classes_are_the_sigmoid_of_the_difference(path, loss, literal):
    logits, target = some_rows(2, loss)
    signed = np.where(target == 1, 1, -1) * (logits[:, 1] - logits[:, 0]) * loss.scale
    p, q = 1 / (1 + np.exp(-signed)), 1 / (1 + np.exp(signed))
    at = oracle.Point(p, q, -np.log(p) - np.log(q), target)
    np.testing.assert_allclose(loss.loss(target, logits), literal(at, np), rtol=1e-10)


@every_loss
def test_impossible_and_certain_rows(path, loss, literal):
    """p = 0 and p = 1 exactly: gradients stay finite."""
    logits = np.array([[-np.inf, 0.0], [0.0, -np.inf], [-800.0, 0.0], [800.0, 0.0]])
    value, gradient = loss.loss_gradient(np.zeros(4, dtype=int), logits)
    assert np.isfinite(gradient).all()
    assert not np.isnan(value).any()
    np.testing.assert_allclose(value[[1, 3]], 0, atol=1e-300)
    np.testing.assert_array_equal(gradient[[1, 3]], 0)
    assert np.isfinite(loss.gradient_hessian(np.zeros(4, dtype=int), logits)[1]).all()


@every_loss
def test_masked_classes_have_no_gradient(path, loss, literal):
    logits, target = some_rows(6, loss)
    target = target % 4
    value, gradient = loss.loss_gradient(target, logits)
    masked = np.concatenate([np.full((8, 2), -np.inf), logits], axis=1)
    got_value, got_gradient = loss.loss_gradient(target + 2, masked)
    assert np.isfinite(got_gradient).all()
    np.testing.assert_array_equal(got_gradient[:, :2], 0)
    if not loss.needs_weighted and not isinstance(loss, losses.LDAM):
        np.testing.assert_allclose(got_value, value, rtol=1e-13)
        np.testing.assert_allclose(got_gradient[:, 2:], gradient, rtol=1e-12, atol=1e-13)


@every_loss
def test_bad_logits_are_never_hidden(path, loss, literal):
    logits = np.array([[np.nan, 0.0], [0.0, np.inf], [np.inf, 0.0]])
    value, gradient = loss.loss_gradient(np.zeros(3, dtype=int), logits)
    assert np.isnan(gradient).all()
    assert np.isnan(value).all()


@every_loss
def test_weights_multiply_value_gradient_and_hessian(path, loss, literal):
    logits, target = some_rows(4, loss)
    sample_weight = np.linspace(0, 2, len(target))
    class_weight = np.array([0.5, 1.0, 2.0, 3.0])
    weights = {"sample_weight": sample_weight, "class_weight": class_weight}
    factor = sample_weight * class_weight[target]
    plain = loss.loss_gradient(target, logits)
    weighted = loss.loss_gradient(target, logits, **weights)
    np.testing.assert_allclose(weighted[0], factor * plain[0])
    np.testing.assert_allclose(weighted[1], factor[:, None] * plain[1], atol=1e-13)
    hessian = loss.gradient_hessian(target, logits, **weights)[1]
    plain_hessian = loss.gradient_hessian(target, logits)[1]
    np.testing.assert_allclose(hessian, factor[:, None] * plain_hessian, atol=1e-11)


@every_loss
@pytest.mark.parametrize("dtype", [np.float32, np.float16, ml_dtypes.bfloat16])
def test_losses_of_shorter_logits(path, loss, literal, dtype):
    """As of the same numbers in float64, but for one rounding of gradient and Hessian."""
    logits, target = some_rows(10, loss)
    logits = logits.astype(dtype)
    value, gradient = loss.loss_gradient(target, logits)
    want, want_gradient = loss.loss_gradient(target, logits.astype(np.float64))
    assert value.dtype == np.float64
    np.testing.assert_allclose(value, want, rtol=1e-5)
    got, hessian = loss.gradient_hessian(target, logits)
    want_hessian = loss.gradient_hessian(target, logits.astype(np.float64))[1]
    step, least = (float(getattr(ml_dtypes.finfo(dtype), x)) for x in ("eps", "tiny"))
    np.testing.assert_array_equal(got, gradient)
    for mine, theirs in ((gradient, want_gradient), (hessian, want_hessian)):
        assert mine.dtype == dtype
        scale = np.abs(theirs).max()
        mine = mine.astype(np.float64)
        np.testing.assert_allclose(mine, theirs, rtol=step + 2e-5, atol=2e-7 * scale + step * least)
