"""The loss and its gradient in one native call, beside array code on the same numbers."""

import math
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from crossentropy import losses, rows
from crossentropy.losses import Objective
from crossentropy.rows import RuleKind, RuleTerm, Training, _memory, _native, _reference
from tests.rows.test_statistics import DTYPES, INF, some_rows
from tests.table import CLASSES, ROWS

LEVELS = [name for name in rows.available_paths() if name != "reference"]
LOSSES = [row.loss for row in ROWS if row.loss.kernel_rule is not None]
every_loss = pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.label)
pytestmark = pytest.mark.skipif(not LEVELS, reason="there are no native kernels here")


@pytest.fixture(params=LEVELS)
def level(request):
    """Every instruction-set level that this machine has."""
    with rows.using(request.param):
        yield request.param


class Run(NamedTuple):
    """A training loss: what the objective, the rows and the reduction are made of."""

    loss: losses.Loss = losses.CrossEntropy()
    class_weight: np.ndarray | None = None
    label_smoothing: float = 0.0
    smoothing_prior: np.ndarray | None = None
    z_loss: float = 0.0
    sample_weight: np.ndarray | None = None
    temperature: float = 1.0
    bias: np.ndarray | None = None
    softcap: float | None = None
    mean: bool = True
    normalizer: float | None = None
    empty_is_zero: bool = False
    ignore_index: int = -100
    upstream: float = 1.0
    n_threads: int = 1

    def objective(self, classes):
        return Objective(
            self.loss,
            classes,
            class_weight=self.class_weight,
            label_smoothing=self.label_smoothing,
            smoothing_prior=self.smoothing_prior,
            z_loss=self.z_loss,
            ignore_index=self.ignore_index,
        )

    @property
    def needs_two_weights(self):
        """Whether the loss and smoothing each want w of their own, of which rows have one."""
        own = self.class_weight is not None or self.smoothing_prior is not None
        return self.loss.needs_weighted and self.label_smoothing > 0 and own

    def rows(self, logits, target):
        return rows.make(
            logits,
            target,
            weight=self.objective(logits.shape[1]).weight,
            temperature=self.temperature / self.loss.scale,
            bias=self.bias,
            softcap=self.softcap,
            ignore_index=self.ignore_index,
            n_threads=self.n_threads,
        )

    def train(self, logits, target, **options):
        """Loss and gradient by the kernels."""
        problem, objective = self.rows(logits, target), self.objective(logits.shape[1])
        weight = self.class_weight
        training = Training(
            rule=self.loss.kernel_rule,
            class_weight=None if weight is None else weight.astype(rows_type(logits)),
            sample_weight=self.sample_weight,
            label_smoothing=self.label_smoothing,
            share=objective.share,
            z_loss=self.z_loss,
            mean=self.mean,
            normalizer=math.nan if self.normalizer is None else self.normalizer,
            empty_is_zero=self.empty_is_zero,
        )
        return train(problem, training, upstream=self.upstream, **options)

    def wanted(self, logits, target):
        """The same by the objective's array code and the reference passes, in float64."""
        logits = np.asarray(logits, dtype=np.float64)
        problem, objective = self.rows(logits, target), self.objective(logits.shape[1])
        with np.errstate(all="ignore"):
            row = _reference.statistics(problem, weighted=objective.needs_weighted)
            value, slopes = objective.terms(row, self.sample_weight)
            share = self._share(objective, row)
            slopes = slopes.scaled(share * self.upstream)
            return value.sum() * share, _reference.gradient(problem, row, slopes)

    def _share(self, objective, row):
        if not self.mean:
            return 1.0
        divisor = self.normalizer
        if divisor is None:
            divisor = objective.normalizer(row, self.sample_weight)
        return 0.0 if divisor == 0 and self.empty_is_zero else 1 / np.float64(divisor)


def train(problem, training, **options):
    """The native call."""
    memory = _memory.memory_of(problem.logits)
    given = _native.train_options(problem, training)
    n_threads = problem.n_threads
    return _native.train(
        problem.logits, problem.target, given, memory, n_threads=n_threads, **options
    )


def rows_type(logits):
    """What goes with the classes is no shorter than float32."""
    return np.promote_types(logits.dtype, np.float32)


