"""The stable pieces, against many digits and scipy, at the edges of the type."""

import mpmath
import numpy as np
import pytest
import scipy.special
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import crossentropy as ce

NUMBERS = st.floats(-1e4, 1e4) | st.floats(-1, 1)


@given(hnp.arrays(np.float64, st.integers(1, 6), elements=NUMBERS))
def test_softmax_and_its_logarithm(z):
    with mpmath.workdps(60):
        exponentials = [mpmath.exp(mpmath.mpf(float(x)) - mpmath.mpf(float(z.max()))) for x in z]
        others = [mpmath.fsum(exponentials[:i] + exponentials[i + 1 :]) for i in range(len(z))]
        # −log p = log(1 + rest / own), which has its digits where p is nearly one
        want = [float(-mpmath.log1p(r / e)) for r, e in zip(others, exponentials, strict=True)]
    np.testing.assert_allclose(ce.log_softmax(z), want, rtol=1e-13, atol=1e-300)
    np.testing.assert_allclose(ce.softmax(z), np.exp(want), rtol=1e-11, atol=1e-300)
    np.testing.assert_allclose(ce.logsumexp(z), scipy.special.logsumexp(z), rtol=1e-13, atol=1e-15)


@given(NUMBERS)
def test_sigmoid_and_its_logarithm(z):
    with mpmath.workdps(60):
        want = float(-mpmath.log1p(mpmath.exp(-mpmath.mpf(z))))
    assert ce.log_sigmoid(z) == pytest.approx(want, rel=1e-13, abs=1e-300)
    assert ce.sigmoid(z) == pytest.approx(np.exp(want), rel=1e-11, abs=1e-300)
    assert ce.sigmoid(z) == pytest.approx(scipy.special.expit(z), rel=1e-13, abs=1e-300)


def test_infinities():
    inf, nan = np.inf, np.nan
    z = np.array([[0.0, -inf], [-inf, -inf], [inf, 0.0], [nan, 0.0]])
    np.testing.assert_array_equal(ce.logsumexp(z), [0, -inf, inf, nan])
    np.testing.assert_array_equal(ce.log_softmax(z)[0], [0, -inf])
    np.testing.assert_array_equal(ce.softmax(z)[0], [1, 0])
    assert np.isnan(ce.log_softmax(z[1:])).any(axis=1).all()
    assert np.isnan(ce.softmax(z[1:])).any(axis=1).all()
    np.testing.assert_array_equal(ce.sigmoid(np.array([-inf, inf, nan])), [0, 1, nan])
    np.testing.assert_array_equal(ce.log_sigmoid(np.array([-inf, inf, nan])), [-inf, 0, nan])


def test_derivatives_where_branches_meet():
    torch = pytest.importorskip("torch")
    z = torch.tensor([0.0, -1e4, 1e4], dtype=torch.float64, requires_grad=True)
    for function, want in ((ce.sigmoid, [0.25, 0, 0]), (ce.log_sigmoid, [0.5, 1, 0])):
        (slope,) = torch.autograd.grad(function(z).sum(), z)
        assert slope.tolist() == want
    ties = torch.zeros(4, requires_grad=True)
    (slope,) = torch.autograd.grad(ce.logsumexp(ties), ties)
    assert slope.tolist() == [0.25] * 4


def test_any_axis_and_sixteen_bits():
    z = np.random.default_rng(0).normal(size=(2, 3, 4))
    np.testing.assert_allclose(ce.softmax(z, axis=1).sum(axis=1), 1)
    np.testing.assert_allclose(
        ce.logsumexp(z, axis=0, keepdims=True), scipy.special.logsumexp(z, axis=0, keepdims=True)
    )
    short = np.full(70_000, 1.0, dtype=np.float16)
    assert ce.logsumexp(short) == np.float16(1 + np.log(70_000))
