"""Values, against definitions in many digits and against scipy's."""

import math

import numpy as np
import pytest
import scipy.special
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

import crossentropy as ce
from crossentropy._errors import InputError

from . import exact
from .strategies import distributions, logits, pairs

CLOSE = {"rtol": 2e-13, "atol": 1e-290}
ORDERS = [0, 1e-9, 0.3, 1 - 1e-4, 1 - 1e-9, 1, 1 + 1e-12, 1 + 1e-5, 1.5, 2, 7, 100, math.inf]


@given(pairs())
def test_against_many_digits(pair):
    p, q = pair
    np.testing.assert_allclose(ce.entropy(p), exact.entropy(p), **CLOSE)
    np.testing.assert_allclose(ce.cross_entropy(p, q), exact.cross_entropy(p, q), **CLOSE)
    np.testing.assert_allclose(
        ce.kl_divergence(p, q), exact.kl_divergence(p, q), rtol=1e-12, atol=1e-31
    )
    np.testing.assert_allclose(
        ce.js_divergence(p, q), exact.js_divergence(p, q), rtol=1e-12, atol=1e-31
    )


@pytest.mark.parametrize("order", ORDERS)
@settings(max_examples=15)
@given(p=st.integers(1, 6).flatmap(distributions))
def test_families_of_entropies_against_many_digits(order, p):
    options = {"rtol": 1e-11, "atol": 1e-15}
    np.testing.assert_allclose(
        ce.renyi_entropy(p, order), exact.renyi_entropy(p, order=order), **options
    )
    np.testing.assert_allclose(
        ce.tsallis_entropy(p, order), exact.tsallis_entropy(p, order=order), **options
    )


@given(st.integers(2, 6).flatmap(lambda n: st.tuples(logits(n), logits(n))))
def test_logits_lose_nothing(pair):
    z, w = pair
    weights = np.linspace(1, 2, len(z))
    np.testing.assert_allclose(
        ce.entropy(z, input="logits"), exact.entropy(z, of=exact.softmax), rtol=1e-12, atol=1e-290
    )
    np.testing.assert_allclose(
        ce.cross_entropy(weights / weights.sum(), w, input=("proba", "logits")),
        exact.cross_entropy(weights / weights.sum(), w, of=exact.softmax),
        **CLOSE,
    )
    np.testing.assert_allclose(
        ce.kl_divergence(z, w, input="logits"),
        exact.kl_divergence(z, w, of=exact.softmax),
        rtol=1e-10,
        atol=1e-12,
    )


@pytest.mark.parametrize("step", [1e-1, 1e-3, 1e-6, 1e-9, 1e-12])
def test_divergence_of_nearly_equal_distributions_keeps_its_digits(step):
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(50))
    q = p * (1 + step * rng.uniform(-1, 1, 50))
    q /= q.sum()
    for measure in ("kl_divergence", "js_divergence"):
        got, want = getattr(ce, measure)(p, q), getattr(exact, measure)(p, q)
        # An input of 53 bits holds the difference of the two to this much of itself.
        assert got == pytest.approx(want, rel=1e-13 + 1e-15 / step)
    # Here the plain sum has no digit left.
    if step == 1e-9:
        plain = scipy.stats.entropy(p, q, base=2)
        assert abs(plain / exact.kl_divergence(p, q) - 1) > 0.1


@pytest.mark.parametrize("rest", [1e-3, 1e-9, 1e-17, 1e-100, 1e-310])
def test_nearly_certain_outcomes(rest):
    p = np.array([1 - rest, rest])
    assert ce.entropy(p) == pytest.approx(exact.entropy(p), rel=1e-13)
    z = np.array([-math.log(rest), 0.0])
    assert ce.entropy(z, input="logits") == pytest.approx(
        exact.entropy(z, of=exact.softmax), rel=1e-12
    )
    assert ce.binary_entropy(rest) == pytest.approx(exact.entropy([1 - rest, rest]), rel=1e-3)


def test_subnormal_probability_is_no_zero():
    p, q = np.array([0.5, 0.5]), np.array([1.0, 1e-310])
    assert ce.kl_divergence(p, q) == pytest.approx(exact.kl_divergence(p, q), rel=1e-12)
    assert ce.kl_divergence(np.stack([p]), np.stack([q]))[0] == ce.kl_divergence(p, q)


@given(st.lists(distributions(4), min_size=1, max_size=5))
def test_joint_distributions(rows):
    table = np.stack(rows) / len(rows)
    np.testing.assert_allclose(
        ce.mutual_information(table), exact.mutual_information(*table), rtol=1e-10, atol=1e-16
    )
    np.testing.assert_allclose(
        ce.conditional_entropy(table), exact.conditional_entropy(*table), rtol=1e-12, atol=1e-290
    )


def test_mutual_information_of_nearly_independent_variables():
    x, y = np.array([0.25, 0.75]), np.array([0.5, 0.125, 0.375])
    table = np.outer(x, y) + 1e-9 * np.array([[1, -1, 0], [-1, 1, 0]])
    want = exact.mutual_information(*table)
    assert 0 < want < 1e-15
    assert ce.mutual_information(table) == pytest.approx(want, rel=1e-5)


