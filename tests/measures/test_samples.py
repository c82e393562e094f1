import math

import numpy as np
import pytest
from scipy.special import digamma

import crossentropy as ce
from crossentropy._errors import InputError

ESTIMATORS = ("plugin", "miller_madow", "grassberger", "chao_shen")


def test_values_by_hand():
    counts, total = [4, 2, 1, 1, 0], 8
    share = [n / total for n in counts if n]
    plugin = -sum(s * math.log(s) for s in share)

    def estimate(name):
        return ce.entropy_from_counts(counts, estimator=name, base=math.e)

    assert estimate("plugin") == pytest.approx(plugin)
    assert estimate("miller_madow") == pytest.approx(plugin + 3 / 16)
    # G(1) = −γ − log 2, G(2) = G(1) + 2, G(4) = G(2) + 2/3
    first = -np.euler_gamma - math.log(2)
    weighted = 4 * (first + 2 + 2 / 3) + 2 * (first + 2) + 2 * first
    assert estimate("grassberger") == pytest.approx(math.log(total) - weighted / total)
    covered = [0.75 * s for s in share]
    want = -sum(c * math.log(c) / (1 - (1 - c) ** total) for c in covered)
    assert estimate("chao_shen") == pytest.approx(want)


def test_grassbergers_function_as_he_defines_it():
    for n in range(1, 12):
        defined = digamma(n) + (-1) ** n / 2 * (digamma((n + 1) / 2) - digamma(n / 2))
        got = ce.entropy_from_counts([n], estimator="grassberger", base=math.e)
        assert got == pytest.approx(math.log(n) - defined)


def test_corrections_come_closer_where_samples_are_few():
    rng = np.random.default_rng(0)
    truth = math.log2(50)
    error = dict.fromkeys(ESTIMATORS, 0.0)
    for _ in range(50):
        samples = rng.integers(0, 50, 60)
        for name in ESTIMATORS:
            error[name] += (ce.entropy_from_samples(samples, estimator=name) - truth) / 50
    assert error["plugin"] < -0.4
    assert all(abs(error[name]) < 0.7 * -error["plugin"] for name in ESTIMATORS[1:])


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_with_many_samples_all_agree(estimator):
    counts = [500_000, 250_000, 250_000]
    assert ce.entropy_from_counts(counts, estimator=estimator) == pytest.approx(1.5, abs=1e-5)


@pytest.mark.parametrize("estimator", ["plugin", "miller_madow", "chao_shen"])
def test_one_outcome_has_no_entropy(estimator):
    assert ce.entropy_from_samples(["a"] * 5, estimator=estimator) == 0
    assert ce.entropy_from_samples(["a"], estimator=estimator) == 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ce.entropy_from_samples([]), "no samples"),
        (lambda: ce.entropy_from_samples([[1, 2]]), r"shape \(n_samples,\)"),
        (lambda: ce.entropy_from_samples([1.0, np.nan]), r"samples\[1\] is NaN"),
        (lambda: ce.entropy_from_counts([1, -1]), r"counts\[1\] is -1"),
        (lambda: ce.entropy_from_counts([0.5, 1]), r"counts\[0\] is 0.5"),
        (lambda: ce.entropy_from_counts([0, 0]), "no samples"),
        (lambda: ce.entropy_from_counts([1], estimator="chao"), "did you mean 'chao_shen'"),
        (lambda: ce.entropy_from_counts([1], base=1), "base must be above 1"),
    ],
)
def test_errors(call, message):
    with pytest.raises(InputError, match=message):
        call()
