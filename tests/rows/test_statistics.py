import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from crossentropy import rows
from tests import oracle
from tests.table import CLASSES

DTYPES = (np.float32, np.float64)
TOLERANCE = {np.float32: 4e-6, np.float64: 1e-13}


def some_rows(classes, dtype, n=9, scale=4.0):
    rng = np.random.default_rng(classes)
    logits = (rng.normal(size=(n, classes)) * scale).astype(dtype)
    return logits, rng.integers(0, classes, n)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("classes", CLASSES)
def test_statistics_are_the_oracles(path, classes, dtype):
    logits, target = some_rows(classes, dtype)
    weight = np.random.default_rng(1).uniform(0.5, 2, classes).astype(dtype)
    got = rows.statistics(rows.make(logits, target, weight=weight), weighted=True)
    want = oracle.statistics(logits, target, weight)
    np.testing.assert_allclose(got.log_prob, want.log_prob, rtol=TOLERANCE[dtype], atol=0)
    np.testing.assert_allclose(got.prob, want.prob, rtol=40 * TOLERANCE[dtype])
    np.testing.assert_allclose(got.prob_rest, want.prob_rest, rtol=TOLERANCE[dtype], atol=0)
    np.testing.assert_allclose(got.lse, want.lse, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])
    np.testing.assert_allclose(
        got.weighted_nll, want.weighted_nll, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype]
    )


@pytest.mark.parametrize("margin", [-1e4, -100, -1, 0, 1, 5, 17, 40, 57])
@pytest.mark.parametrize("offset", [0.0, 1024.0])
def test_log_prob_is_accurate_however_confident_the_row(path, margin, offset):
    logits = np.array([[margin, 0.0, -3.0]], dtype=np.float32) + np.float32(offset)
    target = np.array([0])
    got = rows.statistics(rows.make(logits, target)).log_prob
    np.testing.assert_allclose(got, oracle.statistics(logits, target).log_prob, rtol=4e-6)


@pytest.mark.parametrize("dtype", DTYPES)
def test_derived_statistics(path, dtype):
    logits, target = some_rows(7, dtype)
    got = rows.statistics(rows.make(logits, target))
    exact = logits.astype(np.float64)
    np.testing.assert_allclose(got.lse, np.log(np.exp(exact).sum(1)), rtol=1e-6)
    np.testing.assert_allclose(got.prob, np.exp(got.log_prob))
    np.testing.assert_allclose(got.prob_rest, -np.expm1(got.log_prob))
    z_y = exact[np.arange(len(target)), target]
    np.testing.assert_allclose(got.margin, z_y - np.log(got.prob_rest) - got.lse, rtol=1e-6)
    np.testing.assert_array_equal(got.of_class(np.arange(7.0)), target)


@pytest.mark.parametrize("dtype", DTYPES)
def test_temperature_and_bias(path, dtype):
    logits, target = some_rows(33, dtype)
    bias = np.random.default_rng(2).normal(size=33).astype(dtype)
    got = rows.statistics(rows.make(logits, target, temperature=1.7, bias=bias))
    adjusted = logits.astype(np.float64) / 1.7 + bias
    want = oracle.statistics(adjusted, target)
    np.testing.assert_allclose(got.log_prob, want.log_prob, rtol=TOLERANCE[dtype] * 3)


INF = np.inf
SPECIAL = {
    "only class": ([5.0], 0.0),
    "all others masked": ([5.0, -INF, -INF], 0.0),
    "target masked": ([-INF, 1.0, 2.0], -INF),
    "all masked": ([-INF, -INF], np.nan),
    "nan in target": ([np.nan, 1.0], np.nan),
    "nan elsewhere": ([1.0, np.nan], np.nan),
    "nan among masked": ([1.0, -INF, np.nan], np.nan),
    "inf in target": ([INF, 1.0], np.nan),
    "inf elsewhere": ([1.0, INF], np.nan),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("row", "log_prob"), SPECIAL.values(), ids=SPECIAL)
