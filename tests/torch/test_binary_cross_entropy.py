"""`binary_cross_entropy_with_logits` beside torch's: values, gradients, every route and type."""

import itertools

import numpy as np
import pytest
import torch
from torch.nn import functional
from torch.testing._internal.common_methods_invocations import op_db
from torch.testing._internal.common_modules import module_db

from crossentropy import losses
from crossentropy.losses import Asymmetric, Binary, BinaryCrossEntropy, BinaryRule, SigmoidFocal
from crossentropy.torch import BCEWithLogitsLoss, binary_cross_entropy_with_logits
from tests.binary_table import every_loss

DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)
OPERATOR = next(op for op in op_db if op.name == "nn.functional.binary_cross_entropy_with_logits")
MODULE = next(m for m in module_db if m.module_cls is torch.nn.BCEWithLogitsLoss)
TOLERANCE = {torch.float64: 1e-12, torch.float32: 2e-6, torch.float16: 1e-3, torch.bfloat16: 8e-3}


def batch(shape=(5, 7), dtype=torch.float64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    logits = (torch.randn(shape, generator=generator, dtype=torch.float64) * 3).to(dtype)
    target = torch.randint(0, 2, shape, generator=generator).to(dtype)
    return logits.requires_grad_(), target


def gradient_of(value, logits):
    return torch.autograd.grad(value, logits)[0]


def in_float64(value):
    return value.double() if isinstance(value, torch.Tensor) else value


def assert_same(ours, exact, logits, dtype):
    """Value and gradient within one rounding of torch's in float64."""
    close = {"rtol": TOLERANCE[dtype], "atol": TOLERANCE[dtype], "equal_nan": True}
    assert ours.dtype == dtype
    torch.testing.assert_close(ours.double(), exact, **close)
    (got,) = torch.autograd.grad(ours.sum(), logits)
    (want,) = torch.autograd.grad(exact.sum(), logits)
    torch.testing.assert_close(got, want, **close)


# ---- torch's own inputs -------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_pytorchs_inputs_of_the_function(path, dtype):
    count = 0
    for sample in OPERATOR.sample_inputs("cpu", dtype, requires_grad=True):
        logits, target = sample.input, sample.args[0].detach()
        count += 1
        if not bool(((target >= 0) & (target <= 1)).all()):
            target = target.abs() / target.abs().max().clamp(min=1)
        ours = binary_cross_entropy_with_logits(logits, target, **sample.kwargs)
        exact = functional.binary_cross_entropy_with_logits(
            logits.double(),
            target.double(),
            **{name: in_float64(value) for name, value in sample.kwargs.items()},
        )
        assert_same(ours, exact, logits, dtype)
    assert count >= 10


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_pytorchs_inputs_of_the_module(path, dtype):
    count = 0
    for sample in MODULE.module_inputs_func(
        MODULE, "cpu", dtype, requires_grad=True, training=True
    ):
        made, (logits, target) = sample.constructor_input, sample.forward_input.args
        count += 1
        ours = BCEWithLogitsLoss(*made.args, **made.kwargs)
        torchs = torch.nn.BCEWithLogitsLoss(*made.args, **made.kwargs).double()
        exact = torchs(logits.double(), target.double())
        assert_same(ours(logits, target.detach()), exact, logits, dtype)
    assert count >= 5


SHAPES = [(), (1,), (17,), (5, 7), (2, 3, 4, 5), (300, 100)]


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("shape", SHAPES)
def test_weights_as_torchs(path, shape, reduction):
    logits, target = batch(shape)
    weights = [None, torch.rand(shape), torch.rand(shape[-1:]).double(), torch.tensor(0.3)]
    for weight, pos_weight in itertools.product(weights, repeat=2):
        options = {"weight": weight, "pos_weight": pos_weight, "reduction": reduction}
        want = functional.binary_cross_entropy_with_logits(logits, target, **options)
        got = binary_cross_entropy_with_logits(logits, target, **options)
        torch.testing.assert_close(got, want)
        upstream = torch.randn(want.shape, dtype=want.dtype)
        torch.testing.assert_close(
            torch.autograd.grad(got, logits, upstream), torch.autograd.grad(want, logits, upstream)
        )


@pytest.mark.filterwarnings("ignore:size_average and reduce args will be deprecated")
@pytest.mark.parametrize("options", [{}, {"size_average": False}, {"reduce": False}])
def test_layouts_and_legacy_reductions(path, options):
    logits, target = batch((6, 8))
    for z, y in [
        (logits.t(), target.t()),
        (logits[::2, 1::3], target[::2, 1::3]),
        (logits[:1].expand(6, 8), target[:, :1].expand(6, 8)),
    ]:
        got = binary_cross_entropy_with_logits(z, y, **options)
        want = functional.binary_cross_entropy_with_logits(z, y, **options)
        torch.testing.assert_close(got, want)
        torch.testing.assert_close(gradient_of(got.sum(), logits), gradient_of(want.sum(), logits))


# ---- what torch's cannot do ---------------------------------------------------------------------


@pytest.mark.parametrize("gamma", [0.0, 0.3, 0.5, 1.0, 1.7, 2.0])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_gradients_are_finite_however_extreme_the_logits(path, dtype, gamma, reduction):
    sizes = [1e4, -1e4, 89.0, -89.0, 104.0, -104.0, 700.0, -700.0, 0.0]
    logits = torch.tensor(sizes, dtype=dtype, requires_grad=True)
    for target, loss in itertools.product(
        (0.0, 1.0, 0.5), (SigmoidFocal(gamma=gamma), Asymmetric(gamma, gamma, 0.05))
    ):
        value = binary_cross_entropy_with_logits(
            logits, torch.full_like(logits, target), loss=loss, reduction=reduction
        )
        assert torch.isfinite(value).all()
        got = gradient_of(value.sum(), logits)
        assert torch.isfinite(got).all()
        double = torch.autograd.grad(
            binary_cross_entropy_with_logits(
                logits, torch.full_like(logits, target), loss=loss, reduction=reduction
            ).sum(),
            logits,
            create_graph=True,
        )[0]
        torch.testing.assert_close(got, double, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])


