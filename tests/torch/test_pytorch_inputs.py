"""PyTorch's own generated inputs: every sample, in values and gradients, against float64.

Class indices and probabilities for cross entropy (the probabilities do not sum to 1, and ask for
their own gradient), and the divergence's inputs for distillation.
"""

import pytest
import torch
from torch.nn import functional
from torch.testing._internal.common_methods_invocations import op_db
from torch.testing._internal.common_modules import module_db

from crossentropy.torch import CrossEntropyLoss, cross_entropy, distillation_loss

DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)
TOLERANCE = {torch.float64: 1e-12, torch.float32: 2e-6, torch.float16: 1e-3, torch.bfloat16: 8e-3}
every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=str)


def function_samples(name, dtype):
    operator = next(op for op in op_db if op.name == f"nn.functional.{name}")
    for sample in operator.sample_inputs("cpu", dtype, requires_grad=True):
        yield sample.input, sample.args[0], sample.kwargs


def module_samples(module, dtype):
    info = next(m for m in module_db if m.module_cls is module)
    made = info.module_inputs_func(info, "cpu", dtype, requires_grad=True, training=True)
    for sample in made:
        yield sample.constructor_input, sample.forward_input.args


def assert_same(ours, exact, arguments, dtype):
    """Value, and gradient in what asks for one, within one rounding of float64's."""
    close = {"rtol": TOLERANCE[dtype], "atol": TOLERANCE[dtype], "equal_nan": True}
    assert ours.dtype == dtype
    torch.testing.assert_close(ours.double(), exact, **close)
    asking = [argument for argument in arguments if argument.requires_grad]
    got = torch.autograd.grad(ours.sum(), asking)
    want = torch.autograd.grad(exact.sum(), asking, retain_graph=True)
    for mine, theirs in zip(got, want, strict=True):
        torch.testing.assert_close(mine, theirs, **close)


def in_float64(value):
    is_floating = isinstance(value, torch.Tensor) and value.is_floating_point()
    return value.double() if is_floating else value


def fixed_and_moving(target):
    """The target as it asks for a gradient, and as it does not, which is the kernels' work."""
    return (target, target.detach()) if target.requires_grad else (target,)


@every_dtype
def test_cross_entropy(path, dtype):
    soft = []
    for logits, target, options in function_samples("cross_entropy", dtype):
        exact = {name: in_float64(value) for name, value in options.items()}
        for given in fixed_and_moving(target):
            assert_same(
                cross_entropy(logits, given, **options),
                functional.cross_entropy(logits.double(), in_float64(given), **exact),
                (logits, given),
                dtype,
            )
        soft.append(target.is_floating_point())
    assert (soft.count(False), soft.count(True)) == (11, 10)


@every_dtype
def test_cross_entropy_loss(path, dtype):
    soft = []
    for made, (logits, target) in module_samples(torch.nn.CrossEntropyLoss, dtype):
        ours = CrossEntropyLoss(*made.args, **made.kwargs)
        torchs = torch.nn.CrossEntropyLoss(*made.args, **made.kwargs).double()
        for given in fixed_and_moving(target):
            want = torchs(logits.double(), in_float64(given))
            assert_same(ours(logits, given), want, (logits, given), dtype)
        soft.append(target.is_floating_point())
    assert (soft.count(False), soft.count(True)) == (69, 36)


@every_dtype
def test_distillation_of_the_divergences_inputs(path, dtype):
    """The input as a student's logits, the target as a teacher's probabilities."""
    seen = 0
    for student, target, options in function_samples("kl_div", dtype):
        teacher = target if options["log_target"] else target.log()
        assert_divergence(student, teacher, options["reduction"], dtype)
        seen += 1
    assert seen == 16


@every_dtype
def test_distillation_of_the_divergences_module_inputs(path, dtype):
    """Logarithms of normal numbers, half of them NaN, as both sides' logits."""
    seen = 0
    for made, (student, teacher) in module_samples(torch.nn.KLDivLoss, dtype):
        if student.ndim == 0:
            with pytest.raises(ValueError, match="must have one shape"):
                distillation_loss(student, teacher)
            continue
        assert_divergence(student, teacher, made.kwargs.get("reduction", "mean"), dtype)
        seen += 1
    assert seen == 5


def assert_divergence(student, teacher, reduction, dtype):
    """Ours is torch's of the normalised numbers; its mean by element is left to it."""
    p, t = (torch.log_softmax(logits.double(), -1) for logits in (student, teacher))
    by_class = functional.kl_div(p, t, reduction="none", log_target=True)
    exact = by_class.sum(-1) if reduction == "none" else by_class.sum()
    if reduction in ("mean", "batchmean"):
        exact = exact / by_class[..., 0].numel()
        reduction = "mean"
    for given in fixed_and_moving(teacher):
        ours = distillation_loss(student, given, reduction=reduction)
        assert_same(ours, exact, (student, given), dtype)