def assert_trained(run, logits, target, rtol=1e-9):
    """Close, a row's gradient relative to its largest element."""
    value, gradient = run.train(logits, target)
    want, want_gradient = run.wanted(logits, target)
    np.testing.assert_allclose(value, want, rtol=rtol, atol=rtol * 1e-3)
    assert gradient.dtype == logits.dtype
    size = np.abs(want_gradient).max(axis=1, keepdims=True, initial=0)
    allowed = rtol * (np.abs(want_gradient) + size) + 1e-14  # where all of it cancels
    close = np.abs(gradient - want_gradient) <= allowed
    close |= np.isnan(gradient) & np.isnan(want_gradient) | (gradient == want_gradient)
    assert close.all(), (gradient[~close][:3], want_gradient[~close][:3])


N, C = 12, 5
RNG = np.random.default_rng(0)
LOGITS = RNG.normal(size=(N, C)) * 3
TARGET = RNG.integers(0, C, N)
TARGET[::4] = -100
OMEGA = np.linspace(0.5, 2, C)  # which float32 holds
PRIOR = np.array([0.125, 0.25, 0.25, 0.125, 0.25])
OWN = np.linspace(0, 1, N)

OPTIONS = {
    "plain": {},
    "sum": {"mean": False},
    "class weights": {"class_weight": OMEGA},
    "a class of weight 0": {"class_weight": np.array([0.0, 1, 1, 0, 2])},
    "smoothing": {"label_smoothing": 0.1},
    "smoothing alone": {"label_smoothing": 1.0},
    "weighted smoothing": {"label_smoothing": 0.1, "class_weight": OMEGA},
    "prior": {"label_smoothing": 0.2, "smoothing_prior": PRIOR},
    "z-loss": {"z_loss": 0.01},
    "sample weights": {"sample_weight": OWN},
    "both weights": {"sample_weight": OWN, "class_weight": OMEGA, "z_loss": 0.01},
    "adjusted": {"temperature": 1.7, "bias": OMEGA - 1, "softcap": 5.0},
    "normalizer": {"normalizer": 7.5},
    "no normalizer": {"normalizer": 0.0, "empty_is_zero": True},
    "upstream": {"upstream": -65536.0},
    "all": {
        "class_weight": OMEGA,
        "label_smoothing": 0.2,
        "smoothing_prior": PRIOR,
        "z_loss": 0.01,
        "sample_weight": OWN,
        "temperature": 1.7,
        "bias": OMEGA - 1,
    },
}
every_option = pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)


@every_loss
@every_option
def test_every_loss_and_option_is_the_array_code(level, loss, options):
    run = Run(loss, **options)
    if run.needs_two_weights:
        with pytest.raises(ValueError, match="both need a weighted sum"):
            run.train(LOGITS, TARGET)
        return
    # where terms of a steep slope cancel, what they leave has fewer digits
    rtol = 1e-9 if loss.scale == 1 else 1e-6
    assert_trained(run, LOGITS / loss.scale, TARGET, rtol)
    planes = (LOGITS / loss.scale).reshape(2, 6, C).swapaxes(1, 2).copy()
    value, gradient = run.train(planes, TARGET)
    want, want_gradient = run.train(LOGITS / loss.scale, TARGET)
    np.testing.assert_allclose(value, want, rtol=1e-13)
    # a capped row has its gradient from two passes, whose lanes lie elsewhere
    np.testing.assert_allclose(
        gradient.swapaxes(1, 2).reshape(N, C), want_gradient, rtol=1e-9, atol=1e-12
    )


@every_loss
@pytest.mark.parametrize("classes", CLASSES)
def test_every_number_of_classes(level, loss, classes):
    logits, target = some_rows(classes, np.float64, n=70)
    target[::7] = -100
    weight = np.linspace(0.5, 2, classes).astype(np.float32).astype(np.float64)
    by_class = None if loss.needs_weighted else weight  # rows have one w only
    run = Run(loss, label_smoothing=0.1, class_weight=by_class)
    assert_trained(run, logits / loss.scale, target, 1e-9 if loss.scale == 1 else 1e-6)