def torchvisions_focal(logits, target, alpha=0.25, gamma=2.0):
    """The formula of torchvision.ops.sigmoid_focal_loss."""
    p = torch.sigmoid(logits)
    ce = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    p_t = p * target + (1 - p) * (1 - target)
    return (alpha * target + (1 - alpha) * (1 - target)) * ce * (1 - p_t) ** gamma


@pytest.mark.parametrize(("alpha", "gamma"), [(0.25, 2.0), (0.6, 1.5), (0.5, 3.0)])
def test_focal_is_torchvisions_for_labels(path, alpha, gamma):
    logits, target = batch((40, 30))
    got = binary_cross_entropy_with_logits(
        logits, target, loss=SigmoidFocal(alpha, gamma), reduction="none"
    )
    want = torchvisions_focal(logits, target, alpha, gamma)
    torch.testing.assert_close(got, want, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(
        gradient_of(got.mean(), logits), gradient_of(want.mean(), logits), rtol=1e-9, atol=1e-12
    )


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_sixteen_bits_are_rounded_after_the_upstream(path, dtype, reduction):
    """A gradient of 1e-7 / N, lifted by a loss scale of 2^12, keeps its digits."""
    logits, target = batch((64, 64), dtype)
    value = binary_cross_entropy_with_logits(logits, target, reduction=reduction).mean()
    got = torch.autograd.grad(value, logits, torch.tensor(4096.0, dtype=dtype))[0]
    wide = logits.detach().double().requires_grad_()
    exact = functional.binary_cross_entropy_with_logits(wide, target.double())
    want = torch.autograd.grad(exact, wide, torch.tensor(4096.0, dtype=torch.float64))[0]
    least = 3 * torch.finfo(dtype).smallest_normal * torch.finfo(dtype).eps
    torch.testing.assert_close(got.double(), want, rtol=1.1 * torch.finfo(dtype).eps, atol=least)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_ignored_elements_count_for_nothing(path, reduction):
    logits, target = batch()
    ignored = torch.rand(target.shape) < 0.3
    with torch.no_grad():
        logits[ignored] = torch.nan
    marked = target.masked_fill(ignored, -100)
    got = binary_cross_entropy_with_logits(logits, marked, reduction=reduction, ignore_index=-100)
    want = functional.binary_cross_entropy_with_logits(
        logits[~ignored], target[~ignored], reduction=reduction
    )
    if reduction == "none":
        assert not got[ignored].any()
        got = got[~ignored]
    torch.testing.assert_close(got, want)
    gradient = gradient_of(got.sum(), logits)
    assert not gradient[ignored].any()
    torch.testing.assert_close(gradient, gradient_of(want.sum(), logits))


def test_nothing_to_average(path):
    logits, target = batch()
    for z, y in ((logits[:0], target[:0]), (logits, torch.full_like(target, 255))):
        value = binary_cross_entropy_with_logits(z, y, ignore_index=255)
        assert value.isnan()
        total = binary_cross_entropy_with_logits(z, y, ignore_index=255, reduction="sum")
        assert total == 0
        assert not gradient_of(total, logits).any()


def test_label_smoothing_and_normalizer(path):
    logits, target = batch()
    want = functional.binary_cross_entropy_with_logits(logits, target * 0.8 + 0.1, reduction="sum")
    slope = gradient_of(want, logits)
    for normalizer in (None, 13, torch.tensor(13), torch.tensor(13.0)):
        got = binary_cross_entropy_with_logits(
            logits, target, label_smoothing=0.2, normalizer=normalizer
        )
        divisor = target.numel() if normalizer is None else 13
        torch.testing.assert_close(got, want / divisor)
        torch.testing.assert_close(gradient_of(got, logits), slope / divisor)


@pytest.mark.parametrize("kind", [torch.bool, torch.int64, torch.uint8, torch.int8])
def test_targets_of_any_type(path, kind):
    logits, target = batch(dtype=torch.float32)
    want = functional.binary_cross_entropy_with_logits(logits, target)
    torch.testing.assert_close(binary_cross_entropy_with_logits(logits, target.to(kind)), want)


@pytest.mark.parametrize(("mine", "theirs"), list(itertools.product(DTYPES, repeat=2)), ids=str)
def test_the_type_that_input_and_target_promote_to(path, mine, theirs):
    logits, target = batch(dtype=mine)
    got = binary_cross_entropy_with_logits(logits, target.to(theirs))
    assert got.dtype == torch.promote_types(mine, theirs)
    assert gradient_of(got, logits).dtype == mine


def test_autocast(path):
    logits, target = batch(dtype=torch.bfloat16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got = binary_cross_entropy_with_logits(logits, target)
        want = functional.binary_cross_entropy_with_logits(logits, target)
    assert got.dtype == want.dtype == torch.float32
    torch.testing.assert_close(got, want)


def test_a_user_rule_of_the_margin(path):
    def squared_hinge(m):
        return torch.relu(1 - m) ** 2

    logits, target = batch()
    got = binary_cross_entropy_with_logits(logits, target, loss=squared_hinge)
    signed = torch.where(target > 0, logits, -logits)
    torch.testing.assert_close(got, squared_hinge(signed).mean())
    torch.testing.assert_close(
        gradient_of(got, logits), gradient_of(squared_hinge(signed).mean(), logits)
    )
    named = BCEWithLogitsLoss(loss=BinaryRule(squared_hinge))
    torch.testing.assert_close(named(logits, target), got)


# ---- autograd, transforms, compilers ------------------------------------------------------------


@every_loss
@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_first_and_second_derivatives_are_numeric_ones(row, reduction):
    """Of the first by the path in use; the others are plain operations on every path."""
    logits, target = batch((3, 4))
    options = {"loss": row.loss, "label_smoothing": 0.1, "reduction": reduction}

    def loss(z, y):
        return binary_cross_entropy_with_logits(
            z, y, weight=WEIGHT, pos_weight=WEIGHT + 1, **options
        )

    assert torch.autograd.gradcheck(loss, (logits, target))
    assert torch.autograd.gradgradcheck(loss, (logits, target))
    soft = (target * 0.6 + 0.2).requires_grad_()
    assert torch.autograd.gradcheck(loss, (logits, soft), check_forward_ad=True)
    assert torch.autograd.gradgradcheck(loss, (logits, soft))


WEIGHT = torch.tensor([0.5, 1.0, 2.0, 0.0], dtype=torch.float64)


@every_loss
def test_transforms(path, row):
    logits, target = batch((4, 6))
    given = logits.detach()

    def loss(z, y):
        return binary_cross_entropy_with_logits(z, y, loss=row.loss)

    want = gradient_of(loss(logits, target), logits)
    torch.testing.assert_close(torch.func.grad(loss)(given, target), want)
    by_row = torch.func.vmap(torch.func.grad(loss))(given, target)
    torch.testing.assert_close(by_row / 4, want)
    direction = torch.ones_like(given)
    _, tangent = torch.func.jvp(lambda z: loss(z, target), (given,), (direction,))
    torch.testing.assert_close(tangent, want.sum())
    with torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(logits, direction)
        out = torch.autograd.forward_ad.unpack_dual(loss(dual, target))
    torch.testing.assert_close(out.tangent, want.sum())


@pytest.mark.parametrize("loss", ["binary_cross_entropy", "sigmoid_focal", "asymmetric", "poly"])
def test_compiled(path, loss):
    torch.compiler.reset()
    logits, target = batch((5, 7), torch.float32)

    def step(z, y, w):
        return binary_cross_entropy_with_logits(
            z, y, pos_weight=w, loss=loss, label_smoothing=0.1, ignore_index=-1
        )

    weight = torch.rand(7)
    target[0] = -1
    want = step(logits, target, weight)
    got = torch.compile(step, fullgraph=True)(logits, target, weight)
    torch.testing.assert_close(got, want)
    torch.testing.assert_close(gradient_of(got, logits), gradient_of(want, logits))


def test_many_upstreams_at_once(path):
    for reduction in ("mean", "none"):
        logits, target = batch((3, 4))
        value = binary_cross_entropy_with_logits(logits, target, reduction=reduction)
        upstream = torch.randn(5, *value.shape, dtype=torch.float64)
        got = torch.autograd.grad(
            value, logits, upstream, is_grads_batched=True, retain_graph=True
        )[0]
        for k in range(5):
            one = torch.autograd.grad(value, logits, upstream[k], retain_graph=True)[0]
            torch.testing.assert_close(got[k], one)


def test_the_graph_can_be_kept_and_each_gradient_is_its_own(path):
    logits, target = batch()
    value = binary_cross_entropy_with_logits(logits, target)
    first = torch.autograd.grad(value, logits, retain_graph=True)[0]
    copy = first.clone()
    second = torch.autograd.grad(value, logits, torch.tensor(3.0).double(), retain_graph=True)[0]
    first.zero_()
    third = torch.autograd.grad(value, logits)[0]
    torch.testing.assert_close(second, copy * 3)
    torch.testing.assert_close(third, copy)
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        value.backward()


def test_an_upstream_of_zero_silences(path):
    logits, target = batch()
    for reduction in ("mean", "none"):
        value = binary_cross_entropy_with_logits(logits, target, reduction=reduction)
        got = torch.autograd.grad(value, logits, torch.zeros_like(value))[0]
        assert not got.any()


def test_only_the_target_asks_for_a_gradient(path):
    logits, target = batch()
    soft = (target * 0.5 + 0.2).requires_grad_()
    got = binary_cross_entropy_with_logits(logits.detach(), soft)
    want = functional.binary_cross_entropy_with_logits(logits.detach(), soft)
    torch.testing.assert_close(gradient_of(got, soft), gradient_of(want, soft))


def test_other_tensors(path):
    logits, target = batch()
    want = binary_cross_entropy_with_logits(logits, target)
    lazy = torch._neg_view(-logits)
    torch.testing.assert_close(binary_cross_entropy_with_logits(lazy, target), want)
    meta = binary_cross_entropy_with_logits(logits.to("meta"), target.to("meta"), reduction="none")
    assert meta.shape == logits.shape
    with torch.no_grad():
        torch.testing.assert_close(binary_cross_entropy_with_logits(logits, target), want)
    with torch.inference_mode():
        torch.testing.assert_close(binary_cross_entropy_with_logits(logits, target), want)


# ---- errors -------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [1.5, -0.1, np.nan])
@pytest.mark.parametrize("options", [{}, {"reduction": "none"}, {"pos_weight": torch.ones(7)}])
def test_targets_outside_0_and_1_raise(path, bad, options):
    logits, target = batch()
    target[2, 3] = bad
    with pytest.raises(ValueError, match=r"probabilities in \[0, 1\], got .* at \(2, 3\)"):
        binary_cross_entropy_with_logits(logits, target, **options)
    with pytest.raises(ValueError, match="or ignore_index=-1"):
        binary_cross_entropy_with_logits(logits, target, ignore_index=-1, **options)


def test_targets_outside_0_and_1_are_nan_where_nobody_can_look():
    logits, target = batch((4, 6))
    target[1, 2] = 2.0
    by_row = torch.func.vmap(binary_cross_entropy_with_logits)(logits, target)
    assert by_row.isnan().tolist() == [False, True, False, False]


def test_errors_are_torchs_where_they_are_about_its_arguments(path):
    logits, target = batch()
    for arguments, options in [
        ((logits, target[0]), {}),
        ((logits, target), {"reduction": "average"}),
        ((logits, target), {"weight": torch.ones(3)}),
        ((logits, target), {"pos_weight": torch.ones(2, 5, 7)}),
        ((logits.detach().long(), target), {}),
    ]:
        with pytest.raises((RuntimeError, ValueError, NotImplementedError)) as torchs:
            functional.binary_cross_entropy_with_logits(*arguments, **options)
        with pytest.raises(type(torchs.value)) as ours:
            binary_cross_entropy_with_logits(*arguments, **options)
        assert str(ours.value) == str(torchs.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"label_smoothing": 1.5}, r"label_smoothing must lie in \[0, 1\], got 1.5"),
        ({"ignore_index": float("nan")}, "ignore_index must be a number"),
        ({"normalizer": 3, "reduction": "sum"}, "normalizer goes with reduction='mean'"),
        ({"normalizer": torch.ones(2)}, "normalizer must be one number"),
        ({"loss": "sigmoid_focl"}, "did you mean 'sigmoid_focal'"),
        ({"loss": losses.CosFace()}, "no binary version"),
    ],
)
def test_errors_of_our_options(options, message):
    with pytest.raises(ValueError, match=message):
        binary_cross_entropy_with_logits(*batch(), **options)


