"""The fused layer with losses that want each row of logits whole, in memory, one after the other.

Targets that are distributions, and losses that read all logits. Blocks hold all classes of some
samples; so operands of 16 bits have a float32 copy of W, and sum of dW, beside them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from crossentropy.rows._linear_blocks import Blocks

from ._linear_eager import Outcome
from ._linear_layer import Gradients, Layer, Sums, Wants, Workshop
from ._linear_plain import Operands


class RowsCall(Protocol):
    """A loss of some rows."""

    @property
    def by_row(self) -> bool:
        """Whether there is a loss for each row."""
        ...

    def unrounded(
        self,
        logits: Tensor,
        target: Tensor,
        *,
        wants_gradient: bool,
        upstream: float | Tensor,
        out: Tensor | None,
    ) -> tuple[Tensor, Tensor | None]:
        """The loss in float64, and its gradient times `upstream`."""
        ...


class Differentiated(NamedTuple):
    """A loss of some rows in plain torch operations, whose gradient is autograd's."""

    value: Callable[[Tensor, Tensor], Tensor]
    by_row: bool

    def unrounded(
        self,
        logits: Tensor,
        target: Tensor,
        *,
        wants_gradient: bool,
        upstream: float | Tensor,
        out: Tensor | None,
    ) -> tuple[Tensor, Tensor | None]:
        """The loss in float64, and its gradient times `upstream`."""
        with torch.set_grad_enabled(wants_gradient):
            z = logits.detach().requires_grad_(wants_gradient)
            value = self.value(z, target)
        if not wants_gradient:
            return value.double(), None
        factor = torch.ones_like(value) * upstream
        (gradient,) = torch.autograd.grad(value, z, factor)
        return value.detach().double(), gradient


class WholeRows(NamedTuple):
    """An engine for such a loss; its rows are in the order of targets, (N·P,).

    Attributes
    ----------
    call
        The loss.
    target
        (N·P,) or (N·P, C).
    plain
        The same in plain torch operations.
    dtype
        Of the loss.
    """

    call: RowsCall
    target: Tensor
    plain: Callable[[Operands], Tensor]
    dtype: torch.dtype

    @property
    def by_row(self) -> bool:
        """Whether there is a loss for each row."""
        return self.call.by_row

    def evaluate(self, layer: Layer, wants: Wants) -> Outcome:
        """The loss, and perhaps its gradients."""
        early = any(wants) and not (self.by_row or layer.is_short)
        values, gradients = self._evaluate(layer, wants, 1.0, early)
        value = torch.cat(values) if self.by_row else torch.stack(values).sum()
        return Outcome(value.to(self.dtype), (self.target,), gradients if early else None)

    def gradients(
        self, layer: Layer, saved: tuple[Tensor, ...], upstream: Tensor | float, wants: Wants
    ) -> Gradients:
        """The gradients times `upstream`."""
        if isinstance(upstream, Tensor) and not self.by_row:
            upstream = upstream.item()
        return self._evaluate(layer, wants, upstream, True)[1]

    def differentiable(self, operands: Operands) -> Tensor:
        """The loss in plain torch operations."""
        return self.plain(operands)

    def _evaluate(
        self, layer: Layer, wants: Wants, upstream: Tensor | float, wants_gradient: bool
    ) -> tuple[list[Tensor], Gradients]:
        blocks, positions = _blocks(layer), layer.shape.positions
        workshop = Workshop(layer, blocks)
        sums = Sums(layer, wants if wants_gradient else Wants(False, False, False))
        values = []
        for samples in blocks.over_samples():
            part = slice(samples.start * positions, samples.stop * positions)
            z = workshop.rows(samples)
            target: Tensor = self.target[part]
            value, gradient = self.call.unrounded(
                z,
                target.to(z.dtype) if target.is_floating_point() else target,
                wants_gradient=wants_gradient,
                upstream=upstream[part] if isinstance(upstream, Tensor) else upstream,
                out=z,
            )
            values.append(value)
            if gradient is not None:
                sums.add(workshop, _by_class(gradient, layer), samples, slice(0, blocks.classes))
        return values, sums.result()


def _blocks(layer: Layer) -> Blocks:
    """Whole rows of as many samples as fit."""
    shape = layer.shape
    fit = layer.options.max_bytes // (shape.classes * shape.positions * layer.dtype.itemsize)
    return Blocks(shape, max(1, min(fit, shape.samples)), shape.classes)


def _by_class(gradient: Tensor, layer: Layer) -> Tensor:
    """(n·P, C) as (C·P, n)."""
    positions, classes = layer.shape.positions, layer.shape.classes
    if positions == 1:
        return gradient.t()
    by_class = gradient.view(-1, positions, classes).permute(2, 1, 0)
    return by_class.reshape(classes * positions, -1)