EDGES = np.array(
    [
        [-INF, 0, 1],
        [-INF, 0, -INF],
        [0, -INF, -INF],
        [-1e4, 0, 1],
        [1e4, 0, 1],
        [0, 0, 0],
        [-700, 0, 0],
        [40, 0, -3],
    ]
)


@every_loss
@pytest.mark.parametrize("options", [{}, {"z_loss": 0.1}, {"class_weight": np.array([0.0, 1, 1])}])
@pytest.mark.parametrize("dtype", DTYPES)
def test_the_edges(level, loss, options, dtype):
    """Where p is 0 or 1, each row by itself: infinities would hide the others."""
    for logits in EDGES.astype(dtype):
        run = Run(loss, mean=False, **options)
        rtol = 1e-9 if dtype is np.float64 and loss.scale == 1 else 1e-3
        with np.errstate(over="ignore"):
            value, gradient = run.train(logits[None], np.array([0]))
            want, want_gradient = run.wanted(logits[None], np.array([0]))
            want_gradient = want_gradient.astype(dtype)
        np.testing.assert_allclose(value, want, rtol=rtol, atol=1e-30)
        np.testing.assert_allclose(gradient, want_gradient, rtol=rtol, atol=1e-30)


@pytest.mark.parametrize("row", [[np.nan, 0.0], [0.0, np.nan], [INF, 0.0], [-INF, -INF]])
@every_loss
def test_a_bad_logit_shows(level, loss, row):
    value, gradient = Run(loss, mean=False).train(np.array([row]), np.array([0]))
    assert np.isnan(value)
    assert np.isnan(gradient).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("classes", [3, 100, 3000])
def test_ignored_rows_count_for_nothing_whatever_they_hold(level, dtype, classes):
    logits, target = some_rows(classes, dtype)
    run = Run(losses.Focal(), label_smoothing=0.1, sample_weight=np.linspace(1, 2, 9))
    keep = np.arange(9) % 3 != 0
    want = run._replace(sample_weight=run.sample_weight[keep]).train(logits[keep], target[keep])
    logits[~keep], target[~keep], run.sample_weight[~keep] = np.nan, -100, np.nan
    value, gradient = run.train(logits, target)
    np.testing.assert_allclose(value, want[0], rtol=1e-14)
    np.testing.assert_allclose(gradient[keep], want[1], rtol=1e-6)
    assert not gradient[~keep].any()


@pytest.mark.parametrize("empty_is_zero", [False, True])
@pytest.mark.parametrize("shape", [(0, 4), (3, 4), (3, 200)])
def test_a_mean_over_nothing(level, empty_is_zero, shape):
    run = Run(empty_is_zero=empty_is_zero)
    value, gradient = run.train(np.zeros(shape), np.full(shape[0], -100))
    assert value == 0 if empty_is_zero else np.isnan(value)
    assert gradient.shape == shape
    assert not gradient.any()


