"""What the docs say of information, entropy and cross entropy, of any distribution."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize

import crossentropy as ce

from .strategies import distributions, pairs

LEAST = 1e-12


@given(pairs())
def test_cross_entropy_is_at_least_the_entropy_and_the_divergence_is_the_rest(pair):
    p, q = pair
    cross, own, divergence = ce.cross_entropy(p, q), ce.entropy(p), ce.kl_divergence(p, q)
    assert divergence >= 0
    assert cross >= own - LEAST
    if math.isfinite(cross):
        assert divergence == pytest.approx(cross - own, rel=1e-9, abs=1e-9)
    else:
        assert divergence == math.inf


@given(pairs(), st.floats(0.01, 1))
def test_over_q_the_least_is_at_p(pair, step):
    p, q = pair
    moved = (1 - step) * p + step * q
    assert ce.cross_entropy(p, moved) >= ce.cross_entropy(p, p) - LEAST
    assert ce.kl_divergence(p, p) == 0


def test_neither_is_symmetric():
    p, q = [0.9, 0.1], [0.5, 0.5]
    assert ce.cross_entropy(p, q) == pytest.approx(1)
    assert ce.cross_entropy(q, p) == pytest.approx(1.737, abs=1e-3)
    assert ce.kl_divergence(p, q) == pytest.approx(0.531, abs=1e-3)
    assert ce.kl_divergence(q, p) == pytest.approx(0.737, abs=1e-3)


@given(pairs())
def test_what_is_symmetric_and_bounded(pair):
    p, q = pair
    there, back = ce.js_divergence(p, q), ce.js_divergence(q, p)
    assert there == pytest.approx(back, rel=1e-12, abs=1e-15)
    assert 0 <= there <= 1 + LEAST


@given(st.integers(1, 8).flatmap(lambda n: st.tuples(distributions(n), st.integers(0, n - 1))))
def test_of_a_sure_outcome_the_divergence_is_all(case):
    q, k = case
    p = np.eye(len(q))[k]
    assert ce.entropy(p) == 0
    cross = ce.cross_entropy(p, q)
    assert cross == ce.information(q)[k]
    assert ce.kl_divergence(p, q) == pytest.approx(cross, rel=1e-12, abs=1e-15)


@given(st.integers(1, 8).flatmap(distributions))
def test_uniform_is_the_most_and_deterministic_the_least(p):
    assert 0 <= ce.entropy(p) <= ce.entropy(np.full(len(p), 1 / len(p))) + LEAST
    assert ce.entropy(np.full(len(p), 1 / len(p))) == pytest.approx(math.log2(len(p)))
    orders = [0, 0.5, 1, 2, 30, math.inf]
    falling = np.array([ce.renyi_entropy(p, order) for order in orders])
    assert (np.diff(falling) <= LEAST).all()


@given(st.lists(distributions(4), min_size=1, max_size=5))
def test_two_variables(rows):
    joint = np.stack(rows) / len(rows)
    x, y = joint.sum(axis=1), joint.sum(axis=0)
    given_x = ce.conditional_entropy(joint)
    shared = ce.mutual_information(joint)
    assert 0 <= shared <= min(ce.entropy(x), ce.entropy(y)) + 1e-9
    assert ce.entropy(joint, axis=(0, 1)) == pytest.approx(ce.entropy(x) + given_x, abs=1e-9)
    assert ce.entropy(y) - given_x == pytest.approx(shared, abs=1e-9)
    assert ce.mutual_information(joint.T) == pytest.approx(shared, abs=1e-12)


def test_cross_entropy_with_labels_is_torchs_negative_log_likelihood():
    torch = pytest.importorskip("torch")
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(20, 5, generator=generator, dtype=torch.float64)
    y = torch.randint(0, 5, (20,), generator=generator)
    want = torch.nn.functional.nll_loss(ce.log_softmax(z), y)
    torch.testing.assert_close(want, torch.nn.functional.cross_entropy(z, y))
    nats = {"base": math.e}
    torch.testing.assert_close(ce.categorical_cross_entropy(y, z, input="logits", **nats), want)
    one_hot = torch.nn.functional.one_hot(y, 5)
    by_row = ce.cross_entropy(one_hot, ce.softmax(z), **nats)
    torch.testing.assert_close(by_row.mean(), want)
    torch.testing.assert_close(
        ce.binary_cross_entropy(one_hot, z, input="logits", **nats),
        torch.nn.functional.binary_cross_entropy_with_logits(z, one_hot.double()),
    )


def test_least_cross_entropy_is_the_greatest_likelihood():
    """Fitted to a sample by either, a Poisson model has the sample's mean as its rate."""
    counts = np.random.default_rng(0).poisson(2.5, size=200)
    frequencies = np.bincount(counts) / len(counts)
    outcomes = np.arange(len(frequencies))
    log_factorial = np.array([math.lgamma(k + 1) for k in outcomes])

    def cross(log_rate):
        log_q = outcomes * log_rate[0] - np.exp(log_rate[0]) - log_factorial
        # Outcomes beyond the sample's greatest have mass too, so the row's sum is below one.
        options = {"input": ("proba", "log_proba"), "validate": False}
        return float(ce.cross_entropy(frequencies, log_q, **options))

    rate = math.exp(minimize(cross, [0.0], tol=1e-12).x[0])
    assert rate == pytest.approx(counts.mean(), rel=1e-5)
