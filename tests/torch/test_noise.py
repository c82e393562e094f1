"""Losses that read all logits, with every option and by every route to a derivative."""

import copy

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd import forward_ad

from crossentropy import rows
from crossentropy.losses import (
    BackwardCorrection,
    ForwardCorrection,
    HardBootstrapping,
    NormalizedCrossEntropy,
)
from crossentropy.torch import CrossEntropyLoss, cross_entropy
from tests.losses.test_noise import literal, noise
from tests.torch.test_autograd import OPTIONS, gradient_of

SUM = 0.5 * ForwardCorrection(noise(4)) + NormalizedCrossEntropy()
LOSSES = [ForwardCorrection(noise(4)), BackwardCorrection(noise(4)), HardBootstrapping()]
every_loss = pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.name)
every_option = pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
TARGET = torch.tensor([[0, 3, -100], [1, 2, 2]])


def problem(loss, options, reduction="mean"):
    """Planes of two by three positions, one of them ignored."""
    logits = torch.randn(2, 4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))

    def function(z):
        return cross_entropy(z, TARGET, loss=loss, reduction=reduction, **options)

    return function, logits.requires_grad_()


def by_formula(loss, z, options):
    """The docstring of `cross_entropy`, by row, with the paper's formula of the loss."""
    z = z.movedim(1, -1)
    if options:
        z = 5 * torch.tanh(z / 5) / options["temperature"] + options["logit_bias"]
    flat, target = z.reshape(-1, 4), TARGET.flatten().clamp(min=0)
    value = literal(loss, flat, target)
    if options:
        omega, prior = options["weight"], options["smoothing_prior"]
        value = omega[target] * (0.9 * value + options["z_loss"] * flat.logsumexp(-1) ** 2)
        value = value - 0.1 * (prior * omega * flat.log_softmax(-1)).sum(-1)
        value = value * options["sample_weight"].flatten()
    return value.reshape(TARGET.shape) * (TARGET >= 0)


@every_loss
@every_option
def test_value_and_gradient_are_the_formulas(path, loss, options):
    function, logits = problem(loss, options, "none")
    want = by_formula(loss, logits, options)
    upstream = torch.linspace(0.5, 2, 6, dtype=torch.float64).reshape(2, 3)
    got = function(logits)
    torch.testing.assert_close(got, want, rtol=1e-12, atol=1e-14)
    gradients = [torch.autograd.grad(value, logits, upstream)[0] for value in (got, want)]
    torch.testing.assert_close(*gradients, rtol=1e-11, atol=1e-14)


@every_loss
def test_reductions(path, loss):
    weight = OPTIONS["all"]["weight"]
    each, logits = problem(loss, {"weight": weight}, "none")
    total, mean = (problem(loss, {"weight": weight}, name)[0](logits) for name in ("sum", "mean"))
    torch.testing.assert_close(total, each(logits).sum())
    torch.testing.assert_close(mean, each(logits).sum() / weight[TARGET[TARGET >= 0]].sum())


@pytest.mark.parametrize("loss", [*LOSSES, SUM], ids=lambda loss: loss.name)
@pytest.mark.parametrize(("options", "reduction"), [("plain", "mean"), ("all", "none")])
def test_gradcheck(path, loss, options, reduction):
    options = OPTIONS[options]
    if loss is SUM:  # which goes with even smoothing only
        options = {k: v for k, v in options.items() if k not in ("weight", "smoothing_prior")}
    function, logits = problem(loss, options, reduction)
    assert torch.autograd.gradcheck(function, logits, check_batched_grad=True)
    if path == "reference":  # second derivatives are the same on every path
        assert torch.autograd.gradgradcheck(function, logits, check_batched_grad=True)


@every_loss
@every_option
def test_transforms_give_the_eager_gradient(loss, options):
    function, logits = problem(loss, options)
    want, plain = gradient_of(function, logits), logits.detach()
    torch.testing.assert_close(torch.func.grad(function)(plain), want)
    torch.testing.assert_close(torch.func.jacfwd(function)(plain), want)
    torch.testing.assert_close(
        torch.func.hessian(function)(plain),
        torch.autograd.functional.hessian(function, plain),
        rtol=1e-9,
        atol=1e-12,
    )
    direction = torch.ones_like(plain) * torch.linspace(-1, 1, 3, dtype=torch.float64)
    with forward_ad.dual_level():
        dual = function(forward_ad.make_dual(plain, direction))
        tangent = forward_ad.unpack_dual(dual).tangent
    torch.testing.assert_close(tangent, (want * direction).sum())


