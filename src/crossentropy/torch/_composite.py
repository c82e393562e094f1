"""The loss in plain torch operations, which autograd, transforms and compilers follow.

What the faster routes fall back on: for derivatives of the gradient, under function
transforms and forward mode, for subclasses of Tensor, where there are no kernels and for losses
that read the logits themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.autograd import forward_ad

from crossentropy.rows import RowStatistics, _pure

from ._problem import Problem


def loss(
    logits: Tensor, target: Tensor, problem: Problem, argmax: bool = False
) -> tuple[Tensor, RowStatistics]:
    """The reduced loss, and the statistics it is made of."""
    row = _pure.statistics(
        problem.rows(logits, target), weighted=problem.objective.needs_weighted, argmax=argmax
    )
    return problem.value(row), row


def gradient(logits: Tensor, target: Tensor, problem: Problem, upstream: Tensor) -> Tensor:
    """The gradient in the logits, as a function that autograd can differentiate again."""
    return gradient_of(lambda z: loss(z, target, problem)[0], logits, upstream)


def gradient_of(value: Callable[[Tensor], Tensor], logits: Tensor, upstream: Tensor) -> Tensor:
    """The gradient of a function of the logits, likewise."""
    return gradients_of(value, (logits,), upstream)[0]


def gradients_of(
    value: Callable[..., Tensor], given: Sequence[Tensor], upstream: Tensor
) -> tuple[Tensor, ...]:
    """The gradients of a function of some tensors, likewise."""
    with torch.enable_grad():  # which is off where upstreams come in batches
        moving = [x if x.requires_grad else x.detach().requires_grad_() for x in given]
        return torch.autograd.grad(value(*moving), moving, upstream, create_graph=True)


def transformed() -> bool:
    """Whether function transforms or forward mode are at work, which follow nothing else."""
    return torch._C._are_functorch_transforms_active() or forward_ad._current_level >= 0


def has_memory(tensor: Tensor) -> bool:
    """Whether a tensor's numbers lie somewhere: not batched over, not lazily zero."""
    functorch = torch._C._functorch
    batched = functorch.is_batchedtensor(tensor) or functorch.is_legacy_batchedtensor(tensor)
    return not batched and not tensor._is_zerotensor()


def number(tensor: Tensor) -> float | None:
    """A scalar's number, or None where it stands for many at once."""
    try:
        return tensor.item()
    except RuntimeError:
        return None
