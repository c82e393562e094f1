"""What `cross_entropy` computes: torch's results for torch's arguments, ours beside them."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from crossentropy import losses
from crossentropy.torch import CrossEntropyLoss, cross_entropy
from tests.table import CLASSES, every_loss

DTYPES = (torch.float32, torch.float64)
TOLERANCE = {
    torch.float64: {"rtol": 1e-12, "atol": 1e-13},
    torch.float32: {"rtol": 3e-6, "atol": 3e-6},
    torch.bfloat16: {"rtol": 2e-2, "atol": 2e-2},
    torch.float16: {"rtol": 2e-3, "atol": 2e-3},
}


def batch(*shape, dtype=torch.float64, ignored=True, seed=0):
    """Logits and targets, every fifth target ignored."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(*shape, generator=generator, dtype=torch.float64).mul(3).to(dtype)
    positions = shape[:1] * (len(shape) > 1) + shape[2:]
    classes = shape[0] if len(shape) == 1 else shape[1]
    target = torch.randint(0, classes, positions, generator=generator)
    if ignored and target.ndim:
        target.view(-1)[::5] = -100
    return logits.requires_grad_(), target


def both(logits, target, ours=None, **options):
    """Our value and gradient, and torch's; with `ours` given to our function only."""
    upstream = None
    results = []
    for function, extra in ((cross_entropy, ours or {}), (functional.cross_entropy, {})):
        value = function(logits, target, **options, **extra)
        if upstream is None:
            upstream = torch.rand_like(value)
        (gradient,) = torch.autograd.grad(value, logits, upstream)
        results.append((value, gradient))
    return results


def assert_same(results, **tolerance):
    (value, gradient), (want_value, want_gradient) = results
    assert value.dtype == want_value.dtype
    torch.testing.assert_close(value, want_value, equal_nan=True, **tolerance)
    torch.testing.assert_close(gradient, want_gradient, equal_nan=True, **tolerance)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("weighted", [False, True])
