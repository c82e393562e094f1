"""Prepared calls: the kernels look at torch's tensors, and make the loss and its gradient."""

import os
import pickle
import resource
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch.nn import functional

from crossentropy import rows
from crossentropy.rows import _memory, _native
from crossentropy.torch import _fused, _prepared, cross_entropy

pytestmark = pytest.mark.skipif(
    rows.available_paths() == ["reference"] or _prepared._TENSORS is None,
    reason="there are no native kernels here, or torch has no table of functions",
)

C = 5
SHAPES = [(12, C), (4, C, 3), (2, C, 2, 3)]
DTYPES = [torch.float32, torch.float64, torch.bfloat16, torch.float16]
OMEGA, BIAS = torch.linspace(0.5, 2, C), torch.linspace(-1, 1, C)


def own(target):
    return torch.linspace(0, 1, target.numel()).view(target.shape)


OPTIONS = {
    "plain": lambda target, dtype: {},
    "class weights": lambda target, dtype: {"weight": OMEGA.to(dtype)},
    "smoothed": lambda target, dtype: {"weight": OMEGA.to(dtype), "label_smoothing": 0.2},
    "bias": lambda target, dtype: {"logit_bias": BIAS.to(dtype), "temperature": 2.0},
    "own weights": lambda target, dtype: {"sample_weight": own(target)},
    "own weights in double": lambda target, dtype: {"sample_weight": own(target).double()},
    "normalizer": lambda target, dtype: {"normalizer": 7, "loss": "focal"},
    "all": lambda target, dtype: {
        "weight": OMEGA.to(dtype),
        "logit_bias": BIAS.to(dtype),
        "sample_weight": own(target),
        "reduction": "sum",
        "z_loss": 0.1,
    },
}
every_option = pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
every_shape = pytest.mark.parametrize("shape", SHAPES, ids=str)


