"""What the row passes read: types of 16 bits, planes, softcaps, and which class is greatest."""

import ml_dtypes
import numpy as np
import pytest
import torch

from crossentropy import rows
from crossentropy.rows import Slopes
from tests.rows.test_statistics import INF

SHORT = {"float16": np.float16, "bfloat16": ml_dtypes.bfloat16}
every_short = pytest.mark.parametrize("short", SHORT.values(), ids=SHORT)
SIZES = (1, 2, 15, 16, 17, 63, 64, 65, 127, 128, 129, 2047, 2049, 5000)


def random_rows(classes, n=70, seed=0):
    rng = np.random.default_rng(seed)
    logits = (rng.normal(size=(n, classes)) * 4).astype(np.float32)
    target = rng.integers(0, classes, n)
    target[::7] = -1
    return logits, target


def both(problem, slopes, **wanted):
    statistics = rows.statistics(problem, **wanted)
    return statistics, rows.gradient(problem, statistics, slopes)


@every_short
@pytest.mark.parametrize("classes", SIZES)
def test_short_types_are_float32_inside_rounded_once(path, classes, short):
    logits, target = random_rows(classes)
    logits = logits.astype(short)
    options = {"weight": np.linspace(0.5, 2, classes), "ignore_index": -1}
    slopes = Slopes(1.0, 0.7, 0.01)
    got, gradient = both(rows.make(logits, target, **options), slopes, weighted=True)
    wide = rows.make(logits.astype(np.float32), target, **options)
    want, exact = both(wide, slopes, weighted=True)
    np.testing.assert_allclose(got.table, want.table, rtol=1e-12)
    assert gradient.dtype == short
    np.testing.assert_array_equal(gradient, exact.astype(short))


@every_short
def test_every_short_number_is_read_and_written(path, short):
    """All 65536 of them as logits of a class of no consequence, and as gradients."""
    every = np.arange(2**16, dtype=np.uint16).view(short)
    logits = np.stack([np.zeros_like(every), every], axis=1)
    wide = logits.astype(np.float32)
    target = np.zeros(len(every), dtype=int)
    got, want = (rows.statistics(rows.make(z, target)).table for z in (logits, wide))
    np.testing.assert_allclose(got, want, rtol=1e-14)
    # b is the gradient at the target of a row that is certain to be wrong
    lost = np.stack([np.full_like(every, -INF), np.zeros_like(every)], axis=1)
    fine = np.random.default_rng(0).normal(size=len(every)) * 2.0 ** np.arange(-30, 34).repeat(1024)
    problem = rows.make(lost, target)
    got = rows.gradient(problem, rows.statistics(problem), Slopes(0.0, fine))[:, 0]
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(got, (-fine).astype(np.float32).astype(short))


@pytest.mark.parametrize("dtype", [np.float32, np.float64, *SHORT.values()], ids=str)
@pytest.mark.parametrize("shape", [(3, 5, 7), (2, 70, 130), (1, 21, 64), (4, 3, 1), (2, 130, 17)])
def test_planes_are_transposed_rows(path, shape, dtype):
    blocks, classes, positions = shape
    flat, target = random_rows(classes, blocks * positions)
    flat = flat.astype(dtype)
    planes = np.ascontiguousarray(flat.reshape(blocks, positions, classes).swapaxes(1, 2))
    options = {"bias": np.linspace(-1, 1, classes), "temperature": 1.3, "ignore_index": -1}
    slopes = Slopes(np.linspace(0.5, 1, len(target)), 0.7, 0.1)
    got, gradient = both(rows.make(planes, target, **options), slopes, weighted=True, argmax=True)
    want, exact = both(rows.make(flat, target, **options), slopes, weighted=True, argmax=True)
    np.testing.assert_allclose(got.table, want.table, rtol=3e-6, atol=1e-6)
    np.testing.assert_array_equal(got.argmax, want.argmax)
    np.testing.assert_allclose(got.top_prob, want.top_prob, rtol=3e-6)
    assert gradient.shape == shape
    transposed = gradient.swapaxes(1, 2).reshape(flat.shape).astype(np.float64)
    tolerance = 1e-6 if np.dtype(dtype).itemsize > 2 else 1e-2
    np.testing.assert_allclose(transposed, exact.astype(np.float64), atol=tolerance)


def test_gradients_of_planes_may_overwrite_the_logits(path):
    flat, target = random_rows(2 * 9)
    planes = flat.reshape(70, 2, 9)
    target = np.random.default_rng(0).integers(0, 2, 70 * 9)
    problem = rows.make(planes, target)
    statistics = rows.statistics(problem)
    want = rows.gradient(problem, statistics, Slopes(1.0, 1.0))
    rows.gradient(problem, statistics, Slopes(1.0, 1.0), out=planes)
    np.testing.assert_array_equal(planes, want)


