"""The routes from a loss's value to its gradient, and the choice between them.

- eager: an old-style `Function` around the row passes, the cheapest that autograd has;
- compiled: opaque operators, between which the compiler fuses the scalar rule;
- under function transforms and forward mode, for second derivatives and for subclasses of
  Tensor: plain torch operations, which all of them follow.

Each alone fails something: an operator with registered autograd gives silently wrong
forward-mode tangents, and a Function with a custom jvp is refused by the compiler.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

from crossentropy import rows
from crossentropy.rows import RowStatistics, _reference

from . import _operators
from ._problem import Problem

_PLAIN = (Tensor, torch.nn.Parameter)


def loss(logits: Tensor, target: Tensor, problem: Problem) -> Tensor:
    """The reduced loss of (N, C) logits, by the route that fits the moment."""
    if _transformed() or type(logits) not in _PLAIN:
        return _composite(logits, target, problem)
    if torch.compiler.is_compiling():
        return _operators.loss(logits, target, problem)
    result: Tensor = _RowLoss.apply(logits, target, problem)  # type: ignore[no-untyped-call] # torch's
    return result


def _transformed() -> bool:
    return torch._C._are_functorch_transforms_active() or forward_ad._current_level >= 0


def _composite(logits: Tensor, target: Tensor, problem: Problem) -> Tensor:
    return problem.evaluate(logits, target, _reference.statistics).loss


class _RowLoss(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, target: Tensor, problem: Problem) -> Tensor:
        evaluation = problem.evaluate(logits, target, threads=torch.get_num_threads())
        ctx.save_for_backward(logits, target, evaluation.statistics.table)
        ctx.problem, ctx.slopes = problem, evaluation.slopes
        return evaluation.loss

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, None, None]:
        if not ctx.needs_input_grad[0]:
            return None, None, None
        logits, target, table = ctx.saved_tensors
        if torch.is_grad_enabled():
            return _differentiable_gradient(logits, target, ctx.problem, upstream), None, None
        slopes = ctx.slopes.scaled(upstream.to(table.dtype))
        run = rows.gradient if _has_memory(upstream) else _reference.gradient
        problem = ctx.problem.rows(logits, target, torch.get_num_threads())
        return run(problem, RowStatistics(problem, table), slopes), None, None


def _differentiable_gradient(
    logits: Tensor, target: Tensor, problem: Problem, upstream: Tensor
) -> Tensor:
    """The gradient as a function that autograd can differentiate again."""
    if not logits.requires_grad:
        logits = logits.detach().requires_grad_()
    value = _composite(logits, target, problem)
    return torch.autograd.grad(value, logits, upstream, create_graph=True)[0]


def _has_memory(tensor: Tensor) -> bool:
    """Whether a tensor's numbers lie somewhere: not batched over, not lazily zero."""
    functorch = torch._C._functorch
    batched = functorch.is_batchedtensor(tensor) or functorch.is_legacy_batchedtensor(tensor)
    return not batched and not tensor._is_zerotensor()
