"""Distributions as targets: torch's results for torch's arguments, the docstring's formula beside.

The formula is written here in float64; every path and type is held to it.
"""

import functools
import math

import mpmath
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch.autograd import forward_ad
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from crossentropy import losses, rows
from crossentropy.torch import CrossEntropyLoss, cross_entropy
from tests.table import CLASSES

DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)
TOLERANCE = {
    torch.float64: {"rtol": 1e-12, "atol": 1e-12},
    torch.float32: {"rtol": 3e-6, "atol": 3e-6},
    torch.bfloat16: {"rtol": 8e-3, "atol": 8e-3},
    torch.float16: {"rtol": 1e-3, "atol": 1e-3},
}
every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=str)
inf, nan = math.inf, math.nan


def batch(*shape, dtype=torch.float64, seed=0):
    """Logits that ask for their gradient, and distributions, some classes of which have no mass."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(shape, generator=generator, dtype=torch.float64).mul(3).to(dtype)
    axis = min(1, len(shape) - 1)
    target = torch.randn(shape, generator=generator, dtype=torch.float64).mul(2).softmax(axis)
    target = torch.where(target < 0.01, 0.0, target).to(dtype)
    return logits.requires_grad_(), target


def literal(logits, target, reduction="mean", **options):
    """The documented formula."""
    z, t = (x.double().movedim(min(1, x.ndim - 1), -1) for x in (logits, target))
    classes = z.shape[-1]
    given = {k: v.double() if isinstance(v, torch.Tensor) else v for k, v in options.items()}
    cap = given.get("softcap")
    z = z if cap is None else cap * torch.tanh(z / cap)
    z = z / given.get("temperature", 1.0) + given.get("logit_bias", 0.0)
    weight = given.get("weight", torch.ones(classes, dtype=torch.float64))
    prior = given.get("smoothing_prior", torch.ones(classes, dtype=torch.float64) / classes)
    epsilon = given.get("label_smoothing", 0.0)
    w, mass = weight * ((1 - epsilon) * t + epsilon * prior), (weight * t).sum(-1)
    lse = z.logsumexp(-1)
    value = (w * (lse.unsqueeze(-1) - z)).sum(-1) + given.get("z_loss", 0.0) * mass * lse**2
    own = given.get("sample_weight", torch.ones_like(value))
    mask = options.get("mask", torch.ones_like(value, dtype=torch.bool))
    own = torch.where(mask, own, 0.0)
    value = own * value
    if reduction != "mean":
        return value if reduction == "none" else value.sum()
    divisor = options.get("normalizer", own.sum())
    return value.sum() / ((own * mass).sum() if isinstance(divisor, str) else divisor)


def assert_close(got, want, dtype, **other):
    close = {**TOLERANCE[dtype], **other}
    torch.testing.assert_close(got.double(), want.double(), equal_nan=True, **close)


def assert_literal(logits, target, *, reduction="mean", other=None, **options):
    """Value, and gradient for upstreams that are not 1, within a rounding of the formula's."""
    dtype, other = logits.dtype, other or {}
    got = cross_entropy(logits, target, reduction=reduction, **options)
    want = literal(logits, target, reduction, **options)
    assert got.dtype == dtype
    assert_close(got, want, dtype, **other)
    generator = torch.Generator().manual_seed(1)
    upstream = torch.randn(got.shape, generator=generator).to(dtype)
    asking = [x for x in (logits, target) if x.requires_grad]
    got = torch.autograd.grad(got, asking, upstream)
    want = torch.autograd.grad(want, asking, upstream.double())
    for mine, theirs in zip(got, want, strict=True):
        assert mine.dtype == dtype
        assert_close(mine, theirs, dtype, **other)


def options_of(classes, positions, dtype=torch.float64):
    """Every option at once."""
    count = math.prod(positions)
    prior = torch.arange(classes, dtype=torch.float64) + 0.5  # no class without
    return {
        "weight": torch.linspace(0.5, 2, classes).to(dtype),
        "label_smoothing": 0.2,
        "smoothing_prior": (prior / prior.sum()).to(torch.promote_types(dtype, torch.float32)),
        "softcap": 6.0,
        "temperature": 0.7,
        "logit_bias": torch.linspace(-1, 1, classes).to(dtype),
        "z_loss": 0.1,
        "sample_weight": torch.linspace(0.25, 1.5, count).reshape(positions).to(dtype),
        "mask": (torch.arange(count) % 3 != 1).reshape(positions),
    }