def test_torchs_options_in_every_combination(path, dtype, reduction, smoothing, weighted):
    logits, target = batch(20, 17, dtype=dtype)
    weight = torch.linspace(0.2, 2, 17, dtype=dtype) if weighted else None
    options = {"reduction": reduction, "label_smoothing": smoothing, "weight": weight}
    assert_same(both(logits, target, **options), **TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("classes", CLASSES)
def test_every_number_of_classes(path, classes, dtype):
    assert_same(both(*batch(6, classes, dtype=dtype)), **TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("shape", [(9, 5), (4, 5, 2, 3)])
def test_sixteen_bits(path, dtype, shape):
    logits, target = batch(*shape, dtype=dtype)
    assert_same(both(logits, target), **TOLERANCE[dtype])


@pytest.mark.parametrize("shape", [(7,), (4, 7, 3), (2, 7, 3, 5), (2, 7, 3, 0)])
@pytest.mark.parametrize("reduction", ["none", "sum"])
def test_other_shapes(path, shape, reduction):
    assert_same(both(*batch(*shape), reduction=reduction))


@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
def test_no_rows(path, reduction):
    assert_same(
        both(torch.zeros(0, 3, requires_grad=True), torch.zeros(0).long(), reduction=reduction)
    )


def test_all_rows_ignored_is_torchs_nan(path):
    logits, _ = batch(3, 4)
    assert_same(both(logits, torch.full((3,), -100)))


def test_non_contiguous_input_and_upstream(path):
    logits, target = batch(6, 5)
    wide = torch.randn(5, 12, dtype=torch.float64, requires_grad=True)
    assert_same(both(wide.t()[::2], target))
    value = cross_entropy(logits, target, reduction="none")
    (gradient,) = torch.autograd.grad(value.sum(), logits)  # a stride-0 upstream
    want = functional.cross_entropy(logits, target, reduction="none")
    torch.testing.assert_close(gradient, torch.autograd.grad(want.sum(), logits)[0])
    same = torch.randn(1, 5, dtype=torch.float64).expand(6, 5).requires_grad_()
    assert_same(both(same, target))


def test_lazily_negated_views_are_read_as_what_they_are(path):
    logits, target = batch(6, 5)
    weight = torch.linspace(-2, -1, 5, dtype=torch.float64)
    negated = torch._neg_view(logits.detach())
    got = cross_entropy(negated, target, torch._neg_view(weight))
    torch.testing.assert_close(got, functional.cross_entropy(-logits, target, -weight))


def test_a_lazily_zero_upstream_gives_a_zero_gradient(path):
    logits, target = batch(6, 5)
    value = cross_entropy(logits, target)
    zero = torch._efficientzerotensor((), dtype=torch.float64)
    (gradient,) = torch.autograd.grad(value, logits, zero)
    torch.testing.assert_close(gradient, torch.zeros(6, 5, dtype=torch.float64))


def test_ignored_rows_may_hold_anything(path):
    """torch's gradient is NaN there (pytorch#11551)."""
    logits = torch.tensor([[torch.nan, 1.0], [torch.inf, 1.0], [0.0, 0.0]], requires_grad=True)
    value = cross_entropy(logits, torch.tensor([-100, -100, 0]))
    value.backward()
    torch.testing.assert_close(value.item(), float(np.log(2)))
    torch.testing.assert_close(logits.grad, torch.tensor([[0.0, 0.0], [0.0, 0.0], [-0.5, 0.5]]))


@pytest.mark.parametrize("path", ["reference"], indirect=True)
@pytest.mark.parametrize("softcap", [None, 5.0])
def test_so_they_may_under_transforms_and_compiled(path, softcap):
    target = torch.tensor([-100, -100, 0])

    def function(z):
        return cross_entropy(z, target, softcap=softcap, label_smoothing=0.1, z_loss=0.1)

    logits = torch.tensor([[torch.nan, 1.0], [torch.inf, 1.0], [0.0, 0.0]])
    want = torch.func.grad(function)(logits.nan_to_num(0.0, 0.0))
    torch.testing.assert_close(torch.func.grad(function)(logits), want)
    assert torch.func.hessian(function)(logits).isfinite().all()
    logits.requires_grad_()
    torch.compiler.reset()
    compiled = torch.compile(function, fullgraph=True, backend="aot_eager")
    for run in (function, compiled):
        torch.testing.assert_close(torch.autograd.grad(run(logits), logits)[0], want)
    torch.compiler.reset()


def test_confident_rows_keep_their_digits(path):
    """torch returns 0 for both."""
    logits = torch.tensor([[20.0, 0.0], [40.0, 0.0]])
    got = cross_entropy(logits, torch.zeros(2).long(), reduction="none")
    want = torch.tensor([20.0, 40.0]).double().neg().exp().log1p()
    torch.testing.assert_close(got.double(), want, rtol=1e-6, atol=0)


def test_float16_mean_does_not_overflow(path):
    """torch's is inf (pytorch#85791)."""
    logits = torch.full((3000, 1000), 0.0, dtype=torch.float16)
    value = cross_entropy(logits, torch.zeros(3000).long())
    torch.testing.assert_close(value.float(), torch.tensor(1000.0).log(), rtol=1e-3, atol=0)


def test_autocast_computes_in_float32_as_torchs_does(path):
    logits, target = batch(6, 5, dtype=torch.bfloat16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert_same(both(logits, target), **TOLERANCE[torch.float32])


@every_loss
@pytest.mark.parametrize("dtype", DTYPES)
def test_every_loss_is_its_array_self(path, loss, literal, dtype):
    logits, target = batch(12, 9, dtype=dtype, ignored=False)
    value = cross_entropy(logits, target, loss=loss, reduction="none")
    (gradient,) = torch.autograd.grad(value.sum(), logits)
    exact = logits.detach().double().numpy()
    want, want_gradient = loss.loss_gradient(target.numpy(), exact)
    torch.testing.assert_close(value.double(), torch.tensor(want), **TOLERANCE[dtype])
    torch.testing.assert_close(gradient.double(), torch.tensor(want_gradient), **TOLERANCE[dtype])


def test_a_loss_by_name(path):
    logits, target = batch(4, 3)
    by_name = cross_entropy(logits, target, loss="focal")
    assert by_name == cross_entropy(logits, target, loss=losses.Focal())


def test_temperature_and_logit_bias_are_what_they_say(path):
    logits, target = batch(6, 5)
    bias = torch.linspace(-1, 1, 5, dtype=torch.float64)
    options = {"temperature": 2.5, "logit_bias": bias, "label_smoothing": 0.1}
    got = cross_entropy(logits, target, **options)
    want = functional.cross_entropy(logits / 2.5 + bias, target, label_smoothing=0.1)
    torch.testing.assert_close(got, want)
    got, want = (torch.autograd.grad(value, logits)[0] for value in (got, want))
    torch.testing.assert_close(got, want)


def test_z_loss(path):
    logits, target = batch(6, 5)
    kept = target != -100
    got = cross_entropy(logits, target, z_loss=0.3)
    lse = logits.logsumexp(1)[kept]
    want = functional.cross_entropy(logits, target) + 0.3 * (lse**2).mean()
    torch.testing.assert_close(got, want)
    got, want = (torch.autograd.grad(value, logits)[0] for value in (got, want))
    torch.testing.assert_close(got, want)


def test_sample_weights_and_their_mean(path):
    logits, target = batch(6, 5)
    own, weight = torch.rand(6).double(), torch.rand(5).double()
    rows = functional.cross_entropy(logits, target, weight, reduction="none")
    kept = target != -100
    got = cross_entropy(logits, target, weight, sample_weight=own)
    torch.testing.assert_close(
        got, (own * rows).sum() / (own * weight[target.clamp(0)])[kept].sum()
    )
    got = cross_entropy(logits, target, weight, sample_weight=own, reduction="sum")
    torch.testing.assert_close(got, (own * rows).sum())


def test_a_weight_of_zero_silences_an_infinite_loss(path):
    logits = torch.tensor([[-torch.inf, 0.0], [0.0, 0.0]], requires_grad=True)
    value = cross_entropy(logits, torch.zeros(2).long(), sample_weight=torch.tensor([0.0, 1.0]))
    value.backward()
    torch.testing.assert_close(value.item(), float(np.log(2)))
    torch.testing.assert_close(logits.grad, torch.tensor([[0.0, 0.0], [-0.5, 0.5]]))


@pytest.mark.parametrize("normalizer", [8.0, torch.tensor(8.0), torch.tensor([8.0])])
def test_accumulated_micro_batches_add_up_to_the_whole(path, normalizer):
    logits, target = batch(8, 5, ignored=False)
    target[6:] = -100
    (whole,) = torch.autograd.grad(cross_entropy(logits, target, normalizer=normalizer), logits)
    parts = []
    for half in (slice(0, 4), slice(4, 8)):
        value = cross_entropy(logits[half], target[half], normalizer=normalizer)
        parts.append(torch.autograd.grad(value, logits)[0])
    torch.testing.assert_close(sum(parts), whole)
    want = functional.cross_entropy(logits, target, reduction="sum") / 8
    torch.testing.assert_close(cross_entropy(logits, target, normalizer=normalizer), want)


def test_module_is_the_function(path):
    logits, target = batch(6, 5, dtype=torch.float32)
    options = {
        "weight": torch.rand(5),
        "label_smoothing": 0.1,
        "loss": losses.Poly(1.0),
        "temperature": 2.0,
        "logit_bias": torch.rand(5),
        "z_loss": 0.01,
        "reduction": "sum",
        "ignore_index": 2,
    }
    target[target == -100] = 2
    module = CrossEntropyLoss(**options)
    own = torch.rand(6)
    got = module(logits, target, sample_weight=own)
    assert got == cross_entropy(logits, target, sample_weight=own, **options)
    assert "Poly(epsilon=1.0), label_smoothing=0.1" in repr(module)
    assert set(dict(module.named_buffers())) == {"weight", "logit_bias"}


def test_module_takes_torchs_place():
    assert isinstance(CrossEntropyLoss(), torch.nn.CrossEntropyLoss)
    state = torch.nn.CrossEntropyLoss(weight=torch.ones(3)).state_dict()
    CrossEntropyLoss(weight=torch.zeros(3)).load_state_dict(state)


def test_deprecated_reductions_warn_as_torchs():
    logits, target = batch(6, 5)
    with pytest.warns(UserWarning, match="reduction"):
        got = cross_entropy(logits, target, size_average=False)
    assert got == cross_entropy(logits, target, reduction="sum")


def test_an_upstream_of_zero_silences_a_row_whose_gradient_overflows(path):
    logits = torch.tensor([[-300.0, 0.0], [1.0, 0.0]], requires_grad=True)
    value = cross_entropy(logits, torch.zeros(2).long(), loss=losses.CompSum(0.0), reduction="none")
    (gradient,) = torch.autograd.grad(value, logits, torch.tensor([0.0, 1.0]))
    torch.testing.assert_close(gradient[0], torch.zeros(2))
    assert (gradient[1] != 0).all()


@pytest.mark.parametrize("options", [{}, {"weight": torch.linspace(1, 2, 5).double()}])
def test_small_batches_keep_their_graph_and_give_a_gradient_of_their_own(path, options):
    logits, target = batch(6, 5)
    value = cross_entropy(logits, target, **options)
    (first,) = torch.autograd.grad(value, logits, retain_graph=True)
    kept = first.clone()
    first.zero_()  # the caller's own
    (second,) = torch.autograd.grad(value, logits, torch.tensor(3.0).double(), retain_graph=True)
    torch.testing.assert_close(second, 3 * kept)
    (third,) = torch.autograd.grad(value, logits, create_graph=True)
    torch.testing.assert_close(third, kept)
    assert third.requires_grad