@every_loss
def test_vmap_over_rows(loss):
    logits = torch.randn(6, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    target = torch.tensor([0, 3, 1, 1, 2, -100])
    each = torch.func.vmap(lambda z, y: cross_entropy(z, y, loss=loss, reduction="sum"))
    whole = cross_entropy(logits, target, loss=loss, reduction="none")
    torch.testing.assert_close(each(logits, target), whole)
    gradient = torch.func.vmap(
        torch.func.grad(lambda z, y: cross_entropy(z, y, loss=loss, reduction="sum"))
    )
    logits.requires_grad_()
    want = torch.autograd.grad(cross_entropy(logits, target, loss=loss, reduction="sum"), logits)
    torch.testing.assert_close(gradient(logits.detach(), target), want[0])


@pytest.fixture(params=["native", "reference"])
def compiler(request):
    """On either path of the rows: where there are kernels, other losses are operators."""
    before = rows.path()
    rows.use(rows.available_paths()[0] if request.param == "native" else request.param)
    torch.compiler.reset()
    yield
    torch.compiler.reset()
    rows.use(before)


@pytest.mark.usefixtures("compiler")
@pytest.mark.parametrize("loss", [*LOSSES, SUM], ids=lambda loss: loss.name)
def test_compiled_without_a_graph_break(loss):
    options = {"softcap": 5.0, "z_loss": 0.1, "label_smoothing": 0.1}
    function, logits = problem(loss, {} if loss is SUM else options)
    compiled = torch.compile(function, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(logits), function(logits))
    torch.testing.assert_close(gradient_of(compiled, logits), gradient_of(function, logits))


@pytest.mark.usefixtures("compiler")
@pytest.mark.parametrize("loss", [SUM, HardBootstrapping()], ids=lambda loss: loss.name)
def test_compiled_by_inductor(loss):
    function, logits = problem(loss, {})
    compiled = torch.compile(function, fullgraph=True)
    torch.testing.assert_close(gradient_of(compiled, logits), gradient_of(function, logits))


@pytest.mark.usefixtures("compiler")
def test_compiled_around_transforms():
    """Not with a matrix, which lies in NumPy: torch's guard of that array fails, loudly."""
    function, logits = problem(HardBootstrapping(), {})
    gradient = torch.compile(torch.func.grad(function), fullgraph=True)
    torch.testing.assert_close(gradient(logits.detach()), gradient_of(function, logits))


# ---- numbers ----------------------------------------------------------------------------------


@every_loss
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("offset", [0.0, 100.0])
def test_other_types_are_float64_rounded_once(path, loss, dtype, offset):
    generator = torch.Generator().manual_seed(0)
    logits = (torch.randn(64, 4, generator=generator) * 4 + offset).to(dtype).requires_grad_()
    target = torch.randint(0, 4, (64,), generator=generator)
    got = cross_entropy(logits, target, loss=loss, reduction="none")
    (gradient,) = torch.autograd.grad(got.sum(), logits)
    wide = logits.detach().double().requires_grad_()
    want = literal(loss, wide, target)
    (want_gradient,) = torch.autograd.grad(want.sum(), wide)
    assert got.dtype == gradient.dtype == dtype
    step = torch.finfo(dtype).eps
    torch.testing.assert_close(got.double(), want, rtol=step, atol=step * 1e-3)
    torch.testing.assert_close(gradient.double(), want_gradient, rtol=step, atol=step * 1e-3)


def test_tiny_losses_keep_their_digits_in_float32(path):
    """Class 0 is labelled 0 always, so that there its loss is .7·e^−z, to first order."""
    loss = ForwardCorrection([[1.0, 0.0], [0.3, 0.7]])
    margin = torch.tensor([10.0, 30.0, 80.0])
    logits = torch.stack([margin, torch.zeros(3)], dim=1).requires_grad_()
    value = cross_entropy(logits, torch.zeros(3).long(), loss=loss, reduction="none")
    p = torch.sigmoid(-margin.double())
    torch.testing.assert_close(value.double(), -torch.log1p(-0.7 * p), rtol=4e-6, atol=0)
    (gradient,) = torch.autograd.grad(value.sum(), logits)
    want = 0.7 * p * (1 - p) / (1 - 0.7 * p)
    torch.testing.assert_close(gradient.double(), torch.stack([-want, want], 1), rtol=4e-6, atol=0)


MASKED = torch.tensor([[-torch.inf, 0.0, 1.0, 2.0], [-torch.inf, -torch.inf, -torch.inf, 0.0]])


@pytest.mark.parametrize("loss", [ForwardCorrection(noise(4)), HardBootstrapping()], ids=repr)
def test_impossible_classes_have_no_gradient_of_nan(path, loss):
    for label in range(4):
        target = torch.full((2,), label)
        logits = MASKED.clone().requires_grad_()
        value = cross_entropy(logits, target, loss=loss, reduction="none")
        (gradient,) = torch.autograd.grad(value.sum(), logits)
        want = loss.loss_gradient(target.numpy(), MASKED.numpy())
        torch.testing.assert_close(value.detach().numpy(), want[0].astype(np.float32))
        torch.testing.assert_close(gradient.numpy(), want[1])
        torch.testing.assert_close(
            torch.func.grad(lambda z, y=target: cross_entropy(z, y, loss=loss, reduction="sum"))(
                MASKED
            ),
            gradient,
        )


@pytest.mark.parametrize(
    "loss",
    [ForwardCorrection(np.eye(4)), BackwardCorrection(np.eye(4)), HardBootstrapping(1.0)],
    ids=lambda loss: loss.name,
)
def test_without_noise_it_is_cross_entropy(path, loss):
    logits = torch.cat([MASKED, torch.randn(5, 4)]).double().requires_grad_()
    for label in range(4):
        target = torch.full((7,), label)
        got, want = (cross_entropy(logits, target, loss=x, reduction="none") for x in (loss, None))
        torch.testing.assert_close(got, want, rtol=1e-12, atol=1e-15)
        got, want = (torch.autograd.grad(x.sum(), logits)[0] for x in (got, want))
        torch.testing.assert_close(got, want, rtol=1e-12, atol=1e-15)


@every_loss
@pytest.mark.parametrize("route", ["eager", "transformed"])
def test_ignored_rows_may_hold_anything(path, loss, route):
    logits = torch.tensor([[torch.nan] * 4, [torch.inf] * 4, [-torch.inf] * 4, [0, 1.0, 2, 3]])
    target = torch.tensor([-100, -100, -100, 1])

    def function(z, y):
        return cross_entropy(z, y, loss=loss, reduction="sum", softcap=5.0, z_loss=0.1)

    if route == "eager":
        leaf = logits.clone().requires_grad_()
        gradient = gradient_of(lambda z: function(z, target), leaf)
    else:
        gradient = torch.func.grad(function)(logits, target)
    assert (gradient[:3] == 0).all()
    want = torch.func.grad(function)(logits[3:], target[3:])
    torch.testing.assert_close(gradient[3:], want)
    torch.testing.assert_close(function(logits, target), function(logits[3:], target[3:]))


# ---- beside the options and contexts ----------------------------------------------------------


@every_loss
def test_statistics_come_with_it(path, loss):
    function, logits = problem(loss, {"return_stats": True})
    result, plain = function(logits), problem(None, {"return_stats": True})[0](logits)
    torch.testing.assert_close(result.loss, problem(loss, {})[0](logits))
    for name in ("log_prob", "lse", "argmax", "correct"):
        got, want = getattr(result, name), getattr(plain, name)
        torch.testing.assert_close(got, want)
        assert not got.requires_grad


@every_loss
def test_inplace_backward_leaves_the_logits_alone(path, loss):
    _, logits = problem(loss, {})
    layer = logits * 1
    value = cross_entropy(layer, TARGET, loss=loss, inplace_backward=True)
    (gradient,) = torch.autograd.grad(value, logits)
    torch.testing.assert_close(gradient, gradient_of(problem(loss, {})[0], logits))
    assert torch.equal(layer, logits)


@every_loss
def test_the_module(loss):
    module = copy.deepcopy(CrossEntropyLoss(loss=loss, label_smoothing=0.1))
    function, logits = problem(loss, {"label_smoothing": 0.1})
    torch.testing.assert_close(module(logits, TARGET), function(logits))


def test_by_name():
    function, logits = problem("hard_bootstrapping", {})
    torch.testing.assert_close(function(logits), problem(HardBootstrapping(), {})[0](logits))


@every_loss
def test_tensors_without_memory(loss):
    def shapes(device=None):
        logits = torch.zeros(5, 4, 2, device=device, requires_grad=True)
        target = torch.zeros(5, 2, dtype=torch.int64, device=device)
        cross_entropy(logits, target, loss=loss).backward()
        assert logits.grad.shape == (5, 4, 2)

    shapes("meta")
    with FakeTensorMode():
        shapes()


@every_loss
def test_no_rows(path, loss):
    logits = torch.zeros(0, 4, requires_grad=True)
    value = cross_entropy(logits, torch.zeros(0).long(), loss=loss, reduction="sum")
    value.backward()
    assert value == 0
    assert logits.grad.shape == (0, 4)


def test_errors(path):
    loss, logits = LOSSES[0], torch.zeros(2, 4)
    with pytest.raises(IndexError, match="Target 4 is out of bounds"):
        cross_entropy(logits, torch.tensor([0, 4]), loss=loss)
    with pytest.raises(ValueError, match="is of 4 classes, the logits have 3; give a row and"):
        cross_entropy(torch.zeros(2, 3), torch.tensor([0, 1]), loss=loss)
    with pytest.raises(ValueError, match="loss goes with class indices as targets"):
        cross_entropy(logits, logits.softmax(1), loss=loss)
    per_row = torch.func.vmap(lambda z, y: cross_entropy(z, y, loss=loss))
    assert per_row(logits, torch.tensor([0, 4])).isnan().tolist() == [False, True]