@pytest.mark.parametrize("classes", [2, 17, 130, 3000])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_softcap_comes_before_temperature_and_bias(path, classes, dtype):
    logits, target = random_rows(classes)
    logits = (logits * 8).astype(dtype)
    bias = np.linspace(-1, 1, classes)
    problem = rows.make(logits, target, softcap=30.0, temperature=1.7, bias=bias, ignore_index=-1)
    got, gradient = both(problem, Slopes(1.0, 1.0))
    z = torch.tensor(logits.astype(np.float64), requires_grad=True)
    seen = 30 * torch.tanh(z / 30) / 1.7 + torch.tensor(bias.astype(dtype).astype(np.float64))
    want = torch.nn.functional.cross_entropy(
        seen, torch.tensor(target), ignore_index=-1, reduction="none"
    )
    (exact,) = torch.autograd.grad(want.sum(), z)
    tolerance = (
        {"rtol": 4e-6, "atol": 4e-6} if dtype == np.float32 else {"rtol": 1e-12, "atol": 1e-13}
    )
    np.testing.assert_allclose(-got.log_prob, want.detach(), **tolerance)
    atol = 1e-6 if dtype == np.float32 else 1e-14
    np.testing.assert_allclose(gradient, exact, rtol=1e-5, atol=atol)


def test_softcap_keeps_the_digits_of_small_and_of_saturated_logits(path):
    logits = np.array([[1e-6, 0.0], [-1e-3, 0.0], [250.0, 0.0], [-400.0, 300.0]], dtype=np.float32)
    target = np.zeros(4, dtype=int)
    got, gradient = both(rows.make(logits, target, softcap=30.0), Slopes(1.0, 1.0))
    z = logits.astype(np.float64)
    seen = 30 * np.tanh(z / 30)
    q = 1 / (1 + np.exp(seen[:, 0] - seen[:, 1]))
    np.testing.assert_allclose(got.prob_rest, q, rtol=4e-6)
    slope = 1 / np.cosh(z / 30) ** 2
    np.testing.assert_allclose(gradient, q[:, None] * slope * [-1, 1], rtol=4e-6)


def test_a_masked_class_stays_masked_under_a_softcap(path):
    logits = np.array([[0.0, 0.0, -INF]])
    got, gradient = both(rows.make(logits, np.array([0]), softcap=5.0), Slopes(1.0, 1.0))
    np.testing.assert_allclose(got.log_prob, [-np.log(2)])
    np.testing.assert_allclose(gradient, [[-0.5, 0.5, 0.0]])


@pytest.mark.parametrize("classes", SIZES)
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_argmax_is_the_first_greatest(path, classes, dtype):
    rng = np.random.default_rng(classes)
    logits = rng.integers(-3, 3, (90, classes)).astype(dtype)  # many ties
    target = rng.integers(0, classes, 90)
    got = rows.statistics(rows.make(logits, target), argmax=True)
    np.testing.assert_array_equal(got.argmax, logits.argmax(1))
    wide = logits.astype(np.float64)
    top_prob = np.exp(wide.max(1) - np.logaddexp.reduce(wide, axis=1))
    np.testing.assert_allclose(got.top_prob, top_prob, rtol=3e-6)


@pytest.mark.parametrize("classes", SIZES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
@pytest.mark.parametrize("scale", [1, 100])
def test_squares_of_the_other_probabilities(path, classes, dtype, scale):
    rng = np.random.default_rng(classes)
    logits = (scale * rng.normal(size=(70, classes))).astype(dtype)
    logits[rng.uniform(size=logits.shape) < 0.1] = -INF
    logits[np.isneginf(logits).all(axis=1)] = 0
    target = rng.integers(0, classes, 70)
    got = rows.statistics(rows.make(logits, target), squares=True)
    wide = logits.astype(np.float64)
    proba = np.exp(wide - np.logaddexp.reduce(wide, axis=1, keepdims=True))
    proba[np.arange(70), target] = 0
    rtol = 3e-6 if dtype != np.float64 else 1e-12
    np.testing.assert_allclose(got.square_rest, (proba**2).sum(1), rtol=rtol, atol=1e-37)
    assert got.argmax is None


@pytest.mark.parametrize("classes", [5, 200, 5000])
def test_argmax_of_bad_logits_is_where_they_are(path, classes):
    logits = np.zeros((4, classes), dtype=np.float32)
    logits[0, 3] = np.nan
    logits[1, 2] = INF
    logits[2] = -INF
    logits[3, 1] = np.nan
    got = rows.statistics(rows.make(logits, np.array([0, 0, 0, 1])), argmax=True).argmax
    np.testing.assert_array_equal(got, [3, 2, 0, 1])


@pytest.mark.parametrize("shape", [(3, 2), (3, 40), (3, 300), (1, 5, 3), (1, 300, 3)])
def test_ignored_rows_get_zero_under_a_softcap_whatever_they_hold(path, shape):
    logits = np.zeros(shape, dtype=np.float32)
    logits[(0, 1, 0)[: len(shape)]] = np.nan
    target = np.array([-1, 0, 1])
    problem = rows.make(logits, target, softcap=5.0, ignore_index=-1)
    _, gradient = both(problem, Slopes(1.0, 1.0))
    ignored = gradient[0] if len(shape) == 2 else gradient[0, :, 0]
    np.testing.assert_array_equal(ignored, 0)
    assert np.isfinite(gradient).all()
