"""The element-wise pass by every path, against mpmath and against the same in float64."""

import functools

import hypothesis
import ml_dtypes
import mpmath
import numpy as np
import pytest
from hypothesis import strategies as st

from crossentropy import elements
from crossentropy.elements import _native
from crossentropy.losses import Asymmetric, Binary, BinaryCrossEntropy, Poly, SigmoidFocal
from tests.binary_table import every_loss, kernels, label_of

LOGITS = np.array([-1e4, -700, -200, -95, -60, -20, -5, -3.1, -1.4, -1, -0.2, -1e-3, -1e-9])
LOGITS = np.concatenate([LOGITS, [0.0, 0.406], -LOGITS[::-1]])
# relative, of losses and gradients however small
TOLERANCE = {np.float32: 4e-6, np.float64: 1e-11}


@functools.cache
def truth_at(label, logit, positive):
    """Loss and derivative in the logit, to many digits."""
    row = next(x for x in every_loss.args[1] if label_of(x) == label)
    formula = row.positive if positive else row.negative
    with mpmath.workdps(60 + min(350, int(abs(logit) / 2))):  # less than 1e-350 is 0

        def value(z):
            p = 1 / (1 + mpmath.exp(-z))
            return formula(p, 1 / (1 + mpmath.exp(z)), mpmath)

        z = mpmath.mpf(float(logit))
        return float(value(z)), float(mpmath.diff(value, z, h=mpmath.mpf(10) ** -25))


def evaluate(row, target, logits, **options):
    made = elements.evaluate(
        elements.make(logits, target), row.loss, losses=True, gradient=True, **options
    )
    return made.losses, made.gradient


def assert_close(got, want, rtol):
    """Relative, but for what the type cannot hold."""
    least = float(np.finfo(got.dtype).tiny)
    np.testing.assert_allclose(got.astype(np.float64), want, rtol=rtol, atol=2 * least)


@every_loss
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("positive", [True, False])
def test_losses_and_gradients_are_the_papers_at_all_logits(path, row, dtype, positive):
    if row.loss.curve is None and dtype is np.float32:
        pytest.skip("computed as float64 is")
    logits = LOGITS.astype(dtype)
    truth = np.array([truth_at(label_of(row), float(z), positive) for z in logits]).T
    loss, gradient = evaluate(row, np.full(logits.shape, positive), logits)
    assert loss.dtype == gradient.dtype == dtype
    assert_close(loss, truth[0], TOLERANCE[dtype])
    assert_close(gradient, truth[1], TOLERANCE[dtype] / 2)


@every_loss
@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
def test_shorter_types_are_rounded_once(path, row, dtype):
    rng = np.random.default_rng(0)
    logits = (rng.normal(size=500) * 5).astype(dtype)
    target = rng.uniform(size=500).astype(dtype)
    wide = [
        x.astype(np.float64)
        for x in evaluate(row, target.astype(np.float64), logits.astype(np.float64))
    ]
    info = ml_dtypes.finfo(dtype)
    for got, want in zip(evaluate(row, target, logits), wide, strict=True):
        assert got.dtype == dtype
        eps, least = float(info.eps), float(info.smallest_subnormal)
        np.testing.assert_allclose(got.astype(np.float64), want, rtol=eps * 0.51, atol=least + 1e-6)