@pytest.mark.parametrize("shape", [(700, 2500), (300_000, 4), (3, 70, 9000), (5000, 130)])
def test_threads_do_not_change_a_bit(level, shape):
    rng = np.random.default_rng(0)
    logits = rng.normal(size=shape).astype(np.float32)
    target = rng.integers(0, shape[1], logits.size // shape[1])
    target[::5] = -100
    runs = [Run(losses.Focal(), z_loss=0.1, n_threads=n).train(logits, target) for n in (1, 2, 7)]
    for value, gradient in runs[1:]:
        assert value == runs[0][0]
        np.testing.assert_array_equal(gradient, runs[0][1])


@pytest.mark.parametrize("shape", [(700, 2500), (3, 70, 9000)])
def test_chunks_do_not_show_at_size(level, shape):
    """The whole is what its rows are by themselves, in memory that is streamed to."""
    rng = np.random.default_rng(0)
    logits = rng.normal(size=shape)
    target = rng.integers(0, shape[1], logits.size // shape[1])
    out = np.empty_like(logits)
    run = Run(losses.Poly(), n_threads=2)
    value, gradient = run.train(logits, target, out=out)
    want, want_gradient = run.wanted(logits, target)
    assert gradient is out
    np.testing.assert_allclose(value, want, rtol=1e-12)
    np.testing.assert_allclose(gradient, want_gradient, rtol=1e-10, atol=1e-18)


@pytest.mark.parametrize("classes", CLASSES[1:])
def test_float32_rows_are_accurate_however_confident(level, classes):
    logits, target = some_rows(classes, np.float32, n=60, scale=8.0)
    logits[np.arange(60), target] += np.linspace(0, 60, 60, dtype=np.float32)
    run = Run(mean=False)
    for k in range(60):
        value, gradient = run.train(logits[k : k + 1], target[k : k + 1])
        want, want_gradient = run.wanted(logits[k : k + 1], target[k : k + 1])
        np.testing.assert_allclose(value, want, rtol=4e-6)
        normal = np.abs(want_gradient) > 1e-35  # less may be flushed
        np.testing.assert_allclose(gradient[normal], want_gradient[normal], rtol=1e-5)
        assert np.abs(gradient[~normal]).max(initial=0) < 2e-35


@given(data=st.data())
def test_any_rows(data):
    before = rows.path()
    rows.use(data.draw(st.sampled_from(LEVELS), "level"))
    classes = data.draw(st.one_of(st.integers(1, 140), st.sampled_from((2047, 2048, 2049))))
    shape = data.draw(
        st.one_of(
            st.tuples(st.integers(0, 140), st.just(classes)),
            st.tuples(st.integers(1, 3), st.just(classes), st.integers(1, 70)),
        ),
        "shape",
    )
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32), "seed"))
    logits = rng.normal(size=shape) * data.draw(st.sampled_from((0, 1, 30, 300)), "size")
    logits[rng.random(shape) < data.draw(st.sampled_from((0, 0.3)), "masked")] = -INF
    target = rng.integers(0, classes, logits.size // classes)
    target[rng.random(target.size) < 0.1] = -100
    loss = data.draw(st.sampled_from([loss for loss in LOSSES if loss.scale == 1]), "loss")
    names = data.draw(st.sets(st.sampled_from(sorted(DRAWN))), "options")
    run = Run(loss, **{name: DRAWN[name](rng, target.size, classes) for name in names})
    assume(not run.needs_two_weights)
    try:
        assert_trained(run, logits, target, rtol=1e-8)
    finally:
        rows.use(before)


DRAWN = {
    "class_weight": lambda rng, count, classes: rng.uniform(0.1, 2, classes),
    "label_smoothing": lambda rng, count, classes: 0.1,
    "z_loss": lambda rng, count, classes: 0.01,
    "sample_weight": lambda rng, count, classes: rng.uniform(0, 2, count),
    "temperature": lambda rng, count, classes: 1.3,
    "bias": lambda rng, count, classes: rng.normal(size=classes),
    "mean": lambda rng, count, classes: False,
    "n_threads": lambda rng, count, classes: 3,
}


def test_without_a_gradient_the_loss_is_the_same(level):
    for classes in CLASSES:
        logits, target = some_rows(classes, np.float64)
        run = Run(losses.Focal(1.5), label_smoothing=0.1)
        value, gradient = run.train(logits, target, wants_gradient=False)
        assert gradient is None
        np.testing.assert_allclose(value, run.train(logits, target)[0], rtol=1e-14)


def test_a_target_out_of_range_is_named_and_nothing_is_written(level):
    logits, target = some_rows(4, np.float32)
    target[5] = 4
    out = np.full_like(logits, 7)
    with pytest.raises(IndexError, match=r"Target 4 is out of bounds: row 5 .* \[0, 3\]"):
        Run().train(logits, target, out=out)
    assert (out == 7).all()


@pytest.mark.parametrize(
    "rule", [(), (RuleTerm(RuleKind.LOG_PROB), (7, 1, 0, 0)), ((-1, 1, 0, 0),)]
)
def test_rules_that_the_kernels_do_not_know_are_refused(level, rule):
    problem = Run().rows(LOGITS, TARGET)
    with pytest.raises(ValueError, match=r"no such rule|no rule"):
        train(problem, Training(rule=rule))


def test_every_kind_of_rule_is_tested():
    kinds = {term.kind for loss in LOSSES for term in loss.kernel_rule}
    assert kinds == set(RuleKind)