# ---- values and gradients -----------------------------------------------------------------------


@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("weighted", [False, True])
def test_torchs_options_in_every_combination(path, reduction, smoothing, weighted):
    logits, target = batch(20, 17)
    weight = torch.linspace(0.2, 2, 17, dtype=torch.float64) if weighted else None
    options = {"reduction": reduction, "label_smoothing": smoothing, "weight": weight}
    got, want = (f(logits, target, **options) for f in (cross_entropy, functional.cross_entropy))
    assert_close(got, want, torch.float64)
    upstream = torch.rand_like(want)
    got, want = (torch.autograd.grad(value, logits, upstream)[0] for value in (got, want))
    assert_close(got, want, torch.float64)


@every_dtype
@pytest.mark.parametrize("classes", [*CLASSES, 4096, 5000, 10241])
def test_every_number_of_classes(path, classes, dtype):
    assert_literal(*batch(3, classes, dtype=dtype), reduction="none")


@every_dtype
@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
@pytest.mark.parametrize("shape", [(4,), (6, 4), (3, 2500), (2, 4, 3), (2, 4, 3, 2)])
def test_everything_at_once(path, reduction, shape, dtype):
    positions = shape[:1] * (len(shape) > 1) + shape[2:]
    options = options_of(shape[min(1, len(shape) - 1)], positions, dtype)
    if not positions:
        options["mask"] = torch.tensor(True)
    other = {"atol": 2e-5, "rtol": 2e-5} if dtype == torch.float32 else None
    if dtype.itemsize == 2 and reduction == "sum":  # a rounding of the sum, not of 1
        other = {"atol": 0.3}
    logits, target = batch(*shape, dtype=dtype)
    assert_literal(logits, target, reduction=reduction, other=other, **options)


OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "weight": st.none(),
        "label_smoothing": st.floats(0, 1),
        "smoothing_prior": st.none(),
        "softcap": st.floats(1, 30),
        "temperature": st.floats(0.25, 4),
        "logit_bias": st.none(),
        "z_loss": st.floats(0, 1),
        "sample_weight": st.none(),
        "mask": st.none(),
    },
)
NORMALIZERS = st.sampled_from([None, "weights", 2.5, 3, torch.tensor(4.0), torch.tensor(5)])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    OPTIONS,
    NORMALIZERS,
    st.sampled_from(["none", "sum", "mean"]),
    st.tuples(st.integers(1, 5), st.integers(1, 70), st.integers(1, 3), st.integers(1, 3)),
    st.integers(2, 4),
    st.booleans(),
    st.integers(0, 2**31),
)
def test_any_options_and_shapes(path, options, normalizer, reduction, shape, ndim, last, seed):
    shape = shape[:ndim]
    logits, target = batch(*shape, seed=seed)
    target = target * 1.5  # no distribution, which nobody checks
    if last:
        logits = logits.detach().movedim(1, -1).contiguous().movedim(-1, 1).requires_grad_()
    every = options_of(shape[1], shape[:1] + shape[2:])
    options = {name: every[name] if value is None else value for name, value in options.items()}
    if normalizer is not None and reduction == "mean":
        options["normalizer"] = normalizer
    close = {"rtol": 1e-9, "atol": 1e-10}
    for given_target in (target, target.clone().requires_grad_()):
        assert_literal(logits, given_target, reduction=reduction, other=close, **options)


LAYOUTS = {
    "channels last": lambda x: x.contiguous(memory_format=torch.channels_last),
    "classes first": lambda x: x.transpose(0, 1).contiguous().transpose(0, 1),
    "every other position": lambda x: x.repeat_interleave(2, 3)[..., ::2],
    "every other class": lambda x: x.repeat_interleave(2, 1)[:, ::2],
    "one row for all": lambda x: x[:1].expand(x.shape),
    "one position for all": lambda x: x[..., :1].expand(x.shape),
}


@pytest.mark.parametrize("of_logits", LAYOUTS)
@pytest.mark.parametrize("of_target", LAYOUTS)
def test_every_layout(path, of_logits, of_target):
    logits, target = batch(3, 5, 4, 2)
    logits = LAYOUTS[of_logits](logits.detach()).requires_grad_()
    assert_literal(logits, LAYOUTS[of_target](target), reduction="none")


