"""The row passes as opaque operators of torch, for compiled graphs.

The two passes and one link between a value and its gradient; what lies between, the
scalar rule, is plain torch code that the compiler sees and fuses, so every loss works
here, a user's own too.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from crossentropy import rows
from crossentropy.rows import Rows, RowStatistics, Slopes

from ._problem import Problem


def loss(
    logits: Tensor, target: Tensor, problem: Problem, argmax: bool
) -> tuple[Tensor, RowStatistics]:
    """The reduced loss, as a compiler may trace it, and the statistics it is made of."""
    read = problem.weight, problem.bias, problem.temperature, problem.softcap, problem.ignore_index
    weighted = problem.objective.needs_weighted
    table, best = row_statistics(logits.detach(), target, *read, weighted, argmax)
    row = RowStatistics(problem.rows(logits, target), table, best if argmax else None)
    value, slopes = problem.evaluate(row)
    zero = torch.zeros_like(table[0].sum() if value.ndim == 0 else table[0])
    a, b, c = (None if slope is None else zero + slope for slope in slopes)
    return attach(logits, target, table, value, a, b, c, *read), row


def _rows(
    logits: Tensor,
    target: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    temperature: float,
    softcap: float | None,
    ignore_index: int,
) -> Rows:
    return Rows(
        logits.contiguous(),
        target.contiguous(),
        weight,
        temperature,
        bias,
        softcap,
        ignore_index,
        torch.get_num_threads(),
    )


@torch.library.custom_op("crossentropy::row_statistics", mutates_args=())
def row_statistics(
    logits: Tensor,
    target: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    temperature: float,
    softcap: float | None,
    ignore_index: int,
    weighted: bool,
    argmax: bool,
) -> tuple[Tensor, Tensor]:
    """`rows.statistics`: its table, (4, N) or (5, N), and its argmax, empty if not wanted."""
    problem = _rows(logits, target, weight, bias, temperature, softcap, ignore_index)
    row = rows.statistics(problem, weighted=weighted, argmax=argmax)
    return row.table, target.new_empty(0) if row.argmax is None else row.argmax


@row_statistics.register_fake
def _(logits: Tensor, target: Tensor, *rest: Any) -> tuple[Tensor, Tensor]:
    *_, weighted, argmax = rest
    count = target.shape[0]
    table = logits.new_empty((5 if weighted else 4, count), dtype=torch.float64)
    return table, target.new_empty(count if argmax else 0)


@torch.library.custom_op("crossentropy::row_gradient", mutates_args=())
def row_gradient(
    logits: Tensor,
    target: Tensor,
    table: Tensor,
    a: Tensor,
    b: Tensor,
    c: Tensor | None,
    weight: Tensor | None,
    bias: Tensor | None,
    temperature: float,
    softcap: float | None,
    ignore_index: int,
) -> Tensor:
    """`rows.gradient`."""
    problem = _rows(logits, target, weight, bias, temperature, softcap, ignore_index)
    row = RowStatistics(problem, table.contiguous())
    gradient: Tensor = rows.gradient(problem, row, Slopes(a, b, c))
    return gradient


@row_gradient.register_fake
def _(logits: Tensor, *rest: Any) -> Tensor:
    return torch.empty_like(logits, memory_format=torch.contiguous_format)


@torch.library.custom_op("crossentropy::attach", mutates_args=())
def attach(
    logits: Tensor,
    target: Tensor,
    table: Tensor,
    value: Tensor,
    a: Tensor,
    b: Tensor,
    c: Tensor | None,
    weight: Tensor | None,
    bias: Tensor | None,
    temperature: float,
    softcap: float | None,
    ignore_index: int,
) -> Tensor:
    """The value itself, with its gradient in the logits given by the slopes."""
    return value.clone()


@attach.register_fake
def _(logits: Tensor, target: Tensor, table: Tensor, value: Tensor, *rest: Any) -> Tensor:
    return torch.empty_like(value)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    logits, target, table, _, a, b, c, weight, bias, *options = inputs
    ctx.save_for_backward(logits, target, table, a, b, c, weight, bias)
    ctx.options = options


def _pull_back(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
    logits, target, table, a, b, c, weight, bias = ctx.saved_tensors
    slopes = Slopes(a, b, c).scaled(upstream.to(table.dtype))
    gradient = row_gradient(logits, target, table, *slopes, weight, bias, *ctx.options)
    return gradient, *(None,) * 11


attach.register_autograd(_pull_back, setup_context=_keep)
