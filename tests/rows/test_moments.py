import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from crossentropy import rows
from tests.table import CLASSES

DTYPES = (np.float16, np.float32, np.float64)
TOLERANCE = {np.float16: 4e-6, np.float32: 4e-6, np.float64: 1e-13}
INF = np.inf


def wanted(logits, beta):
    """By the definitions, in float64; classes that are masked have no part."""
    z = logits.astype(np.float64)
    top = z.max(axis=1, keepdims=True)
    z -= top
    with np.errstate(invalid="ignore"):
        odds = np.where(np.isneginf(z), 0.0, np.exp(beta * z))
    total = odds.sum(axis=1)
    p = odds / total[:, None]
    z = np.where(np.isneginf(z), 0, z)
    mean = (p * z).sum(axis=1)
    variance = (p * (z - mean[:, None]) ** 2).sum(axis=1)
    return np.log(total) + beta * top[:, 0], mean + top[:, 0], variance


def check(got, logits, beta, tolerance):
    lse, mean, variance = wanted(logits, beta)
    z = np.where(np.isneginf(logits), logits.max(axis=1, keepdims=True), logits)
    spread = np.ptp(z.astype(np.float64), axis=1)
    far = np.abs(z.astype(np.float64)).max(axis=1)
    error = tolerance * spread + 1e-15 * far
    assert (np.abs(got.lse - lse) <= beta * error + 20 * tolerance + 1e-14 * beta * far).all()
    assert (np.abs(got.mean - mean) <= error * (1 + beta * spread) + 1e-300).all()
    bound = (tolerance * spread + 1e-14 * far) * spread * (1 + beta * spread)
    assert (np.abs(got.variance - variance) <= bound + 1e-300).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("classes", [*CLASSES, 129, 2048, 2049, 5000])
def test_moments_are_the_definitions(path, classes, dtype):
    rng = np.random.default_rng(classes)
    logits = (rng.normal(size=(67, classes)) * 3 + 10).astype(dtype)
    logits[rng.random(logits.shape) < 0.2] = -INF
    logits[:, 0] = 9.0
    for beta in (0.0, 0.3, 1.0, 7.0):
        check(rows.moments(logits, beta), logits, beta, TOLERANCE[dtype])


def test_the_derivatives_of_the_log_loss(path):
    rng = np.random.default_rng(0)
    logits, step = rng.normal(size=(20, 7)), 1e-4
    at = rows.moments(logits, 0.8)
    above, below = (rows.moments(logits, 0.8 + d).lse for d in (step, -step))
    np.testing.assert_allclose(at.mean, (above - below) / (2 * step), rtol=1e-6)
    np.testing.assert_allclose(at.variance, (above - 2 * at.lse + below) / step**2, rtol=1e-5)


def test_hand_values(path):
    # p = 3/4, 1/4 at distance log 3: mean log(3)·3/4, variance 3/16·log(3)²
    got = rows.moments(np.array([[np.log(3), 0.0, -INF]]), 1.0)
    np.testing.assert_allclose(got.lse, np.log(4))
    np.testing.assert_allclose(got.mean, 0.75 * np.log(3))
    np.testing.assert_allclose(got.variance, 3 / 16 * np.log(3) ** 2)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("classes", [3, 200, 5000])
@pytest.mark.parametrize("beta", [0.0, 1.0])
def test_rows_that_are_no_distribution_are_nan(path, classes, beta, dtype):
    logits = np.zeros((5, classes), dtype=dtype)
    logits[0, -1], logits[1, 0], logits[2] = np.nan, INF, -INF
    logits[3, 1:] = -INF
    lse, mean, variance = rows.moments(logits, beta)
    assert np.isnan([lse[:3], mean[:3], variance[:3]]).all()
    np.testing.assert_allclose([lse[3], mean[3], variance[3]], 0, atol=1e-30)
    np.testing.assert_allclose(lse[4], np.log(classes), rtol=1e-6)


def test_far_apart_logits_neither_overflow_nor_vanish(path):
    logits = np.array([[1e30, -1e30, -INF], [3e37, 3e37, -3e38]], dtype=np.float32)
    got = rows.moments(logits, 1.0)
    np.testing.assert_allclose(got.mean, [1e30, 3e37], rtol=1e-6)
    np.testing.assert_array_equal(got.variance, [0, 0])


@pytest.mark.parametrize("classes", [10, 1000])
def test_threads_do_not_change_the_result(path, classes):
    logits = np.random.default_rng(0).normal(size=(1_200_000 // classes, classes))
    one, three = (rows.moments(logits, 1.3, n_threads=n) for n in (1, 3))
    np.testing.assert_array_equal(one, three)


def test_other_libraries_and_layouts(path):
    torch = pytest.importorskip("torch")
    logits = np.random.default_rng(0).normal(size=(30, 12)).astype(np.float32)
    want = rows.moments(logits, 0.7)
    for layout in (torch.from_numpy(logits), np.asfortranarray(logits), logits[::1]):
        for got, w in zip(rows.moments(layout, 0.7), want, strict=True):
            np.testing.assert_allclose(np.asarray(got), w, rtol=1e-5)
    assert rows.moments(logits[:0], 1.0).lse.shape == (0,)


def test_bad_arguments(path):
    with pytest.raises(ValueError, match=r"shape \(N, C\), got \(3,\)"):
        rows.moments(np.zeros(3), 1.0)
    for beta in (-1.0, INF, np.nan):
        with pytest.raises(ValueError, match="nonnegative number, got"):
            rows.moments(np.zeros((2, 3)), beta)


@given(
    logits=hnp.arrays(
        np.float64,
        hnp.array_shapes(min_dims=2, max_dims=2, max_side=70),
        elements=st.floats(-1e4, 1e4) | st.just(-INF),
    ),
    beta=st.floats(0, 50),
)
def test_any_logits(logits, beta):
    logits[:, 0] = np.where(np.isneginf(logits[:, 0]), 0, logits[:, 0])
    for name in rows.available_paths():
        with rows.using(name):
            got = rows.moments(logits, beta)
        check(got, logits, beta, 1e-13)