@pytest.mark.parametrize("stride", [1, 2])
def test_masks_and_weights_of_rows_in_any_layout(path, stride):
    logits, target = batch(4, 3)
    mask = torch.tensor([True, False, False, True, True, True, True, False])[: 4 * stride : stride]
    own = torch.linspace(0.1, 1, 8, dtype=torch.float64)[: 4 * stride : stride]
    assert_literal(logits, target, mask=mask, sample_weight=own, reduction="none")
    assert_literal(logits, target, mask=torch.tensor(True).expand(4), reduction="none")


@pytest.mark.parametrize("shape", [(0, 3), (2, 3, 0), (2, 0), (0, 0)])
@pytest.mark.parametrize("moves", [False, True])
def test_nothing_to_do(path, shape, moves):
    logits = torch.zeros(shape, requires_grad=True)
    target = torch.zeros(shape, requires_grad=moves)
    value = cross_entropy(logits, target, reduction="sum")
    value.backward()
    assert value == 0
    assert logits.grad.shape == shape
    positions = (*shape[:1], *shape[2:])
    assert cross_entropy(logits, target, reduction="none").shape == positions


def test_both_types_of_a_mixed_pair_are_widened(path):
    logits, target = batch(4, 9, dtype=torch.bfloat16)
    got = cross_entropy(logits, target.float())
    assert got.dtype == functional.cross_entropy(logits, target.float()).dtype == torch.float32
    assert_close(got, literal(logits, target), torch.float32)
    (gradient,) = torch.autograd.grad(got, logits)
    assert gradient.dtype == torch.bfloat16


# ---- soft and hard targets agree ----------------------------------------------------------------

BOTH = {
    "plain": {},
    "sum": {"reduction": "sum"},
    "by row": {"reduction": "none"},
    "weights": {"normalizer": "weights", "weight": torch.linspace(0.5, 2, 7).double()},
    "number": {"normalizer": 3.0},
    "smoothed": {"label_smoothing": 0.1, "reduction": "none"},
    "smoothed, weighted": {
        "label_smoothing": 0.3,
        "weight": torch.linspace(0.5, 2, 7).double(),
        "reduction": "sum",
    },
    "prior": {
        "label_smoothing": 0.3,
        "smoothing_prior": torch.tensor([0.4, 0.3, 0.1, 0.1, 0.05, 0.05, 0.0]).double(),
        "normalizer": "weights",
    },
    "logits": {
        "softcap": 5.0,
        "temperature": 0.6,
        "logit_bias": torch.linspace(-1, 1, 7).double(),
    },
    "z-loss": {
        "z_loss": 0.2,
        "weight": torch.linspace(0.5, 2, 7).double(),
        "normalizer": "weights",
    },
    "sample weights": {
        "sample_weight": torch.tensor([0.5, 0.0, 2.0, 1.0, 1.5]).double(),
        "normalizer": "weights",
        "weight": torch.linspace(0.5, 2, 7).double(),
    },
    "mask": {"mask": torch.tensor([True, False, True, True, False])},
    "mask and weights": {
        "mask": torch.tensor([True, False, True, True, False]),
        "weight": torch.linspace(0.5, 2, 7).double(),
        "normalizer": "weights",
    },
    "none left": {"mask": torch.zeros(5, dtype=torch.bool)},
    "none left, zero": {"mask": torch.zeros(5, dtype=torch.bool), "empty": "zero"},
    "nothing weighs": {
        "weight": torch.zeros(7).double(),
        "normalizer": "weights",
        "empty": "zero",
    },
}


@pytest.mark.parametrize("options", BOTH.values(), ids=BOTH)
@pytest.mark.parametrize("moves", [False, True])
def test_one_hot_is_the_class_index(path, options, moves):
    logits, _ = batch(5, 7)
    labels = torch.tensor([0, 6, 3, 3, 1])
    soft = functional.one_hot(labels, 7).double().requires_grad_(moves)
    got, want = (cross_entropy(logits, target, **options) for target in (soft, labels))
    assert_close(got, want, torch.float64)
    upstream = torch.full_like(want, 1.5)
    got, want = (torch.autograd.grad(value, logits, upstream)[0] for value in (got, want))
    assert_close(got, want, torch.float64)


