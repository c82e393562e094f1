"""The fused layer's passes as opaque operators of torch, for compiled graphs.

As `_operators`: the scalar rule between them is plain torch code, which the compiler sees.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from crossentropy import rows
from crossentropy.rows import Rows, RowStatistics, Slopes

from ._layout import without_autocast
from ._linear_eager import RowLoss, layer_of
from ._linear_layer import Layer, Wants
from ._linear_options import LinearOptions
from ._linear_passes import Passes
from ._linear_plain import Operands


def loss(
    operands: Operands, engine: RowLoss, options: LinearOptions
) -> tuple[Tensor, RowStatistics | None]:
    """The reduced loss, as a compiler may trace it, and its statistics if they were asked for."""
    problem, target = engine.problem, engine.target
    samples, _, positions = operands.shape
    work = options.max_bytes, options.gradient_filter
    read = problem.weight, problem.temperature, problem.softcap, problem.ignore_index
    still = layer_of(operands, options)[:3]
    weighted = problem.objective.needs_weighted
    table, best = linear_statistics(*still, target, *read, *work, weighted, engine.argmax)
    stand_in = table.new_empty(()).expand(1, operands.shape[1], samples * positions)
    row = RowStatistics(problem.rows(stand_in, target), table, best if engine.argmax else None)
    value, slopes = problem.unrounded(row)
    zero = torch.zeros_like(table[0].sum() if value.ndim == 0 else table[0])
    a, b, c = (None if slope is None else zero + slope for slope in slopes)
    value = linear_attach(*operands, target, table, value.to(engine.dtype), a, b, c, *read, *work)
    return engine.by_sample(value, row, samples, positions)


def _passes(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    target: Tensor,
    smoothing: Tensor | None,
    temperature: float,
    softcap: float | None,
    ignore_index: int,
    max_bytes: int,
    gradient_filter: float,
    *,
    weighted: bool,
    argmax: bool,
) -> Passes:
    layer = Layer(input, weight, bias, LinearOptions(max_bytes, gradient_filter))
    read = Rows(
        layer.stand_in(input.shape[0]),
        target,
        smoothing,
        temperature,
        None,
        softcap,
        ignore_index,
        torch.get_num_threads(),
    )
    return Passes(layer, read, weighted, argmax)


@torch.library.custom_op("crossentropy::linear_statistics", mutates_args=())
def linear_statistics(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    target: Tensor,
    smoothing: Tensor | None,
    temperature: float,
    softcap: float | None,
    ignore_index: int,
    max_bytes: int,
    gradient_filter: float,
    weighted: bool,
    argmax: bool,
) -> tuple[Tensor, Tensor]:
    """`Passes.statistics`: its table, and its argmax, empty if not wanted."""
    read = smoothing, temperature, softcap, ignore_index, max_bytes, gradient_filter
    passes = _passes(input, weight, bias, target, *read, weighted=weighted, argmax=argmax)
    rows.check_targets(passes.read)
    with without_autocast(input):
        row = passes.statistics()
    return row.table, target.new_empty(0) if row.argmax is None else row.argmax


@linear_statistics.register_fake
def _(input: Tensor, weight: Tensor, bias: Tensor | None, target: Tensor, *rest: Any) -> Any:
    *_, weighted, argmax = rest
    count = target.shape[0]
    table = input.new_empty((5 if weighted else 4, count), dtype=torch.float64)
    return table, target.new_empty(count if argmax else 0)


@torch.library.custom_op("crossentropy::linear_gradients", mutates_args=())
def linear_gradients(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    target: Tensor,
    table: Tensor,
    a: Tensor,
    b: Tensor,
    c: Tensor | None,
    smoothing: Tensor | None,
    temperature: float,
    softcap: float | None,
    ignore_index: int,
    max_bytes: int,
    gradient_filter: float,
    of_input: bool,
    of_weight: bool,
    of_bias: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """`Passes.gradients`; empty what is not wanted."""
    read = smoothing, temperature, softcap, ignore_index, max_bytes, gradient_filter
    passes = _passes(input, weight, bias, target, *read, weighted=False, argmax=False)
    slopes = Slopes(a, b, c)

    def rule(samples: slice, row: RowStatistics) -> Slopes:
        by_row = (
            passes.part(x, samples) if isinstance(x, Tensor) and x.ndim else x for x in slopes
        )
        return Slopes(*by_row)

    with without_autocast(input):
        given = passes.gradients(table, rule, Wants(of_input, of_weight, of_bias))
    dx, dw, db = (input.new_empty(0) if x is None else x for x in given)
    return dx, dw, db


@linear_gradients.register_fake
def _(input: Tensor, weight: Tensor, bias: Tensor | None, *rest: Any) -> Any:
    wants, operands = rest[-3:], (input, weight, bias)
    return tuple(
        torch.empty_like(x, memory_format=torch.contiguous_format)
        if want and x is not None
        else input.new_empty(0)
        for x, want in zip(operands, wants, strict=True)
    )


@torch.library.custom_op("crossentropy::linear_attach", mutates_args=())
def linear_attach(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    target: Tensor,
    table: Tensor,
    value: Tensor,
    a: Tensor,
    b: Tensor,
    c: Tensor | None,
    smoothing: Tensor | None,
    temperature: float,
    softcap: float | None,
    ignore_index: int,
    max_bytes: int,
    gradient_filter: float,
) -> Tensor:
    """The value itself, with its gradients in the operands given by the slopes."""
    return value.clone()


@linear_attach.register_fake
def _(input: Tensor, weight: Tensor, bias: Tensor | None, target: Tensor, *rest: Any) -> Tensor:
    return torch.empty_like(rest[1])


def _keep(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    *operands, target, table, _, a, b, c, smoothing = inputs[:10]
    ctx.save_for_backward(*operands, target, table, a, b, c, smoothing)
    ctx.options = inputs[10:]


def _pull_back(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
    *operands, target, table, a, b, c, smoothing = ctx.saved_tensors
    slopes = Slopes(a, b, c).scaled(upstream.to(table.dtype))
    wants = ctx.needs_input_grad[:3]
    given = linear_gradients(*operands, target, table, *slopes, smoothing, *ctx.options, *wants)
    dx, dw, db = (x if want else None for x, want in zip(given, wants, strict=True))
    return dx, dw, db, *(None,) * 12


linear_attach.register_autograd(_pull_back, setup_context=_keep)
