import numpy as np
import pytest

from crossentropy import rows
from crossentropy.rows import Slopes
from tests.rows.test_statistics import DTYPES, INF, some_rows
from tests.table import CLASSES

TOLERANCE = {np.float32: 5e-7, np.float64: 1e-14}


def formula(logits, target, slopes, weight=None):
    """a·softmax − c·w − b·onehot in float64, literally."""
    z = logits.astype(np.float64)
    p = np.exp(z - z.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    onehot = np.eye(z.shape[1])[target]
    a, b, c = (np.zeros(len(z)) if s is None else s + np.zeros(len(z)) for s in slopes)
    weight = np.ones(z.shape[1]) if weight is None else weight
    return a[:, None] * p - c[:, None] * weight - b[:, None] * onehot


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("classes", CLASSES)
def test_gradient_is_the_formula(path, classes, dtype):
    logits, target = some_rows(classes, dtype)
    rng = np.random.default_rng(3)
    weight = rng.uniform(0.5, 2, classes).astype(dtype)
    problem = rows.make(logits, target, weight=weight)
    statistics = rows.statistics(problem)
    for slopes in (
        Slopes(1.0, 1.0),
        Slopes(rng.normal(size=9), rng.normal(size=9)),
        Slopes(rng.normal(size=9), 0.5, rng.normal(size=9)),
    ):
        got = rows.gradient(problem, statistics, slopes)
        assert got.dtype == dtype
        np.testing.assert_allclose(
            got, formula(logits, target, slopes, weight), atol=4 * TOLERANCE[dtype], rtol=1e-6
        )


@pytest.mark.parametrize("dtype", DTYPES)
def test_temperature_and_bias(path, dtype):
    logits, target = some_rows(33, dtype)
    bias = np.random.default_rng(2).normal(size=33).astype(dtype)
    problem = rows.make(logits, target, temperature=1.7, bias=bias)
    got = rows.gradient(problem, rows.statistics(problem), Slopes(1.0, 0.7))
    want = formula(logits / 1.7 + bias, target, Slopes(1.0, 0.7)) / 1.7
    np.testing.assert_allclose(got, want, atol=10 * TOLERANCE[dtype])


@pytest.mark.parametrize("offset", [30.0, 1e3, 1e4])
def test_row_offsets_cost_nothing(path, offset):
    rng = np.random.default_rng(0)
    logits = (rng.integers(-8, 8, (5, 40)) / 2 + offset).astype(np.float32)
    target = rng.integers(0, 40, 5)
    problem = rows.make(logits, target)
    got = rows.gradient(problem, rows.statistics(problem), Slopes(1.0, 1.0))
    np.testing.assert_allclose(got, formula(logits, target, Slopes(1.0, 1.0)), rtol=2e-6)


def test_the_targets_entry_of_a_confident_row_keeps_its_digits(path):
    logits = np.array([[40.0, 0.0]], dtype=np.float32)
    problem = rows.make(logits, np.array([0]))
    got = rows.gradient(problem, rows.statistics(problem), Slopes(1.0, 1.0))
    np.testing.assert_allclose(got, [[-np.exp(-40), np.exp(-40)]], rtol=2e-6)


@pytest.mark.parametrize("size", [1e-200, 1e35, 1e200])
def test_huge_and_tiny_slopes_go_into_the_exponent(path, size):
    """The product is representable although the slope, or the probability, is not."""
    logit = np.float32(-np.log(size)) if size > 1 else np.float32(0)
    logits = np.array([[0.0, logit]], dtype=np.float32)
    problem = rows.make(logits, np.array([0]))
    got = rows.gradient(problem, rows.statistics(problem), Slopes(size, 0.0))[0, 1]
    exact = float(logit)
    want = np.exp(np.log(size) + exact - np.logaddexp(0, exact))
    np.testing.assert_allclose(got, want if want > 1e-37 else 0.0, rtol=2e-4)


SPECIAL = {
    "only class": ([5.0], [0.0]),
    "all others masked": ([5.0, -INF, -INF], [0.0, 0.0, 0.0]),
    "target masked": ([-INF, 0.0, 0.0], [-1.0, 0.5, 0.5]),
    "one masked": ([0.0, 0.0, -INF], [-0.5, 0.5, 0.0]),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("row", "want"), SPECIAL.values(), ids=SPECIAL)
def test_masked_logits(path, row, want, dtype):
    problem = rows.make(np.array([row], dtype=dtype), np.array([0]))
    got = rows.gradient(problem, rows.statistics(problem), Slopes(1.0, 1.0))
    np.testing.assert_allclose(got, [want], rtol=1e-6)


@pytest.mark.parametrize("row", [[np.nan, 0.0], [0.0, np.nan], [INF, 0.0], [0.0, INF]])
def test_no_finite_gradient_hides_a_bad_logit(path, row):
    problem = rows.make(np.array([row]), np.array([0]))
    got = rows.gradient(problem, rows.statistics(problem), Slopes(1.0, 1.0))
    assert np.isnan(got).all()


def test_ignored_rows_get_exactly_zero(path):
    logits = np.array([[np.nan, 1.0], [INF, -INF], [0.0, 0.0]])
    problem = rows.make(logits, np.array([-1, -1, 1]), ignore_index=-1)
    statistics = rows.statistics(problem)
    got = rows.gradient(problem, statistics, Slopes(1.0, 1.0, 0.1))
    np.testing.assert_allclose(got, [[0, 0], [0, 0], [0.4, -0.6]], atol=1e-15)


def test_out_is_written_and_may_be_the_logits(path):
    logits, target = some_rows(100, np.float32)
    problem = rows.make(logits, target)
    statistics = rows.statistics(problem)
    want = rows.gradient(problem, statistics, Slopes(1.0, 1.0))
    out = np.empty_like(logits)
    assert rows.gradient(problem, statistics, Slopes(1.0, 1.0), out=out) is out
    np.testing.assert_array_equal(out, want)
    rows.gradient(problem, statistics, Slopes(1.0, 1.0), out=logits)
    np.testing.assert_array_equal(logits, want)


def test_out_of_any_layout_but_no_other_type_or_shape(path):
    logits, target = some_rows(6, np.float32)
    problem = rows.make(logits, target)
    statistics = rows.statistics(problem)
    want = rows.gradient(problem, statistics, Slopes(1.0, 1.0))
    strided = np.zeros((9, 12), dtype=np.float32)[:, ::2]
    rows.gradient(problem, statistics, Slopes(1.0, 1.0), out=strided)
    np.testing.assert_allclose(strided, want, atol=1e-6)
    for bad in (np.empty((9, 6)), np.empty((9, 5), dtype=np.float32)):
        with pytest.raises(ValueError, match="out must have shape"):
            rows.gradient(problem, statistics, Slopes(1.0, 1.0), out=bad)


@pytest.mark.parametrize("length", [1, 8, 10])
def test_slopes_of_another_length_are_refused(path, length):
    logits, target = some_rows(4, np.float32)
    problem = rows.make(logits, target)
    with pytest.raises(ValueError, match=r"one for each of 9 rows, got \("):
        rows.gradient(problem, rows.statistics(problem), Slopes(np.ones(length), 1.0))


@pytest.mark.parametrize("dtype", [*DTYPES, np.float16])
def test_many_classes_that_lie_apart(path, dtype):
    """They are taken some at a time, where targets and what is ignored are counted anew."""
    classes, count = 4500, 70
    rng = np.random.default_rng(0)
    z = rng.normal(size=(count, classes)).astype(dtype)
    y = rng.integers(0, classes, count)
    y[:6] = 0, 127, 128, classes - 1, 300, 5
    numbers = np.float64 if dtype is np.float64 else np.float32
    options = {
        "weight": rng.uniform(0.5, 2, classes).astype(numbers),
        "bias": rng.normal(size=classes).astype(numbers),
        "softcap": 4.0,
        "temperature": 0.5,
        "ignore_index": 5,  # also what a target of 133 is, counted from 128
    }
    y[6] = 133
    slopes = Slopes(rng.normal(size=count), rng.normal(size=count), rng.normal(size=count))

    def gradient(logits, threads):
        problem = rows.make(logits, y, n_threads=threads, **options)
        return rows.gradient(problem, rows.statistics(problem), slopes)

    want = gradient(z, 1)
    assert not want[5].any()
    for threads in (1, 3):
        got = gradient(np.ascontiguousarray(z.T)[None], threads)[0].T
        tolerance = 1e-12 if dtype is np.float64 else 1e-3 if dtype is np.float16 else 1e-6
        np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("shape", [(0, 4500, 6), (1, 4500, 1), (2, 4500, 3)])
def test_many_classes_that_lie_apart_in_no_block_or_several(path, shape):
    z = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    y = np.arange(shape[0] * shape[2])

    def gradient(logits):
        problem = rows.make(logits, y)
        return rows.gradient(problem, rows.statistics(problem), Slopes(1.0, 1.0))

    want = gradient(np.moveaxis(z, 1, 2).reshape(-1, shape[1]))
    got = np.moveaxis(gradient(z), 1, 2).reshape(want.shape)
    np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("threads", [2, 7])
def test_threads_do_not_change_the_result(path, threads):
    logits, target = some_rows(2500, np.float32, n=700)
    results = []
    for n in (1, threads):
        problem = rows.make(logits, target, n_threads=n)
        results.append(rows.gradient(problem, rows.statistics(problem), Slopes(1.0, 1.0)))
    np.testing.assert_array_equal(*results)