def some(shape=SHAPES[0], dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(shape, generator=generator).mul(3).to(dtype).requires_grad_()
    target = torch.randint(0, C, (shape[0], *shape[2:]), generator=generator)
    target.flatten()[::7] = -100
    return logits, target


def outcome(logits, target, upstream=1.0, **options):
    value = cross_entropy(logits, target, **options)
    return value, torch.autograd.grad(value, logits, torch.tensor(upstream, dtype=value.dtype))[0]


def at_its_widest(dtype):
    """What goes with classes is no shorter than float32 to the kernels."""
    return torch.promote_types(dtype, torch.float32)


@pytest.fixture
def prepared(monkeypatch):
    """How many calls were taken."""
    taken, train = [], _native.train_tensors

    def noted(*args, **kwargs):
        made = train(*args, **kwargs)
        taken.append(made is not None)
        return made

    monkeypatch.setattr(_native, "train_tensors", noted)
    return taken


@pytest.fixture
def by_other_routes(monkeypatch):
    def run(*args, **options):
        with monkeypatch.context() as patch:
            patch.setattr(_prepared, "_TENSORS", None)  # as with a torch that has no table
            return outcome(*args, **options)

    return run


# ---- the same as by other routes ----------------------------------------------------------------


@every_shape
@every_option
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("upstream", [1.0, 2.0])
def test_to_the_last_bit(prepared, by_other_routes, shape, options, dtype, upstream):
    logits, target = some(shape, dtype)
    given = options(target, at_its_widest(dtype))
    value, gradient = outcome(logits, target, upstream, **given)
    assert prepared == [True]
    other, other_gradient = by_other_routes(logits, target, upstream, **given)
    assert value.dtype == gradient.dtype == dtype
    assert value.shape == other.shape
    assert gradient.shape == logits.shape
    assert torch.equal(value, other)
    assert torch.equal(gradient, other_gradient)
    with torch.no_grad():
        torch.testing.assert_close(cross_entropy(logits, target, **given), other.detach())
    assert prepared == [True, True]


@every_shape
@every_option
def test_second_derivatives(shape, options):
    logits, target = some(shape, torch.float64)
    given = options(target, torch.float64)

    def value(z):
        return cross_entropy(z, target, **given)

    assert torch.autograd.gradcheck(value, logits)
    assert torch.autograd.gradgradcheck(value, logits)


def test_autocast_computes_sixteen_bits_in_float32(prepared):
    logits, target = some(dtype=torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        assert cross_entropy(logits, target).dtype == torch.float32
    assert prepared == []


# ---- what is not plain --------------------------------------------------------------------------


def complex_parts():
    """Logits of which nothing but a flag says that their numbers are negated."""
    return torch.randn(12, C, 2).mul(3)


NOT_PLAIN = {
    "negated": lambda: torch.view_as_complex(complex_parts()).conj().imag,
    "lazily zero": lambda: torch._efficientzerotensor((12, C)),
    "transposed": lambda: torch.randn(C, 12).t(),
    "every second": lambda: torch.randn(12, 2 * C)[:, ::2],
    "repeated": lambda: torch.randn(1, C).expand(12, C),
}


@pytest.mark.parametrize("make", NOT_PLAIN.values(), ids=NOT_PLAIN)
def test_logits_that_are_not_plain_have_a_loss(prepared, make):
    _, target = some()
    logits = make()
    found, want = (loss(logits, target) for loss in (cross_entropy, functional.cross_entropy))
    assert prepared == [False]
    torch.testing.assert_close(found, want)


def test_what_does_not_fit_is_left_to_the_checks(prepared):
    logits, target = some()
    for options, error in (
        ({"weight": torch.ones(C + 1)}, RuntimeError),
        ({"logit_bias": torch.ones(C - 1)}, ValueError),
        ({"sample_weight": torch.ones(len(target) + 1)}, ValueError),
        ({"logit_bias": torch.ones(C, requires_grad=True)}, RuntimeError),
        ({"normalizer": 3, "reduction": "sum"}, ValueError),
    ):
        with pytest.raises(error):
            cross_entropy(logits, target, **options)
    with pytest.raises(TypeError):
        cross_entropy(logits, target, [1.0] * C)
    with pytest.raises((RuntimeError, ValueError)):
        cross_entropy(logits, target[:-1])
    assert not any(prepared)


@every_shape
def test_a_target_out_of_range_is_named(prepared, shape):
    logits, target = some(shape)
    target.flatten()[3] = C
    with pytest.raises(IndexError, match=rf"Target {C} is out of bounds: row 3 .*\[0, {C - 1}\]"):
        cross_entropy(logits, target)


def test_weights_of_another_type_are_converted(prepared):
    logits, target = some()
    found = cross_entropy(logits, target, OMEGA.double())
    assert prepared == [False]
    torch.testing.assert_close(found, cross_entropy(logits, target, OMEGA))


# ---- what is made -------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(12, C), (2, C, 3), (1, C), (0, C), (3, 1)], ids=str)
def test_a_gradient_is_a_tensor_like_any_other(shape):
    logits = torch.randn(shape, requires_grad=True)
    target = torch.zeros(shape[0], *shape[2:], dtype=torch.int64)
    _, gradient = outcome(logits, target, reduction="sum")
    kept = gradient.clone()
    assert gradient.is_contiguous()
    assert not gradient.requires_grad
    assert gradient.data_ptr() % 64 == 0 or not gradient.numel()
    assert torch.equal(pickle.loads(pickle.dumps(gradient)), kept)
    assert torch.equal(torch.from_numpy(gradient.numpy()), kept)
    assert torch.equal(gradient.mul_(2), kept * 2)
    assert torch.equal(
        gradient.requires_grad_().sum().grad_fn.next_functions[0][0].variable, gradient
    )


@pytest.mark.skipif("asan" in os.environ.get("LD_PRELOAD", ""), reason="it keeps what was freed")
def test_nothing_is_lost():
    logits, target = torch.randn(256, 256, requires_grad=True), torch.zeros(256, dtype=torch.int64)
    for _ in range(20):
        outcome(logits, target)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(1000):  # a quarter of a megabyte each
        outcome(logits, target)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert after - before < 50_000  # KB


def test_threads_may_free_what_others_made():
    logits, target = some((64, C))

    def gradients(_):
        return [outcome(logits, target)[1] for _ in range(50)]

    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(gradients, range(8)))
    want = outcome(logits, target)[1]
    assert all(torch.equal(gradient, want) for some in made for gradient in some)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(list.clear, made))


def test_a_table_of_another_kind_is_refused():
    with pytest.raises(TypeError, match="incompatible function arguments"):
        _memory.kernels.Tensors(object(), torch.Tensor, torch.nn.Parameter)


def test_large_ones_take_memory_that_is_kept():
    logits, target = (
        torch.randn(1024, 1100, requires_grad=True),
        torch.zeros(1024, dtype=torch.int64),
    )
    assert logits.numel() > _fused.SMALL
    seen = {outcome(logits, target)[1].data_ptr() for _ in range(5)}
    assert len(seen) == 1