def test_scipy_agrees_on_many_rows_and_any_axis():
    rng = np.random.default_rng(1)
    p, q = rng.dirichlet(np.ones(7), (2, 3000, 4)).transpose(0, 1, 3, 2)
    for axis, a, b in ((1, p, q), (-1, p.transpose(0, 2, 1), q.transpose(0, 2, 1))):
        np.testing.assert_allclose(
            ce.entropy(a, axis=axis), scipy.stats.entropy(a, axis=axis, base=2)
        )
        np.testing.assert_allclose(
            ce.kl_divergence(a, b, axis=axis, base=math.e, keepdims=True),
            scipy.special.rel_entr(a, b).sum(axis=axis, keepdims=True),
        )
    joint = p / len(p)
    np.testing.assert_allclose(
        ce.entropy(joint[:, 0] / joint[:, 0].sum(), axis=(0, 1)),
        scipy.stats.entropy((joint[:, 0] / joint[:, 0].sum()).ravel(), base=2),
    )


def test_a_row_is_a_row_in_any_block():
    rng = np.random.default_rng(2)
    p = rng.dirichlet(np.full(300, 0.05), 500)
    q = rng.dirichlet(np.full(300, 0.05), 500)
    for measure in (ce.cross_entropy, ce.kl_divergence, ce.js_divergence):
        alone = [measure(a, b) for a, b in zip(p[::50], q[::50], strict=True)]
        np.testing.assert_allclose(measure(p, q)[::50], alone, rtol=1e-13)


def test_weights_multiply_the_terms():
    p, q, w = np.array([0.5, 0.25, 0.25]), np.array([0.5, 0.5, 0.0]), np.array([1.0, 3.0, 0.0])
    assert ce.cross_entropy(p, q, weights=w) == pytest.approx(0.5 + 3 * 0.25)
    assert ce.kl_divergence(p, q, weights=w) == pytest.approx(-0.75)
    assert ce.entropy(p, weights=w) == 0.5 + 3 * 0.5
    many = np.tile(w, (2, 1))
    np.testing.assert_array_equal(ce.entropy(np.tile(p, (2, 1)), weights=many), [2, 2])
    assert ce.js_divergence([1, 0], [0, 1], weights=(0.25, 0.75)) == ce.binary_entropy(0.25)


def test_zeros():
    assert ce.cross_entropy([0.5, 0.5], [1, 0]) == math.inf
    assert ce.kl_divergence([1, 0], [1, 0]) == 0
    assert ce.cross_entropy([1, 0], [1, 0]) == 0
    assert not np.signbit(ce.entropy([1.0, 0.0]))
    assert ce.cross_entropy([0.5, 0.5], [0.0, -np.inf], input=("proba", "logits")) == math.inf


def test_zeros_are_not_renormalised_unless_asked():
    assert ce.entropy([2, 2, 0], normalize=True) == 1
    assert ce.entropy(np.log([2.0, 2.0]), input="log_proba", normalize=True) == pytest.approx(1)
    with pytest.raises(InputError, match="sum to one"):
        ce.entropy([0.5, 0.4])


@pytest.mark.parametrize(
    ("y", "p"), [(1, 0.3), (0, 0.3), (1, 1e-300), (0, 1e-300), (0.25, 0.5), (1, 1.0), (0, 0.0)]
)
def test_binary_inputs_agree(y, p):
    want = exact.cross_entropy([1 - y, y], [1 - p if p > 1e-9 else 1, p]) if 0 < p < 1 else 0.0
    assert ce.binary_cross_entropy(y, p) == pytest.approx(want, rel=1e-13, abs=1e-290)
    with np.errstate(divide="ignore"):
        log_p, logit = np.log(p), scipy.special.logit(p)
    for kind, value in (("log_proba", log_p), ("logits", logit)):
        assert ce.binary_cross_entropy(y, value, input=kind) == pytest.approx(
            want, rel=1e-12, abs=1e-290
        )
        assert ce.binary_entropy(value, input=kind) == pytest.approx(
            float(ce.binary_entropy(p)), rel=1e-12, abs=1e-290
        )


def test_a_floor_only_where_it_is_asked_for():
    p = np.array([[0.0, 1.0], [0.5, 0.5]])
    assert ce.categorical_cross_entropy([0, 0], p) == math.inf
    assert ce.categorical_cross_entropy([0, 0], p, clip=2.0**-7) == (7 + 1) / 2
    assert ce.binary_cross_entropy([1.0, 0.0], [0.0, 1.0], clip=0.25) == 2
    with np.errstate(divide="ignore"):
        assert ce.categorical_cross_entropy([0, 0], np.log(p), input="log_proba", clip=2.0**-7) == 4


def test_labels_weights_and_reductions():
    rng = np.random.default_rng(3)
    p, y, w = rng.dirichlet(np.ones(4), 6), rng.integers(0, 4, 6), rng.uniform(size=6)
    loss = -np.log2(p[np.arange(6), y])
    np.testing.assert_allclose(ce.categorical_cross_entropy(y, p, reduction="none"), loss)
    np.testing.assert_allclose(ce.categorical_cross_entropy(y, p, reduction="sum"), loss.sum())
    np.testing.assert_allclose(
        ce.categorical_cross_entropy(y, p.T, axis=0, weights=w), np.average(loss, weights=w)
    )
    np.testing.assert_allclose(
        ce.categorical_cross_entropy(np.eye(4)[y], np.log(p), input="logits"), loss.mean()
    )
    w[2], p[2] = 0, np.eye(4)[(y[2] + 1) % 4]
    loss[2] = 0
    np.testing.assert_allclose(
        ce.categorical_cross_entropy(y, p, weights=w), np.average(loss, weights=w)
    )


def test_orders_and_bases_may_be_numpys():
    p = [0.5, 0.25, 0.25]
    assert ce.renyi_entropy(p, np.int64(1), base=np.int64(2)) == ce.entropy(p) == 1.5
    assert ce.renyi_entropy(p, np.float32(1), base=np.float32(2)) == 1.5