def test_special_rows(path, row, log_prob, dtype):
    logits = np.array([row], dtype=dtype)
    got = rows.statistics(rows.make(logits, np.array([0])))
    np.testing.assert_array_equal(got.log_prob, [log_prob])


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_masked_prefix_longer_than_a_block(path, dtype):
    logits = np.full((2, 10_000), -INF, dtype=dtype)
    logits[:, 9_000:] = 1.0
    got = rows.statistics(rows.make(logits, np.array([9_000, 0])))
    np.testing.assert_allclose(got.log_prob, [-np.log(1000), -INF])


def test_zero_weight_at_a_masked_logit_contributes_nothing(path):
    logits = np.array([[0.0, 0.0, -INF]])
    got = rows.statistics(
        rows.make(logits, np.array([0]), weight=np.array([1.0, 1.0, 0.0])), weighted=True
    )
    np.testing.assert_allclose(got.weighted_nll, [2 * np.log(2)])
    got = rows.statistics(rows.make(logits, np.array([0])), weighted=True)
    np.testing.assert_array_equal(got.weighted_nll, [INF])


def test_ignored_rows_are_zero_whatever_their_logits(path):
    logits = np.array([[np.nan, 1.0], [INF, -INF], [0.0, 0.0]])
    problem = rows.make(logits, np.array([-1, -1, 1]), ignore_index=-1)
    got = rows.statistics(problem, weighted=True)
    np.testing.assert_allclose(got.log_prob, [0, 0, -np.log(2)])
    np.testing.assert_allclose(got.weighted_nll, [0, 0, 2 * np.log(2)])
    np.testing.assert_allclose(got.lse, [0, 0, np.log(2)])


@pytest.mark.parametrize("bad", [-1, 3, -100, 2**40])
def test_targets_out_of_range(path, bad):
    problem = rows.make(np.zeros((2, 3)), np.array([0, bad]))
    with pytest.raises(IndexError, match=rf"Target {bad} is out of bounds: row 1 .*\[0, 2\]"):
        rows.statistics(problem)


@pytest.mark.parametrize("threads", [2, 7])
def test_threads_do_not_change_the_result(path, threads):
    logits, target = some_rows(2500, np.float32, n=700)
    one = rows.statistics(rows.make(logits, target))
    many = rows.statistics(rows.make(logits, target, n_threads=threads))
    np.testing.assert_array_equal(one.table, many.table)


def test_no_rows(path):
    got = rows.statistics(rows.make(np.zeros((0, 4)), np.zeros(0, dtype=int)))
    assert got.log_prob.shape == (0,)


layouts = {
    "transposed": lambda x: np.asfortranarray(x),
    "strided": lambda x: np.repeat(x, 2, axis=1)[:, ::2],
    "read-only": lambda x: np.frombuffer(x.tobytes(), x.dtype).reshape(x.shape),
}


@pytest.mark.parametrize("layout", layouts.values(), ids=layouts)
def test_layouts(path, layout):
    logits, target = some_rows(17, np.float32)
    want = rows.statistics(rows.make(logits, target)).table
    np.testing.assert_array_equal(rows.statistics(rows.make(layout(logits), target)).table, want)
    same = np.broadcast_to(logits[0], logits.shape)
    got = rows.statistics(rows.make(same, np.full(len(same), target[0]))).log_prob
    np.testing.assert_array_equal(got, got[:1].repeat(len(same)))


finite = st.floats(-1e4, 1e4, width=32)


@given(
    logits=hnp.arrays(
        np.float32, hnp.array_shapes(min_dims=2, max_dims=2, max_side=70), elements=finite
    ),
    data=st.data(),
)
def test_any_finite_logits(logits, data):
    n, classes = logits.shape
    target = data.draw(hnp.arrays(np.int64, n, elements=st.integers(0, classes - 1)))
    want = oracle.statistics(logits, target).log_prob
    for name in rows.available_paths():
        with rows.using(name):
            got = rows.statistics(rows.make(logits, target)).log_prob
        # below 1e-300 a loss may come out as 0
        np.testing.assert_allclose(got, want, rtol=4e-6, atol=1e-300)