def test_a_mean_divides_by_rows_as_torchs_unless_weights_are_asked_for(path):
    logits, _ = batch(5, 4)
    labels = torch.tensor([0, 3, 3, 1, 2])
    weight = torch.tensor([0.1, 1.0, 0.2, 4.0], dtype=torch.float64)
    soft = functional.one_hot(labels, 4).double()
    hard = functional.cross_entropy(logits, labels, weight)
    torchs = functional.cross_entropy(logits, soft, weight)
    assert_close(cross_entropy(logits, soft, weight), torchs, torch.float64)
    assert_close(cross_entropy(logits, soft, weight, normalizer="weights"), hard, torch.float64)
    assert abs(hard - torchs) > 0.1


@pytest.mark.parametrize("normalizer", [0, 0.0, torch.tensor(0)])
def test_a_mean_divided_by_nothing_is_that_of_class_indices(path, normalizer):
    logits, _ = batch(5, 4)
    labels = torch.tensor([0, 3, 3, 1, 2])
    soft = functional.one_hot(labels, 4).double()
    for empty, want in (("nan", inf), ("zero", 0)):
        for target in (soft, labels):
            assert cross_entropy(logits, target, normalizer=normalizer, empty=empty) == want


# ---- accuracy -----------------------------------------------------------------------------------


