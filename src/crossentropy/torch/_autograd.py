"""The routes from a loss's value to its gradient, and the choice between them.

- eager: an old-style `Function`, the cheapest that autograd has, around one native call where
  the kernels know the loss's rule, and around the row passes where they do not;
- compiled, where there are native kernels: opaque operators, between which the compiler
  fuses the scalar rule;
- plain torch operations, which everything follows: under function transforms and forward
  mode, for second derivatives and subclasses of Tensor, compiled for other devices, and for
  losses that read the logits themselves.

Each alone fails something: an operator with registered autograd gives silently wrong
forward-mode tangents, and a Function with a custom jvp is refused by the compiler.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from crossentropy import rows
from crossentropy.rows import RowStatistics, Slopes, _pure

from . import _composite, _fused, _numpy, _operators
from ._problem import Evaluation, Problem

_PLAIN = (Tensor, torch.nn.Parameter)


def loss(
    logits: Tensor, target: Tensor, problem: Problem, *, argmax: bool, inplace: bool
) -> tuple[Tensor, RowStatistics | None]:
    """The reduced loss, by the route that fits the moment, and the statistics it is made of.

    The statistics may be left out where `argmax` does not ask for them.
    """
    if _composite.transformed() or type(logits) not in _PLAIN:
        return _composite.loss(logits, target, problem, argmax)
    if torch.compiler.is_compiling():
        native = logits.is_cpu and rows.path() != "reference"
        by_kernel = native and not problem.objective.loss.needs_logits
        route = _operators.loss if by_kernel else _composite.loss
        return route(logits, target, problem, argmax)
    if problem.objective.loss.needs_logits:
        rows.check_targets(problem.rows(logits, target))
        return _composite.loss(logits, target, problem, argmax)
    by_numpy = _numpy.takes(problem, logits)
    fused = by_numpy and _fused.is_worth_it(logits) and not (argmax or inplace)
    call = _fused.call_of(problem, logits) if fused else None
    if call is not None:
        return _fused.loss(logits, target, call), None
    weighted, threads = problem.objective.needs_weighted, torch.get_num_threads()
    row = rows.statistics(problem.rows(logits, target, threads), weighted=weighted, argmax=argmax)
    evaluation = _numpy.evaluate(problem, row) if by_numpy else problem.evaluate(row)
    if not (logits.requires_grad and torch.is_grad_enabled()):
        return evaluation.loss, row
    arguments = logits, target, row.table, evaluation, problem, inplace and not _saved_by_hooks()
    return _RowLoss.apply(*arguments), row  # type: ignore[no-untyped-call] # torch's


def _saved_by_hooks() -> bool:
    """Whether what is saved for backward may be elsewhere, where no version counter guards it."""
    return torch._C._autograd._top_saved_tensors_default_hooks(False) is not None


class _RowLoss(torch.autograd.Function):
    """The link between a loss that is already there and its gradient."""

    @staticmethod
    def forward(
        ctx: Any,
        logits: Tensor,
        target: Tensor,
        table: Tensor,
        evaluation: Evaluation,
        problem: Problem,
        inplace: bool,
    ) -> Tensor:
        ctx.save_for_backward(logits, target, table)
        ctx.problem, ctx.slopes, ctx.inplace = problem, evaluation.slopes, inplace
        loss: Tensor = evaluation.loss
        return loss

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        nothing = (None,) * 5
        if not ctx.needs_input_grad[0]:
            return None, *nothing
        logits, target, table = ctx.saved_tensors
        if torch.is_grad_enabled():
            return _composite.gradient(logits, target, ctx.problem, upstream), *nothing
        problem = ctx.problem.rows(logits, target, torch.get_num_threads())
        row = RowStatistics(problem, table)
        if not _composite.has_memory(upstream):
            slopes = _as_tensors(ctx.slopes).scaled(upstream.to(table.dtype))
            return _pure.gradient(problem, row, slopes), *nothing
        if logits.numel() > _fused.SMALL and (factor := _composite.number(upstream)) is not None:
            _fused.notice(logits, factor)
        slopes = scaled(ctx.slopes, upstream.to(table.dtype))
        if not ctx.inplace:
            return rows.gradient(problem, row, slopes), *nothing
        gradient = rows.gradient(problem, row, slopes, out=logits.detach())
        torch.autograd.graph.increment_version(gradient)  # for whoever else saved the logits
        return gradient, *nothing


def _as_tensors(slopes: Slopes) -> Slopes:
    return Slopes(*(None if s is None else torch.as_tensor(s) for s in slopes))


def scaled(slopes: Slopes, factor: Tensor) -> Slopes:
    """Times a factor, in the slopes' library."""
    if not any(isinstance(slope, np.ndarray | np.generic) for slope in slopes):
        return slopes.scaled(factor)
    with np.errstate(all="ignore"):  # inf · 0 is ordinary here
        return slopes.scaled(factor.numpy())
