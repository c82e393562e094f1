"""The fused layer for eager tensors: an old-style `Function` around the passes by blocks.

Where blocks hold whole rows and the loss is one number, its gradients come with it, for an upstream
of 1; another one multiplies them, in 32 bits and more. Else they wait for the backward pass, which
computes the blocks again, with the upstream in the slopes: so that gradients of 16 bits are rounded
once, and keep what loss scaling is to save. A second backward pass computes them again too.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from crossentropy import rows
from crossentropy.rows import RowStatistics, Slopes

from . import _composite, _numpy
from ._autograd import scaled
from ._layout import without_autocast
from ._linear_layer import Gradients, Layer, Wants
from ._linear_options import LinearOptions
from ._linear_passes import Passes, Rule
from ._linear_plain import Operands, by_position, by_sample, logits_of
from ._problem import Evaluation, Problem


class Outcome(NamedTuple):
    """A loss, and what its backward pass may use.

    Attributes
    ----------
    loss
        The loss, of its final type.
    saved
        What to save for the backward pass; a change of it in place is an error there.
    gradients
        Those of an upstream of 1, if they came with the loss.
    row
        The statistics of the rows, if they were asked for.
    """

    loss: Tensor
    saved: tuple[Tensor, ...]
    gradients: Gradients | None = None
    row: RowStatistics | None = None


class Engine(Protocol):
    """What evaluates a loss of the layer and its gradients."""

    @property
    def by_row(self) -> bool:
        """Whether there is a loss for each row."""
        ...

    def evaluate(self, layer: Layer, wants: Wants) -> Outcome:
        """The loss, and perhaps its gradients."""
        ...

    def gradients(
        self, layer: Layer, saved: tuple[Tensor, ...], upstream: Tensor | float, wants: Wants
    ) -> Gradients:
        """The gradients times `upstream`."""
        ...

    def differentiable(self, operands: Operands) -> Tensor:
        """The loss in operations that autograd can differentiate again."""
        ...


def loss(operands: Operands, engine: Engine, options: LinearOptions) -> Outcome:
    """The loss, with its gradients in the operands."""
    layer = layer_of(operands, options)
    follows = torch.is_grad_enabled()
    wants = Wants(*(follows and x is not None and x.requires_grad for x in operands))
    with torch.no_grad(), without_autocast(layer.input):
        outcome = engine.evaluate(layer, wants)
    if not any(wants):
        return outcome
    value: Tensor = _LinearLoss.apply(*operands, outcome, engine, options)  # type: ignore[no-untyped-call] # torch's
    return outcome._replace(loss=value)


def layer_of(operands: Operands, options: LinearOptions) -> Layer:
    """The operands without history."""
    input, weight, bias = operands
    return Layer(input.detach(), weight.detach(), bias if bias is None else bias.detach(), options)


class _LinearLoss(torch.autograd.Function):
    """The link between a loss that is already there and its gradients."""

    @staticmethod
    def forward(
        ctx: Any,
        input: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        outcome: Outcome,
        engine: Engine,
        options: LinearOptions,
    ) -> Tensor:
        ctx.save_for_backward(input, weight, bias, *outcome.saved)
        ctx.gradients, ctx.engine, ctx.options = outcome.gradients, engine, options
        return outcome.loss

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        input, weight, bias, *saved = ctx.saved_tensors
        operands, engine = Operands(input, weight, bias), ctx.engine
        wants = Wants(*ctx.needs_input_grad[:3])
        has_memory = _composite.has_memory(upstream)
        if torch.is_grad_enabled() or (engine.by_row and not has_memory):
            return *_differentiable(engine, operands, upstream, wants), None, None, None
        gradients = _taken(ctx, wants)
        if gradients is not None:
            return *_times(gradients, upstream), None, None, None
        layer = layer_of(operands, ctx.options)
        factor = upstream if has_memory else 1.0
        with without_autocast(upstream):
            gradients = engine.gradients(layer, tuple(saved), factor, wants)
        if not has_memory:
            gradients = _times(gradients, upstream)
        return *gradients, None, None, None


def _taken(ctx: Any, wants: Wants) -> Gradients | None:
    """The gradients that came with the loss, or None where they did not or were taken before.

    Once, since the caller may write to them; at once, since threads may share the graph.
    """
    gradients: Gradients | None = vars(ctx).pop("gradients", None)
    if gradients is None:
        return None
    return Gradients(*(x if want else None for x, want in zip(gradients, wants, strict=True)))


def _times(gradients: Gradients, upstream: Tensor) -> Gradients:
    """Times an upstream, in place where it is one number at hand."""
    if not _composite.has_memory(upstream):
        return Gradients(*(x if x is None else x * upstream for x in gradients))
    if upstream.is_cpu and upstream.item() == 1:
        return gradients
    return Gradients(*(x if x is None else x.mul_(upstream) for x in gradients))


def _differentiable(
    engine: Engine, operands: Operands, upstream: Tensor, wants: Wants
) -> Gradients:
    given = _composite.gradients_of(
        lambda *given: engine.differentiable(Operands(*given, *(None,) * (3 - len(given)))),
        operands.given,
        upstream,
    )
    everything = *given, *(None,) * (3 - len(given))
    return Gradients(*(x if want else None for x, want in zip(everything, wants, strict=True)))


# ---- class indices -----------------------------------------------------------------------------


class RowLoss(NamedTuple):
    """A loss that is a function of the rows' statistics.

    Attributes
    ----------
    problem
        The loss.
    target
        (P·N,): the order of rows in blocks. Elsewhere rows are in the order of targets, (N·P,).
    dtype
        Of the loss.
    argmax
        Whether the statistics are asked for.
    """

    problem: Problem
    target: Tensor
    dtype: torch.dtype
    argmax: bool

    @property
    def by_row(self) -> bool:
        """Whether there is a loss for each row."""
        return self.problem.reduction == "none"

    def evaluate(self, layer: Layer, wants: Wants) -> Outcome:
        """The loss, and perhaps its gradients."""
        passes, gradients = self.passes(layer), None
        early = layer.blocks().has_whole_rows and not (self.by_row or layer.is_short)
        if any(wants) and early:
            row, gradients = passes.both(self._rule(passes, 1.0), wants)
        else:
            row = passes.statistics()
        value = _evaluated(self.problem, row).loss.to(self.dtype)
        value, asked = self.by_sample(value, row, layer.shape.samples, layer.shape.positions)
        return Outcome(value, (row.table, self.target), gradients, asked)

    def gradients(
        self, layer: Layer, saved: tuple[Tensor, ...], upstream: Tensor | float, wants: Wants
    ) -> Gradients:
        """The gradients times `upstream`."""
        passes, (table, _) = self.passes(layer), saved
        if isinstance(upstream, Tensor) and upstream.ndim:
            upstream = by_position(upstream, layer.shape.samples, layer.shape.positions)
        return passes.gradients(table, self._rule(passes, upstream), wants)

    def differentiable(self, operands: Operands) -> Tensor:
        """The loss in plain torch operations."""
        return self.plain(operands)[0]

    def plain(self, operands: Operands) -> tuple[Tensor, RowStatistics | None]:
        """Likewise, and the statistics if they were asked for."""
        with without_autocast(operands.input):
            z = logits_of(operands)
            z = z.to(torch.promote_types(z.dtype, self.dtype))
            value, row = _composite.loss(z, self.target, self.problem, self.argmax)
        samples, _, positions = operands.shape
        return self.by_sample(value.to(self.dtype), row, samples, positions)

    def by_sample(
        self, value: Tensor, row: RowStatistics, samples: int, positions: int
    ) -> tuple[Tensor, RowStatistics | None]:
        """Loss, and statistics if asked for, in the order of targets."""
        if self.by_row:
            value = by_sample(value, samples, positions)
        return value, _by_sample(row, samples, positions) if self.argmax else None

    def statistics(self, layer: Layer) -> RowStatistics:
        """Of the rows, in the order of targets."""
        with torch.no_grad(), without_autocast(layer.input):
            row = self.passes(layer).statistics()
        return _by_sample(row, layer.shape.samples, layer.shape.positions)

    def passes(self, layer: Layer) -> Passes:
        """The passes over the layer's logits."""
        stand_in, threads = layer.stand_in(layer.shape.samples), torch.get_num_threads()
        read = self.problem.rows(stand_in, self.target, threads)
        return Passes(layer, read, self.problem.objective.needs_weighted, self.argmax)

    def _rule(self, passes: Passes, upstream: Tensor | float) -> Rule:
        """The slopes of the loss times `upstream`, by samples."""
        problem = with_normalizer(self.problem, passes.read)

        def rule(samples: slice, row: RowStatistics) -> Slopes:
            slopes = _evaluated(problem, row).slopes
            if not isinstance(upstream, Tensor):
                return slopes
            factor = upstream.to(row.table.dtype)
            return scaled(slopes, passes.part(factor, samples) if factor.ndim else factor)

        return rule


def _by_sample(row: RowStatistics, samples: int, positions: int) -> RowStatistics:
    best = None if row.argmax is None else by_sample(row.argmax, samples, positions)
    return RowStatistics(row.rows, by_sample(row.table, samples, positions), best)


def with_normalizer(problem: Problem, read: rows.Rows) -> Problem:
    """The problem with what a mean over all rows divides by, for blocks of them."""
    if problem.reduction != "mean" or problem.normalizer is not None:
        return problem
    nothing = read.target.new_empty((4, 0), dtype=torch.float64)
    divisor = problem.objective.normalizer(RowStatistics(read, nothing), problem.sample_weight)
    return problem._replace(normalizer=divisor.to(torch.float64))


def _evaluated(problem: Problem, row: RowStatistics) -> Evaluation:
    """Rule and reduction, in float64."""
    by_numpy = _numpy.takes(problem, row.rows.logits)
    return _numpy.unrounded(problem, row) if by_numpy else problem.unrounded(row)