def test_changing_the_input_before_backward_is_an_error(path):
    logits, target = batch()
    hidden = logits * 1
    value = binary_cross_entropy_with_logits(hidden, target, reduction="none")
    hidden.detach().zero_()
    with torch.no_grad():
        hidden.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        value.sum().backward()


# ---- the module ---------------------------------------------------------------------------------


def test_module(path):
    logits, target = batch()
    pos_weight = torch.rand(7)
    module = BCEWithLogitsLoss(pos_weight=pos_weight, loss="sigmoid_focal", label_smoothing=0.1)
    want = binary_cross_entropy_with_logits(
        logits,
        target,
        pos_weight=pos_weight,
        loss=SigmoidFocal(),
        label_smoothing=0.1,
        normalizer=9.0,
    )
    torch.testing.assert_close(module(logits, target, normalizer=9.0), want)
    assert "pos_weight" in module.state_dict()
    assert repr(module) == (
        "BCEWithLogitsLoss(SigmoidFocal(alpha=0.25, gamma=2.0), label_smoothing=0.1)"
    )
    with pytest.raises(ValueError, match="label_smoothing must lie"):
        BCEWithLogitsLoss(label_smoothing=-1)
    assert BCEWithLogitsLoss().loss == BinaryCrossEntropy()
    assert BCEWithLogitsLoss(loss="focal").loss == Binary(losses.Focal())
