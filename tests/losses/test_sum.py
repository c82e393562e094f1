"""Sums of losses are the sums of their parts."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossentropy import losses
from crossentropy.losses import CrossEntropy, Focal, MeanAbsoluteError, NormalizedCrossEntropy
from tests.losses.test_family import some_rows
from tests.table import ROWS

LOGITS, TARGET = some_rows(4)
SUMMANDS = [row.loss for row in ROWS if row.loss.scale == 1]
parts_of = st.lists(st.tuples(st.floats(0, 10), st.sampled_from(SUMMANDS)), min_size=1, max_size=4)


@given(parts_of)
def test_everything_adds_up(parts):
    total = sum(factor * loss for factor, loss in parts)
    value, gradient = total.loss_gradient(TARGET, LOGITS)
    hessian = total.gradient_hessian(TARGET, LOGITS)[1]
    want = [0.0, 0.0, 0.0]
    for factor, loss in parts:
        of_part = *loss.loss_gradient(TARGET, LOGITS), loss.gradient_hessian(TARGET, LOGITS)[1]
        want = [x + factor * y for x, y in zip(want, of_part, strict=True)]
    for got, right in zip((value, gradient, hessian), want, strict=True):
        np.testing.assert_allclose(got, right, rtol=1e-10, atol=1e-12)


def test_slopes_and_curvatures_add_up():
    row = losses._base._Call.of(CrossEntropy(), TARGET, LOGITS, None, None, 1).statistics()
    total = 2 * Focal() + 0.5 * MeanAbsoluteError()
    for method in ("slope", "curvature"):
        of_focal, of_mae = (getattr(loss, method)(row) for loss in (Focal(), MeanAbsoluteError()))
        np.testing.assert_allclose(getattr(total, method)(row), 2 * of_focal + 0.5 * of_mae)


def test_arithmetic():
    loss = 0.1 * CrossEntropy() + Focal()
    assert repr(loss) == "0.1 * CrossEntropy() + Focal(gamma=2.0)"
    assert eval(repr(loss), vars(losses)) == loss
    assert loss.label == "0.1 · cross entropy + focal (gamma = 2)"
    assert loss.name == "0.1*cross_entropy+focal"
    assert loss == CrossEntropy() * 0.1 + Focal()
    assert hash(loss) == hash(0.1 * CrossEntropy() + Focal())
    assert 2 * loss == 0.2 * CrossEntropy() + 2 * Focal()
    assert loss + loss == losses.Sum(loss.parts + loss.parts)
    assert sum([Focal()]) == Focal()
    assert np.float64(0.5) * Focal() == 0.5 * Focal() == np.float32(0.5) * Focal()


def test_what_a_sum_needs_is_what_its_parts_need():
    assert (Focal() + NormalizedCrossEntropy()).needs_weighted
    assert not (Focal() + 0 * NormalizedCrossEntropy()).needs_weighted
    assert (0.5 * losses.CosFace(scale=8.0)).scale == 8


def test_a_factor_of_zero_silences_an_infinite_loss():
    logits = np.array([[-np.inf, 0.0]])
    value, gradient = (0 * CrossEntropy() + MeanAbsoluteError()).loss_gradient(ZERO, logits)
    np.testing.assert_array_equal(value, [2])
    value, gradient = (0 * CrossEntropy()).loss_gradient(ZERO, logits)
    np.testing.assert_array_equal(value, [0])
    np.testing.assert_array_equal(gradient, [[0, 0]])
    np.testing.assert_array_equal((0 * Focal()).gradient_hessian(ZERO, logits)[1], [[0, 0]])


ZERO = np.zeros(1, dtype=int)


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda: -1 * Focal(), ValueError, "factor must be a number of at least 0, got -1"),
        (lambda: np.inf * Focal(), ValueError, "factor must be a number of at least 0, got inf"),
        (lambda: np.nan * Focal(), ValueError, "factor"),
        (lambda: losses.Sum(()), ValueError, "needs at least one loss"),
        (
            lambda: Focal() + losses.CosFace(),
            ValueError,
            r"scale the logits alike, got Focal\(gamma=2.0\): 1, CosFace\(.*\): 64",
        ),
        (lambda: Focal() + 1, TypeError, "unsupported operand"),
        (lambda: 1 + Focal(), TypeError, "unsupported operand"),
        (lambda: Focal() * Focal(), TypeError, "unsupported operand|can't multiply"),
        (lambda: "2" * Focal(), TypeError, "can't multiply"),
    ],
)
def test_errors(make, error, says):
    with pytest.raises(error, match=says):
        make()
