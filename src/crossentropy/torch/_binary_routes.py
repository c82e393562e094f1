"""The routes of a binary loss to its gradient, and the choice between them.

Eager calls on the CPU compute the gradient with the loss, in one native pass that reads logits
and targets once. All else runs plain torch operations, which autograd, function transforms and
compilers follow: other devices, rules that the kernel does not know, gradients in the target.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor

from crossentropy import elements
from crossentropy.elements import Elements
from crossentropy.elements._reference import check_targets
from crossentropy.losses import BinaryLoss
from crossentropy.rows import _memory

from . import _composite, _fused


class Call(NamedTuple):
    """What is asked for, beside the elements."""

    rule: BinaryLoss
    reduction: str
    normalizer: Tensor | float | None

    def divisor(self, given: Elements) -> Tensor | float:
        """What a mean divides by."""
        if self.normalizer is not None:
            return self.normalizer
        if given.ignore_index is None:
            logits: Tensor = given.logits
            return logits.numel()
        counted: Tensor = (given.target != given.ignore_index).sum()
        return counted

    def share(self, given: Elements) -> float:
        """What the sum of the losses is multiplied by."""
        if self.reduction != "mean":
            return 1.0
        divisor = float(self.divisor(given))
        return 1 / divisor if divisor else math.inf


def loss(given: Elements, call: Call) -> Tensor:
    """The reduced loss, by the route that fits the moment."""
    if torch.compiler.is_compiling() or _composite.transformed():
        return composite(given, call)
    if _is_native(given, call):
        return _native_loss(given, call)
    if _memory.torch_memory().have_memory(given.target):
        check_targets(given)
    return composite(given, call)


def cast(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    """The tensor's own `to` takes a microsecond even where there is nothing to do."""
    return tensor if tensor.dtype is dtype else tensor.to(dtype)


def weight_dtype(dtype: torch.dtype) -> torch.dtype:
    """Of what goes with logits of a type."""
    return torch.float32 if dtype.itemsize < 4 else dtype


# ---- plain torch operations ---------------------------------------------------------------------


def composite(given: Elements, call: Call) -> Tensor:
    """The reduced loss, in operations that autograd follows."""
    values: Tensor = elements.losses_of(given, call.rule)
    if call.reduction != "none":
        values = values.sum()
    if call.reduction == "mean":
        values = values / call.divisor(given)
    return values.to(given.logits.dtype)


# ---- the native pass ----------------------------------------------------------------------------


def _is_native(given: Elements, call: Call) -> bool:
    """Whether the pass may take the place of the operations: nothing else is to follow them."""
    return (
        elements.is_native(given, call.rule)
        and _is_constant(given.target)
        and _is_constant(given.weight)
        and _is_constant(given.pos_weight)
        and _is_constant(call.normalizer)
    )


def _is_constant(value: Tensor | float | None) -> bool:
    """Whether it is no tensor, or one whose numbers are at hand and ask for no gradient."""
    if not isinstance(value, Tensor):
        return True
    return not value.requires_grad and _memory.torch_memory().have_memory(value)


def _native_loss(given: Elements, call: Call) -> Tensor:
    logits, target = given.logits.contiguous(), given.target.contiguous()
    threads = torch.get_num_threads()
    if not (logits.requires_grad and torch.is_grad_enabled()):
        given = given._replace(logits=logits, target=target, n_threads=threads)
        return _evaluated(given, call, wants_gradient=False)[0]
    options = given.label_smoothing, given.ignore_index, threads
    arguments = logits, target, given.weight, given.pos_weight, options, call
    result: Tensor = _ElementLoss.apply(*arguments)  # type: ignore[no-untyped-call] # torch's
    return result


def _evaluated(
    given: Elements, call: Call, *, wants_gradient: bool
) -> tuple[Tensor, Tensor | None]:
    """The reduced loss, and its gradient."""
    if call.reduction == "none":
        made = elements.evaluate(given, call.rule, losses=True)
        assert made.losses is not None
        return made.losses, None
    share = call.share(given)
    made = elements.evaluate(given, call.rule, gradient=wants_gradient, scale=share)
    return torch.scalar_tensor(made.total * share, dtype=given.logits.dtype), made.gradient


class _ElementLoss(torch.autograd.Function):
    """The gradient of a reduced loss comes with it, in the same pass.

    Not by element, where it waits for the upstream, nor in 16 bits, which would round it before
    the upstream, a scale of 2^16 as it may be, could lift it to where they are accurate.
    """

    @staticmethod
    def forward(
        ctx: Any,
        logits: Tensor,
        target: Tensor,
        weight: Tensor | None,
        pos_weight: Tensor | None,
        options: tuple[float, float | None, int],
        call: Call,
    ) -> Tensor:
        ctx.save_for_backward(logits, target, weight, pos_weight)
        ctx.options, ctx.call = options, call
        given = Elements(logits, target, weight, pos_weight, *options)
        at_once = logits.dtype.itemsize >= 4
        value, ctx.gradient = _evaluated(given, call, wants_gradient=at_once)
        return value

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        ready = _fused.taken_gradient(ctx)
        given = Elements(*ctx.saved_tensors, *ctx.options)
        return pull_back(given, ctx.call, upstream, ready), *(None,) * 5


def pull_back(given: Elements, call: Call, upstream: Tensor, ready: Tensor | None = None) -> Tensor:
    """The gradient in the logits, from the gradient of the loss where it is there."""
    if torch.is_grad_enabled():
        return _composite.gradient_of(
            lambda z: composite(given._replace(logits=z), call), given.logits, upstream
        )
    if not _composite.has_memory(upstream):  # one of many at once
        return (_gradient(given, call, 1.0) if ready is None else ready) * upstream
    if ready is not None:
        return ready if upstream.item() == 1 else ready.mul_(upstream)
    return _pulled_back(given, call, upstream)


def _pulled_back(given: Elements, call: Call, upstream: Tensor) -> Tensor:
    """The gradient times the upstream, in one pass."""
    if _is_uniform(upstream):
        return _gradient(given, call, upstream.flatten()[0].item())
    weight = upstream.to(weight_dtype(upstream.dtype))
    if given.weight is not None:
        weight = weight * given.weight
    return _gradient(given._replace(weight=weight), call, 1.0)


def _is_uniform(tensor: Tensor) -> bool:
    """Whether it is one number, expanded: as the upstream of a sum is."""
    return tensor.numel() > 0 and not any(tensor.stride())


def _gradient(given: Elements, call: Call, factor: float) -> Tensor:
    scale = factor * call.share(given)
    gradient = elements.evaluate(given, call.rule, gradient=True, scale=scale).gradient
    assert gradient is not None
    result: Tensor = gradient
    return result