@pytest.mark.parametrize("top", [3, 12, 25, 60])
@pytest.mark.parametrize("classes", [2, 100, 5000])
@pytest.mark.parametrize("moves", [False, True])
def test_confident_rows_keep_their_digits_in_float32(path, top, classes, moves):
    generator = torch.Generator().manual_seed(top)
    logits = torch.randn(1, classes, generator=generator)
    logits[0, classes // 2] = top
    logits.requires_grad_()
    target = functional.one_hot(torch.tensor([classes // 2]), classes).float()
    got = cross_entropy(logits, target.requires_grad_(moves))
    (gradient,) = torch.autograd.grad(got, logits)
    with mpmath.workdps(60):
        z = [mpmath.mpf(x) for x in logits[0].tolist()]
        rest = mpmath.fsum(
            mpmath.exp(x - z[classes // 2]) for j, x in enumerate(z) if j != classes // 2
        )
        want, own = mpmath.log1p(rest), -rest / (1 + rest)
    assert got.item() == pytest.approx(float(want), rel=4e-6)
    assert gradient[0, classes // 2].item() == pytest.approx(float(own), rel=4e-6)


def test_offsets_and_distances_cost_no_digits(path):
    z = torch.tensor([[1e4, 1e4 - 2, 1e4 + 1], [-1e4, 0, -3], [0, 200, 1e4]], requires_grad=True)
    t = torch.tensor([[0.25, 0.5, 0.25], [0.0, 0.5, 0.5], [0.0, 0.0, 1.0]])
    assert_literal(z, t, reduction="none", other={"atol": 0})


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_sixteen_bits_are_rounded_once(path, dtype):
    logits, target = batch(256, 100, dtype=dtype)
    wide = logits.detach().double().requires_grad_()
    want = literal(wide, target, "none")
    (want_gradient,) = torch.autograd.grad(want.sum(), wide)
    got = cross_entropy(logits, target, reduction="none")
    (gradient,) = torch.autograd.grad(got.sum(), logits)
    for mine, exact in ((got, want), (gradient, want_gradient)):
        least = (exact.to(dtype) - exact).abs().max()
        assert (mine - exact).abs().max() <= 1.1 * least


def test_a_float16_mean_does_not_overflow(path):
    logits = torch.zeros(3000, 1000, dtype=torch.float16)
    value = cross_entropy(logits, torch.full_like(logits, 1 / 1000))
    torch.testing.assert_close(value.float(), torch.tensor(1000.0).log(), rtol=2e-3, atol=0)


# ---- what is not finite -------------------------------------------------------------------------


@every_dtype
@pytest.mark.parametrize("options", [{}, {"softcap": 5.0}, {"temperature": 2.0}], ids=str)
@pytest.mark.parametrize("masked", [slice(1, 2), slice(0, 2), slice(0, 2500), slice(2100, 5000)])
@pytest.mark.parametrize("moves", [False, True])
def test_a_masked_class_without_mass_costs_nothing(path, dtype, options, masked, moves):
    logits, target = batch(2, 5000, dtype=dtype)
    logits = logits.detach()
    logits[:, masked], target[:, masked] = -inf, 0.0
    logits.requires_grad_()
    got = cross_entropy(logits, target.requires_grad_(moves), reduction="sum", **options)
    (gradient,) = torch.autograd.grad(got, logits)
    keep = torch.ones(5000, dtype=torch.bool)
    keep[masked] = False
    rest = logits.detach()[:, keep].requires_grad_()
    want = literal(rest, target[:, keep], "sum", **options)
    (want_gradient,) = torch.autograd.grad(want, rest)
    assert_close(got, want, dtype)
    assert_close(gradient[:, keep], want_gradient, dtype)
    assert not gradient[:, masked].any()


@pytest.mark.parametrize(("softcap", "own"), [(None, -0.25), (5.0, 0.0)])
@pytest.mark.parametrize("moves", [False, True])
def test_mass_at_a_masked_class_is_infinite_with_a_finite_gradient(path, softcap, own, moves):
    """Which a cap flattens there."""
    logits = torch.tensor([[0.0, -inf, 0.0]], requires_grad=True)
    target = torch.tensor([[0.5, 0.25, 0.25]], requires_grad=moves)
    value = cross_entropy(logits, target, softcap=softcap)
    (gradient,) = torch.autograd.grad(value, logits)
    assert value == inf
    torch.testing.assert_close(gradient, torch.tensor([[0.0, own, 0.25]]))


STRANGE = {
    "all masked": lambda row: row.fill_(-inf),
    "inf": lambda row: row[7:8].fill_(inf),
    "NaN": lambda row: row[7:8].fill_(nan),
    "NaN at the end": lambda row: row[-1:].fill_(nan),
    "NaN among masked": lambda row: row[:2048].fill_(-inf)[5:6].fill_(nan),
    "all NaN": lambda row: row.fill_(nan),
    "infs": lambda row: row[::9].fill_(inf),
}


@every_dtype
@pytest.mark.parametrize("make", STRANGE.values(), ids=STRANGE)
@pytest.mark.parametrize("moves", [False, True])
def test_a_strange_row_is_nan_throughout_and_a_mask_silences_it(path, dtype, make, moves):
    logits, target = batch(3, 5000, dtype=dtype)
    logits = logits.detach()
    make(logits[1])
    logits.requires_grad_()
    target.requires_grad_(moves)
    got = cross_entropy(logits, target, reduction="none")
    (gradient,) = torch.autograd.grad(got.sum(), logits)
    assert got.isnan().tolist() == [False, True, False]
    assert gradient.isnan().all(1).tolist() == [False, True, False]
    assert gradient.isnan().any(1).tolist() == [False, True, False]
    mask = torch.tensor([True, False, True])
    for reduction in ("none", "mean", "sum"):
        got = cross_entropy(logits, target, mask=mask, reduction=reduction)
        both = torch.autograd.grad(got.sum(), [logits, target] if moves else [logits])
        assert got.isfinite().all()
        for gradient in both:
            assert gradient.isfinite().all()
            assert not gradient[1].any()


def test_a_masked_row_may_have_any_target(path):
    logits, target = batch(3, 4)
    target[1] = nan
    mask = torch.tensor([True, False, True])
    for options in ({}, {"normalizer": "weights"}):
        got = cross_entropy(logits, target, mask=mask, **options)
        want = cross_entropy(logits[mask], target[mask], **options)
        assert_close(got, want, torch.float64)
        got, want = (torch.autograd.grad(value, logits)[0] for value in (got, want))
        assert_close(got, want, torch.float64)


def test_a_weight_of_zero_silences_an_infinite_loss(path):
    logits = torch.tensor([[0.0, -inf], [0.0, 1.0]], requires_grad=True)
    target = torch.tensor([[0.5, 0.5], [0.5, 0.5]])
    value = cross_entropy(logits, target, sample_weight=torch.tensor([0.0, 1.0]))
    (gradient,) = torch.autograd.grad(value, logits)
    assert value.isfinite()
    assert not gradient[0].any()


# ---- derivatives --------------------------------------------------------------------------------


def test_the_target_gets_its_gradient(path):
    logits, target = batch(4, 3)
    target.requires_grad_()
    for asking in ([logits, target], [target], [logits]):
        got, want = (
            torch.autograd.grad(f(logits, target, label_smoothing=0.1).sum(), asking)
            for f in (cross_entropy, functional.cross_entropy)
        )
        for mine, theirs in zip(got, want, strict=True):
            assert_close(mine, theirs, torch.float64)
    got = cross_entropy(logits.detach(), target)
    torch.testing.assert_close(
        torch.autograd.grad(got, target)[0], -logits.detach().log_softmax(1) / 4
    )


def loss_of(reduction):
    options = options_of(4, (2, 3))
    return lambda z, t: cross_entropy(z, t, reduction=reduction, **options)


@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_first_and_second_derivatives_are_numeric_ones(path, reduction):
    logits, target = batch(2, 4, 3)
    loss = loss_of(reduction)
    fixed = functools.partial(loss, t=target)
    assert torch.autograd.gradcheck(fixed, logits, check_batched_grad=True)
    assert torch.autograd.gradgradcheck(fixed, logits, check_batched_grad=True)
    moving = (logits, target.clone().requires_grad_())
    assert torch.autograd.gradcheck(loss, moving, check_forward_ad=True, check_batched_grad=True)
    assert torch.autograd.gradgradcheck(loss, moving)


@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_transforms_give_the_eager_gradient(path, reduction):
    logits, target = batch(2, 4, 3)
    loss = loss_of(reduction)
    plain = logits.detach()
    (want,) = torch.autograd.grad(loss(logits, target).sum(), logits)
    got = torch.func.grad(lambda z: loss(z, target).sum())(plain)
    torch.testing.assert_close(got, want)
    direction = torch.randn_like(plain)
    _, got = torch.func.jvp(lambda z: loss(z, target).sum(), (plain,), (direction,))
    torch.testing.assert_close(got, (want * direction).sum())
    with forward_ad.dual_level():
        dual = loss(forward_ad.make_dual(logits, direction), target)
        got = forward_ad.unpack_dual(dual).tangent.sum()
    torch.testing.assert_close(got, (want * direction).sum())


def test_vmap_over_rows(path):
    logits, target = batch(6, 4)
    mask = torch.tensor([True, False, True, True, True, False])
    want = cross_entropy(logits, target, reduction="none", mask=mask, softcap=3.0)
    each = torch.func.vmap(lambda z, t, m: cross_entropy(z, t, mask=m, softcap=3.0, empty="zero"))
    torch.testing.assert_close(each(logits, target, mask), want)
    gradient = torch.func.vmap(torch.func.grad(lambda z, t: cross_entropy(z, t)))
    whole = cross_entropy(logits, target, reduction="sum")
    torch.testing.assert_close(
        gradient(logits.detach(), target), torch.autograd.grad(whole, logits)[0]
    )


@pytest.fixture
def _compiler():
    torch.compiler.reset()
    yield
    torch.compiler.reset()


@pytest.mark.usefixtures("_compiler")
@pytest.mark.parametrize("backend", ["aot_eager", "inductor"])
@pytest.mark.parametrize("moves", [False, True])
def test_compiled_without_a_graph_break(backend, moves):
    logits, target = batch(2, 4, 3)
    target.requires_grad_(moves)
    asking = [logits, target] if moves else [logits]
    for loss in (loss_of("mean"), lambda z, t: cross_entropy(z, t, normalizer="weights")):
        compiled = torch.compile(loss, fullgraph=True, backend=backend)
        got, want = (f(logits, target) for f in (compiled, loss))
        torch.testing.assert_close(got, want)
        got, want = (torch.autograd.grad(value, asking) for value in (got, want))
        torch.testing.assert_close(got, want)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("shape", [(5, 7), (3, 4, 2), (1, 3000)])
def test_any_upstream(path, reduction, shape):
    """1 and others, by row and none, again and again, and each gradient its own memory."""
    logits, target = batch(*shape)
    got = cross_entropy(logits, target, reduction=reduction)
    want = literal(logits, target, reduction)
    gradients = []
    for upstream in (torch.ones_like(got), torch.full_like(got, -2.5), torch.rand_like(got)):
        mine, theirs = (
            torch.autograd.grad(value, logits, upstream, retain_graph=True)[0]
            for value in (got, want)
        )
        assert_close(mine, theirs, torch.float64)
        gradients.append((mine, mine.clone()))
    for mine, before in gradients:
        assert torch.equal(mine, before)
    assert not torch.autograd.grad(got, logits, torch.zeros_like(got))[0].any()


def test_many_upstreams_at_once(path):
    for reduction in ("mean", "none"):
        logits, target = batch(3, 4)
        value = cross_entropy(logits, target, reduction=reduction)
        upstream = torch.randn(5, *value.shape, dtype=torch.float64)
        got = torch.autograd.grad(
            value, logits, upstream, is_grads_batched=True, retain_graph=True
        )[0]
        for k in range(5):
            one = torch.autograd.grad(value, logits, upstream[k], retain_graph=True)[0]
            torch.testing.assert_close(got[k], one)


def test_loss_scaling_saves_what_float16_gradients_lose(path):
    logits = torch.full((2048, 64), 0.0, dtype=torch.float16, requires_grad=True)
    target = torch.full_like(logits, 1 / 64).detach()
    target[:, 0] += 2**-10
    value = cross_entropy(logits, target)
    (gradient,) = torch.autograd.grad(value, logits, torch.tensor(2.0**14, dtype=torch.float16))
    want = (1 / 64 * target.double().sum(1, keepdim=True) - target.double()) * 2**14 / 2048
    torch.testing.assert_close(gradient.double(), want, rtol=1e-3, atol=1e-6)


def test_autocast_computes_in_float32_as_torchs_does(path):
    logits, target = batch(6, 5, dtype=torch.bfloat16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        for given_target in (target, target.float()):
            for options in ({}, {"normalizer": "weights"}):
                got = cross_entropy(logits, given_target, **options)
                assert got.dtype == torch.float32
                assert_close(got, literal(logits, target, **options), torch.float32)
        assert functional.cross_entropy(logits, target).dtype == torch.float32
    (gradient,) = torch.autograd.grad(got, logits)
    assert gradient.dtype == torch.bfloat16


def test_other_tensors(path):
    logits, target = batch(4, 5)
    want = cross_entropy(logits, target)
    torch.testing.assert_close(cross_entropy(torch._neg_view(-logits), target), want)
    torch.testing.assert_close(cross_entropy(logits, torch._neg_view(-target)), want)
    meta = cross_entropy(logits.to("meta"), target.to("meta"), reduction="none")
    assert meta.shape == (4,)
    with torch.no_grad():
        torch.testing.assert_close(cross_entropy(logits, target), want)
    with torch.inference_mode():
        torch.testing.assert_close(cross_entropy(logits, target).clone(), want.detach())
        asking = target.requires_grad_()  # who asks for nothing here
    assert asking is target


def test_logits_or_targets_changed_after_the_forward_pass_are_an_error(path):
    if path == "reference":
        pytest.skip("its gradient is made of what was computed from them")
    for changed in (0, 1):
        logits, target = batch(4, 5)
        given_tensors = (logits * 1, target * 1)
        value = cross_entropy(*given_tensors, reduction="none")
        with torch.no_grad():
            given_tensors[changed].add_(1)
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            value.sum().backward()


# ---- threads and memory -------------------------------------------------------------------------


@pytest.mark.skipif(rows.path() == "reference", reason="torch's own sums know threads")
@every_dtype
@pytest.mark.parametrize("shape", [(60_000, 10), (700, 1001), (3, 200_000)])
def test_threads_change_nothing(dtype, shape):
    logits, target = batch(*shape, dtype=dtype)
    before, results = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 7):
            torch.set_num_threads(threads)
            for options in ({}, {"normalizer": "weights"}):
                value = cross_entropy(logits, target, **options)
                results.append((value, *torch.autograd.grad(value, logits)))
    finally:
        torch.set_num_threads(before)
    for k, (value, gradient) in enumerate(results):
        assert torch.equal(value, results[k % 2][0])
        assert torch.equal(gradient, results[k % 2][1])


class LargeResults(TorchDispatchMode):
    """Keeps what operations of torch return, forward and backward, where it is as large as that."""

    def __init__(self, nbytes):
        super().__init__()
        self.nbytes, self.kept = nbytes, []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        self.kept += [
            tensor.untyped_storage()
            for tensor in tree_leaves(result)
            if isinstance(tensor, torch.Tensor) and tensor.nbytes >= self.nbytes
        ]
        return result

    def besides(self, *tensors):
        """How many arrays they are, beside these."""
        given = {tensor.untyped_storage().data_ptr() for tensor in tensors}
        return len({storage.data_ptr() for storage in self.kept} - given)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize(
    "options", [{}, {"normalizer": "weights", "label_smoothing": 0.1, "z_loss": 0.1}], ids=str
)
def test_no_array_but_the_gradient_is_made(path, dtype, options):
    logits, target = batch(64, 2**13, dtype=dtype)
    with LargeResults(logits.nbytes // 4) as made:
        cross_entropy(logits, target, **options).backward()
    others = made.besides(logits, target, logits.grad)
    assert others > 2 if path == "reference" else others == 0


# ---- the module ---------------------------------------------------------------------------------


def test_the_module_takes_distributions_masks_and_normalizers(path):
    logits, target = batch(5, 4)
    weight, mask = torch.rand(4).double(), torch.tensor([True, False, True, True, True])
    module = CrossEntropyLoss(weight, label_smoothing=0.1, softcap=3.0, z_loss=0.1)
    got = module(logits, target, mask=mask, normalizer="weights")
    want = literal(
        logits,
        target,
        weight=weight,
        label_smoothing=0.1,
        softcap=3.0,
        z_loss=0.1,
        mask=mask,
        normalizer="weights",
    )
    assert_close(got, want, torch.float64)


# ---- errors -------------------------------------------------------------------------------------

LOGITS = torch.zeros(3, 4)
PROBS = torch.full((3, 4), 0.25)

TORCHS = {
    "shape": (LOGITS, PROBS[:2], {}),
    "classes": (LOGITS, PROBS[:, :3], {}),
    "input type": (LOGITS.long(), PROBS.long(), {}),
    "integer input": (LOGITS.long(), PROBS, {}),
    "weight shape": (LOGITS, PROBS, {"weight": torch.ones(3)}),
    "reduction": (LOGITS, PROBS, {"reduction": "median"}),
    "smoothing": (LOGITS, PROBS, {"label_smoothing": 1.5}),
    "ignore_index": (LOGITS, PROBS, {"ignore_index": 1}),
}


@pytest.mark.parametrize(("logits", "target", "options"), TORCHS.values(), ids=TORCHS)
def test_torchs_errors(logits, target, options):
    with pytest.raises(Exception) as torchs:  # noqa: PT011 - the type is what is compared
        functional.cross_entropy(logits, target, **options)
    with pytest.raises(torchs.type) as ours:
        cross_entropy(logits, target, **options)
    assert str(torchs.value) == str(ours.value)


ASKING = torch.ones(4, requires_grad=True)
OURS = {
    "loss": ({"loss": "focal"}, ValueError, r"loss goes with class indices .*\(3, 4\); .*argmax"),
    "stats": ({"return_stats": True}, ValueError, "return_stats goes with class indices"),
    "in place": ({"inplace_backward": True}, ValueError, "inplace_backward goes with class"),
    "mask type": ({"mask": torch.ones(3)}, ValueError, "mask must be bool .* got torch.float32"),
    "mask shape": (
        {"mask": torch.ones(4).bool()},
        ValueError,
        r"mask must be bool and have shape \(3,\), got torch.bool and \(4,\)",
    ),
    "normalizer": (
        {"normalizer": "weight"},
        ValueError,
        "normalizer must be a number, a tensor or 'weights', got 'weight'",
    ),
    "normalizer of a sum": (
        {"normalizer": "weights", "reduction": "sum"},
        ValueError,
        "normalizer goes with reduction='mean', got reduction='sum'",
    ),
    "normalizers": ({"normalizer": torch.ones(2)}, ValueError, r"one number, got shape \(2,\)"),
    "sample weights": ({"sample_weight": torch.ones(4)}, ValueError, r"shape \(3,\), got \(4,\)"),
    "temperature": ({"temperature": 0.0}, ValueError, "temperature must be a positive number"),
    "softcap": ({"softcap": -1.0}, ValueError, "softcap must be a positive number, got -1.0"),
    "z_loss": ({"z_loss": -1.0}, ValueError, "z_loss must be a number of at least 0"),
    "empty": ({"empty": "one"}, ValueError, "empty must be 'nan' or 'zero', got 'one'"),
    "bias": ({"logit_bias": torch.ones(3)}, ValueError, r"logit_bias .*\(4,\), got \(3,\)"),
    "prior": ({"smoothing_prior": torch.ones(4)}, ValueError, "must be probabilities"),
    "weight gradient": ({"weight": ASKING}, RuntimeError, "no derivative in weight"),
    "bias gradient": ({"logit_bias": ASKING}, RuntimeError, "no derivative in logit_bias"),
}


@pytest.mark.parametrize(("options", "error", "says"), OURS.values(), ids=OURS)
def test_our_errors(options, error, says):
    with pytest.raises(error, match=says):
        cross_entropy(LOGITS, PROBS, **options)


def test_plain_cross_entropy_may_be_named():
    assert cross_entropy(LOGITS, PROBS, loss=losses.CrossEntropy()) == cross_entropy(LOGITS, PROBS)
