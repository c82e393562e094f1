"""PyTorch's own generated samples of the fused layer, in values and gradients, against float64."""

import pytest
import torch
from torch.nn import functional
from torch.testing._internal.common_methods_invocations import op_db
from torch.testing._internal.common_modules import module_db

from crossentropy.torch import LinearCrossEntropyLoss, LinearOptions, linear_cross_entropy
from tests.torch.test_pytorch_inputs import in_float64

TOLERANCE = {torch.float64: 1e-12, torch.float32: 1e-5, torch.float16: 2e-3, torch.bfloat16: 2e-2}
TINY = LinearOptions(max_bytes=4096)  # several blocks of samples, and for 16 bits of classes
every_dtype = pytest.mark.parametrize(
    ("dtype", "options"),
    [(torch.float64, TINY), (torch.float32, None), (torch.bfloat16, TINY), (torch.float16, None)],
    ids=str,
)

OPERATORS = [op for op in op_db if op.name == "nn.functional.linear_cross_entropy"]


def assert_same(ours, exact, operands, wide, dtype):
    """Value and gradients, those of float64 within roundings of the type."""
    close = {"rtol": TOLERANCE[dtype], "atol": TOLERANCE[dtype], "equal_nan": True}
    torch.testing.assert_close(ours.double(), exact, **close)
    got = torch.autograd.grad(ours.sum(), operands)
    want = torch.autograd.grad(exact.sum(), wide)
    for mine, theirs in zip(got, want, strict=True):
        torch.testing.assert_close(mine.double(), theirs, **close)


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # threads would cost more than these sizes
    yield
    torch.set_num_threads(before)


@every_dtype
def test_linear_cross_entropy(dtype, options):
    seen = 0
    for operator in OPERATORS:
        for sample in operator.sample_inputs("cpu", dtype, requires_grad=True):
            weight, target = sample.args
            given = {k: v for k, v in sample.kwargs.items() if k != "options"}
            ours = linear_cross_entropy(sample.input, weight, target, options=options, **given)
            assert ours.dtype == dtype
            everything = sample.input, weight, target, given.get("linear_bias")
            operands = [x for x in everything if moves(x)]
            wide = [x.detach().double().requires_grad_() for x in operands]
            moved = dict(zip(map(id, operands), wide, strict=True))
            exact = functional.linear_cross_entropy(
                *(moved.get(id(x), x) for x in (sample.input, weight, target)),
                **{k: moved.get(id(v), in_float64(v)) for k, v in given.items()},
            )
            assert_same(ours, exact, operands, wide, dtype)
            seen += 1
    assert seen > 300


def moves(value):
    return isinstance(value, torch.Tensor) and value.requires_grad


@every_dtype
def test_linear_cross_entropy_loss(dtype, options):
    info = next(m for m in module_db if m.module_cls is torch.nn.LinearCrossEntropyLoss)
    cases = info.module_inputs_func(info, "cpu", dtype, requires_grad=True, training=True)
    seen = 0
    for case in cases[:: 1 if dtype == torch.float64 else 4]:  # the same again in each type
        args, kwargs = case.constructor_input.args, dict(case.constructor_input.kwargs)
        hidden, target = case.forward_input.args
        theirs = torch.nn.LinearCrossEntropyLoss(*args, **{**kwargs, "options": None})
        ours = LinearCrossEntropyLoss(*args, **{**kwargs, "options": options})
        ours.load_state_dict(theirs.state_dict())
        wide = hidden.detach().double().requires_grad_()
        theirs.double()
        assert_same(
            ours(hidden, target),
            theirs(wide, in_float64(target)),
            [hidden, *ours.parameters()],
            [wide, *theirs.parameters()],
            dtype,
        )
        seen += 1
    assert seen > 200


def test_errors_are_torchs():
    seen = 0
    for given in OPERATORS[0].error_inputs_func(OPERATORS[0], "cpu"):
        sample = given.sample_input
        if "dimensionality 1 or 2" in given.error_regex:
            continue  # leading shapes of any kind are allowed here
        with pytest.raises(given.error_type, match=given.error_regex):
            linear_cross_entropy(sample.input, *sample.args, **sample.kwargs)
        seen += 1
    assert seen == 5