@kernels
@pytest.mark.parametrize(
    "count", [0, 1, 2, 3, 7, 8, 15, 16, 17, 31, 33, 1023, 1024, 1025, 8192, 8193, 20000]
)
def test_kernels_at_every_length(path, row, count):
    """Tails of vectors, blocks and chunks, with guards around what is written."""
    rng = np.random.default_rng(count)
    logits, target = rng.normal(size=count) * 4, rng.uniform(size=count)
    room = np.full((2, count + 2), 7.0)
    given = elements.make(logits, target)
    made = elements.evaluate(
        given,
        row.loss,
        losses=True,
        gradient=True,
        losses_out=room[0, 1:-1],
        gradient_out=room[1, 1:-1],
    )
    assert (room[:, [0, -1]] == 7).all()
    want = elements._reference.evaluate(given, row.loss, losses=True, gradient=True)
    np.testing.assert_allclose(room[0, 1:-1], want.losses, rtol=1e-11, atol=1e-14)
    np.testing.assert_allclose(room[1, 1:-1], want.gradient, rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(made.total, want.losses.sum(), rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_result_does_not_depend_on_the_number_of_threads(path, dtype):
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(1100, 1000)).astype(dtype)
    target = rng.integers(0, 2, logits.shape)
    weight = rng.uniform(size=1000)
    made = [
        elements.evaluate(
            elements.make(logits, target, pos_weight=weight, n_threads=n),
            SigmoidFocal(),
            gradient=True,
        )
        for n in (1, 2, 3)
    ]
    for other in made[1:]:
        assert float(other.total) == float(made[0].total)
        np.testing.assert_array_equal(other.gradient, made[0].gradient)


SHAPES = [
    ((6,), (6,)),
    ((6,), (1,)),
    ((5, 6), (6,)),
    ((5, 6), (5, 1)),
    ((5, 6), (1, 6)),
    ((5, 6), ()),
    ((2, 5, 6), (5, 1)),
    ((2, 5, 6), (2, 5, 6)),
    ((3000, 7), (7,)),
    ((3, 9000), (9000,)),
    ((), ()),
    ((0, 4), (4,)),
]


@pytest.mark.parametrize(("shape", "weights"), SHAPES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
def test_weights_of_any_shape_that_broadcasts(path, shape, weights, dtype):
    rng = np.random.default_rng(0)
    logits, target = rng.normal(size=shape).astype(dtype), rng.integers(0, 2, shape)
    target = np.asarray(target)
    first, second = rng.uniform(size=weights) * 2, rng.uniform(size=weights[-1:]) * 3
    loss, gradient = BinaryCrossEntropy().loss_gradient(
        target, logits, sample_weight=first, pos_weight=second
    )
    factor = first * np.where(target, second, 1.0)
    plain, slope = BinaryCrossEntropy().loss_gradient(target, logits.astype(np.float64))
    rtol = {np.float32: 1e-6, np.float64: 1e-13, np.float16: 6e-4}[dtype]
    np.testing.assert_allclose(loss, factor * plain, rtol=rtol)
    np.testing.assert_allclose(gradient, factor * slope, rtol=rtol)


@every_loss
def test_infinite_logits(path, row):
    """The loss is what it tends to, perhaps inf; the gradient is finite."""
    logits = np.array([np.inf, -np.inf, np.inf, -np.inf])
    target = np.array([1, 0, 0, 1])
    loss, gradient = evaluate(row, target, logits)
    near, slope = evaluate(row, target, np.clip(logits, -1e300, 1e300))
    assert np.isfinite(gradient).all()
    np.testing.assert_allclose(gradient, slope, atol=1e-12)
    np.testing.assert_allclose(np.where(near >= 1e299, np.inf, near), loss, atol=1e-12)


@kernels
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_nan_is_never_hidden(path, row, dtype):
    logits = np.full(40, np.nan, dtype)
    for target in (np.ones(40), np.zeros(40), np.full(40, 0.3)):
        loss, gradient = evaluate(row, target, logits)
        if not (isinstance(row.loss, SigmoidFocal) and row.loss.alpha == 0):
            assert np.isnan(loss).all()
            assert np.isnan(gradient).all()


@pytest.mark.parametrize("bad", [1.0000001, -1e-3, 2.0, np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [0, 16, 8191, 8192, 9999])
def test_a_target_outside_0_and_1_raises_wherever_it_is(path, bad, place):
    target = np.full((2, 5000), 0.5)
    target.flat[place] = bad
    index = tuple(int(i) for i in np.unravel_index(place, target.shape))
    with pytest.raises(
        ValueError, match=r"targets must be probabilities in \[0, 1\], got"
    ) as error:
        BinaryCrossEntropy().loss(target, np.zeros((2, 5000)))
    assert str(error.value).endswith(f"at {index}")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_ignored_elements_count_for_nothing(path, dtype):
    logits = np.array([np.nan, 1.0, np.inf, -2.0, -np.inf], dtype)
    target = np.array([-100, 1, -100, 0, -100], dtype)
    given = elements.make(logits, target)._replace(ignore_index=-100)
    made = elements.evaluate(given, SigmoidFocal(), losses=True, gradient=True)
    counted = np.array([1, 3])
    want = SigmoidFocal().loss_gradient(target[counted], logits[counted])
    for got, expected in zip((made.losses, made.gradient), want, strict=True):
        np.testing.assert_array_equal(got[counted], expected)
        np.testing.assert_array_equal(got[[0, 2, 4]], 0)
    np.testing.assert_allclose(float(made.total), want[0].sum(), rtol=1e-6)


def test_a_ready_gradient_past_the_caches(path):
    """Large enough that it is streamed, from any address on, and over the logits."""
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(2**23 + 5)).astype(np.float32)
    target = (rng.uniform(size=logits.shape) < 0.5).astype(np.float32)
    want = BinaryCrossEntropy().gradient(target, logits)
    room = np.empty(logits.size + 3, np.float32)
    got = BinaryCrossEntropy().gradient(target, logits, out=room[3:])
    np.testing.assert_array_equal(got, want)
    assert got.base is room
    over = BinaryCrossEntropy().gradient(target, logits, out=logits)
    assert over is logits
    np.testing.assert_array_equal(over, want)


ASYMMETRIC = Asymmetric(), Asymmetric(2, 0.3, 0.4)


@hypothesis.given(
    logits=st.lists(st.floats(-1e5, 1e5, width=32), min_size=1, max_size=40),
    target=st.floats(0, 1, width=32),
    smoothing=st.floats(0, 1),
    loss=st.sampled_from(
        [
            BinaryCrossEntropy(),
            SigmoidFocal(0.3, 0.7),
            Asymmetric(),
            Asymmetric(2, 0.3, 0.4),
            Binary(Poly()),
        ]
    ),
)
@hypothesis.settings(suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture])
def test_finite_and_alike_for_any_logits_targets_and_smoothing(
    path, logits, target, smoothing, loss
):
    logits = np.array(logits, np.float32)
    given = elements.make(logits, np.full(logits.shape, target))._replace(label_smoothing=smoothing)
    made = elements.evaluate(given, loss, losses=True, gradient=True)
    wide = elements._reference.evaluate(
        given._replace(logits=logits.astype(np.float64), target=given.target.astype(np.float64)),
        loss,
        losses=True,
        gradient=True,
    )
    assert np.isfinite(made.gradient).all()
    np.testing.assert_allclose(made.losses, wide.losses, rtol=4e-6, atol=1e-36)
    # of the difference of two parts
    np.testing.assert_allclose(made.gradient, wide.gradient, rtol=2e-6, atol=3e-7)


def test_weights_by_class_repeat_in_chunks():
    """Or full ones would be made where a chunk's would do."""
    weight, pos_weight, chunk = _native.laid_out((4000, 10), None, np.arange(10.0))
    assert weight.array is None
    assert not pos_weight.full
    assert chunk == 8200
    np.testing.assert_array_equal(pos_weight.array, np.tile(np.arange(10.0), (820, 1)))
    assert _native.laid_out((40000,), np.ones(40000), None)[0].full
