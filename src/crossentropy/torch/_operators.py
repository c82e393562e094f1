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


def loss(logits: Tensor, target: Tensor, problem: Problem) -> Tensor:
    """The reduced loss, as a compiler may trace it."""
    options = (problem.objective.class_weight, problem.bias, problem.temperature)
    ignore_index, weighted = problem.objective.ignore_index, problem.objective.needs_weighted
    table = row_statistics(logits.detach(), target, *options, ignore_index, weighted)
    statistics = RowStatistics(problem.rows(logits, target), table)
    value, _, slopes = problem.finish(statistics, logits.dtype)
    zero = torch.zeros_like(table[0, 0] if value.ndim == 0 else table[0])
    a, b, c = (None if s is None else zero + s for s in slopes)
    linked: Tensor = attach(logits, target, table, value, a, b, c, *options, ignore_index)
    return linked


def _rows(
    logits: Tensor,
    target: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    temperature: float,
    ignore_index: int,
) -> Rows:
    threads = torch.get_num_threads()
    logits, target = logits.contiguous(), target.contiguous()
    return Rows(logits, target, weight, temperature, bias, None, ignore_index, threads)


@torch.library.custom_op("crossentropy::row_statistics", mutates_args=())
def row_statistics(
    logits: Tensor,
    target: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    temperature: float,
    ignore_index: int,
    weighted: bool,
) -> Tensor:
    """`rows.statistics` as (4, N) or, if weighted, (5, N)."""
    problem = _rows(logits, target, weight, bias, temperature, ignore_index)
    table: Tensor = rows.statistics(problem, weighted=weighted).table
    return table


@row_statistics.register_fake
def _(logits: Tensor, *rest: Any) -> Tensor:
    *_, weighted = rest
    return logits.new_empty((5 if weighted else 4, logits.shape[0]), dtype=torch.float64)


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
    ignore_index: int,
) -> Tensor:
    """`rows.gradient`."""
    problem = _rows(logits, target, weight, bias, temperature, ignore_index)
    statistics = RowStatistics(problem, table.contiguous())
    gradient: Tensor = rows.gradient(problem, statistics, Slopes(a, b, c))
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
    ignore_index: int,
) -> Tensor:
    """The value itself, with its gradient in the logits given by the slopes."""
    return value.clone()


@attach.register_fake
def _(logits: Tensor, target: Tensor, table: Tensor, value: Tensor, *rest: Any) -> Tensor:
    return torch.empty_like(value)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    logits, target, table, _, a, b, c, weight, bias, temperature, ignore_index = inputs
    ctx.save_for_backward(logits, target, table, a, b, c, weight, bias)
    ctx.options = temperature, ignore_index


def _pull_back(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
    logits, target, table, a, b, c, weight, bias = ctx.saved_tensors
    g = upstream.to(table.dtype)
    slopes = Slopes(a, b, c).scaled(g)
    gradient = row_gradient(logits, target, table, *slopes, weight, bias, *ctx.options)
    return gradient, *(None,) * 10


attach.register_autograd(_pull_back, setup_context=_keep)
