"""Small batches of cross entropy: one native call gives the loss and its gradient.

At a few thousand logits the passes take microseconds, and what surrounds them is what a user
waits for. The numbers are those of the other routes.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor

from crossentropy import rows
from crossentropy.rows import Rows, _native

from . import _autograd
from ._options import Options
from ._problem import problem_of

LIMIT = 2**16  # logits: some 50 µs for one thread, and a gradient that nobody misses


class Call(NamedTuple):
    """Torch's own options, and two that need no more."""

    weight: Tensor | None
    ignore_index: int
    reduction: str
    label_smoothing: float
    temperature: float
    z_loss: float


def fits(input: Tensor, target: Tensor, call: Call) -> bool:
    """Whether this route takes the call; what it does not take, the others check and explain."""
    return (
        not torch.compiler.is_compiling()
        and input.ndim == 2
        and input.numel() <= LIMIT
        and input.dtype.itemsize >= 4
        and rows.path() != "reference"
        and _readable(input)
        and target.dtype is torch.int64
        and target.shape == input.shape[:1]
        and _readable(target)
        and (call.weight is None or _is_weight(call.weight, input))
        and call.reduction in ("mean", "sum")
        and 0 <= call.label_smoothing <= 1
        and 0 < call.temperature < math.inf
        and 0 <= call.z_loss < math.inf
        and not _autograd.transformed()
    )


def loss(input: Tensor, target: Tensor, call: Call) -> Tensor:
    """The loss of a call that fits."""
    result: Tensor = _SmallLoss.apply(input, target, call)  # type: ignore[no-untyped-call] # torch's
    return result


def _readable(tensor: Tensor) -> bool:
    return _native.memory_of(tensor) is not None and tensor.is_contiguous()


def _is_weight(weight: Tensor, input: Tensor) -> bool:
    return (
        weight.dtype is input.dtype
        and weight.shape == input.shape[1:]
        and not weight.requires_grad
        and _readable(weight)
    )


class _SmallLoss(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, target: Tensor, call: Call) -> Tensor:
        value = logits.new_empty(())
        gradient = torch.empty_like(logits) if ctx.needs_input_grad[0] else None
        _train(logits, target, call, value, gradient)
        ctx.save_for_backward(logits, target)
        ctx.call, ctx.gradient = call, gradient
        return value

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, None, None]:
        logits, target = ctx.saved_tensors
        if torch.is_grad_enabled():
            problem = problem_of(logits, Options(**ctx.call._asdict()))
            return _autograd.differentiable_gradient(logits, target, problem, upstream), None, None
        gradient, ctx.gradient = ctx.gradient, None  # the caller may write to it
        if gradient is None:
            gradient = torch.empty_like(logits)
            _train(logits, target, ctx.call, logits.new_empty(()), gradient)
        if _autograd.has_memory(upstream) and upstream.item() == 1:
            return gradient, None, None
        return gradient * upstream, None, None


def _train(
    logits: Tensor, target: Tensor, call: Call, value: Tensor, gradient: Tensor | None
) -> None:
    n, classes = logits.shape
    bad = _native.kernels.train(
        0 if logits.dtype is torch.float32 else 1,
        logits.data_ptr(),
        target.data_ptr(),
        n,
        classes,
        1,
        call.ignore_index,
        0.0,
        1.0 / call.temperature,
        0,
        0 if call.weight is None else call.weight.data_ptr(),
        call.label_smoothing,
        call.z_loss,
        call.reduction == "mean",
        value.data_ptr(),
        0 if gradient is None else gradient.data_ptr(),
    )
    if bad >= 0:
        _native.raise_out_of_range(Rows(logits, target, ignore_index=call.ignore_index), bad)
