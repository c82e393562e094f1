"""Targets that are distributions over the classes: mixup, label distributions, a teacher's softmax.

Two routes: one native call for the loss and its gradient, and plain torch operations for what no
kernel reads, for targets that ask for their own gradient, and for whatever follows operations.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from crossentropy import rows
from crossentropy.rows import Rows, SoftTarget, _memory, _native, _pure

from . import _composite, _fused
from ._layout import as_autocast


class SoftRows(NamedTuple):
    """Logits and targets by row, (N, C) each and of one type, and what belongs to a row."""

    logits: Tensor
    target: Tensor
    mask: Tensor | None  # (N,) bool
    sample_weight: Tensor | None  # (N,)


class SoftCall(NamedTuple):
    """A loss of soft targets, but for the logits and the targets.

    Attributes
    ----------
    soft
        How targets are read.
    template
        How logits are: `Rows` without logits.
    sample_weight
        (N,), or None for ones.
    share
        What multiplies the rows' sum; None leaves a loss for each row.
    """

    soft: SoftTarget
    template: Rows
    sample_weight: Tensor | None
    share: Tensor | float | None

    @property
    def by_row(self) -> bool:
        """Whether there is a loss for each row."""
        return self.share is None

    def evaluate(
        self,
        logits: Tensor,
        target: Tensor,
        *,
        wants_gradient: bool = True,
        upstream: float | Tensor = 1.0,
        out: Tensor | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """The loss, and its gradient times `upstream`, by the kernels."""
        value, gradient = self.unrounded(
            logits, target, wants_gradient=wants_gradient, upstream=upstream, out=out
        )
        return value.to(logits.dtype), gradient

    def unrounded(
        self,
        logits: Tensor,
        target: Tensor,
        *,
        wants_gradient: bool,
        upstream: float | Tensor,
        out: Tensor | None,
    ) -> tuple[Tensor, Tensor | None]:
        """Likewise, with a loss in float64."""
        own = None if self.sample_weight is None else self.sample_weight.double()
        row_factor, factor = own, 1.0 if self.share is None else float(self.share)
        if isinstance(upstream, Tensor):
            row_factor = upstream.double() if own is None else upstream.double() * own
        else:
            factor *= upstream
        values, gradient = _native.soft(
            self._rows(logits, torch.get_num_threads()),
            target,
            self.soft,
            _memory.torch_memory(),
            wants_gradient=wants_gradient,
            factor=factor,
            row_factor=None if row_factor is None else row_factor.contiguous(),
            out=out,
        )
        return self._reduced(values, _sum), gradient

    def differentiable(self, logits: Tensor, target: Tensor) -> Tensor:
        """The loss in torch operations, differentiable in logits and target."""
        dtype = torch.promote_types(logits.dtype, torch.float32)
        wide, target, mask = logits.to(dtype), target.to(dtype), self.soft.mask
        if mask is not None:  # not even NaN comes through
            wide, target = (torch.where(mask[:, None], x, 0.0) for x in (wide, target))
        values = _row_losses(self.soft, target, _logits_of(_pure.adjusted(self._rows(wide))))
        if mask is not None:
            values = torch.where(mask, values, 0.0)
        return self._reduced(values, torch.sum).to(logits.dtype)

    def gradient(self, logits: Tensor, target: Tensor, upstream: Tensor) -> Tensor:
        """The gradient, as a function that autograd can differentiate again."""
        return _composite.gradient_of(lambda z: self.differentiable(z, target), logits, upstream)

    def _rows(self, logits: Tensor, threads: int = 1) -> Rows:
        return self.template._replace(logits=logits, target=logits.new_empty(0), n_threads=threads)

    def _reduced(self, values: Tensor, total: Callable[[Tensor], Tensor]) -> Tensor:
        own = self.sample_weight
        if own is not None:  # a weight of 0 silences even an infinite loss
            values = torch.where(own == 0, 0.0, values) * own.to(values.dtype)
        return values if self.share is None else total(values) * self.share


def loss(given: SoftRows, call: SoftCall) -> Tensor:
    """The loss of soft targets, by the route that fits."""
    logits, target = given.logits, given.target
    if logits.numel() == 0 or not have_kernels(logits, target):
        return call.differentiable(logits, target)
    return _fused.loss(logits.contiguous(), target.contiguous(), call)


def rows_of(input: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Input and target (C,), (N, C) or (N, C, d1, …) as rows of their common type."""
    dtype = torch.promote_types(input.dtype, target.dtype)
    input, target = (as_autocast(tensor.to(dtype)) for tensor in (input, target))
    return _rows(input), _rows(target)


def by_row(values: Tensor | None) -> Tensor | None:
    """A number for each row, in the rows' order and one after the other."""
    return None if values is None else values.reshape(-1).contiguous()


def _rows(values: Tensor) -> Tensor:
    if values.ndim == 1:
        return values.unsqueeze(0)
    return values if values.ndim == 2 else values.movedim(1, -1).flatten(0, -2)


def have_kernels(logits: Tensor, target: Tensor) -> bool:
    """Whether kernels can do it; they have no derivative in the target."""
    return (
        not torch.compiler.is_compiling()
        and not _composite.transformed()
        and rows.path() != "reference"
        and not (target.requires_grad and torch.is_grad_enabled())
        and all(_memory.memory_of(tensor) is not None for tensor in (logits, target))
    )


def _sum(values: Tensor) -> Tensor:
    """The sum of float64 numbers at hand: NumPy's, the same whatever the number of threads."""
    return values.new_tensor(values.numpy().sum())


class _Logits(NamedTuple):
    """Logits by their distance below the greatest of the row, log p = below − excess.

    The excess is what the logsumexp has above the greatest: a tiny one keeps its digits.
    """

    below: Tensor  # (N, C)
    greatest: Tensor  # (N,)
    excess: Tensor  # (N,)


def _logits_of(z: Tensor) -> _Logits:
    if z.shape[1] == 0:
        nothing = z.sum(1)
        return _Logits(z, nothing, nothing)
    top = z.detach().argmax(1, keepdim=True)
    greatest = z.gather(1, top)
    below = (z - greatest).scatter(1, top, 0.0)  # a constant: its derivatives would cancel
    rest = below.exp().scatter(1, top, 0.0).sum(1)
    greatest = greatest.squeeze(1)
    # NaN where the greatest is infinite, in the derivative too
    return _Logits(below, greatest, torch.log1p(rest + (greatest - greatest)))


def _row_losses(soft: SoftTarget, target: Tensor, logits: _Logits) -> Tensor:
    """Σ_j w_j (−log p_j); what has no mass contributes nothing, even at a masked logit."""
    if soft.is_teacher:
        log_target = torch.log_softmax(target * soft.teacher_scale, 1)
        weights = log_target.exp()
        entropy = _dot(weights, log_target)
        return entropy - _dot(weights, logits.below) + logits.excess
    spread = soft.spread if soft.prior is None else soft.spread * soft.prior
    weights = _weighted(target * soft.keep + spread, soft.class_weight)
    values = weights.sum(1) * logits.excess - _dot(weights, logits.below)
    if not soft.z_loss:
        return values
    lse = logits.greatest + logits.excess
    return values + soft.z_loss * _weighted(target, soft.class_weight).sum(1) * lse.square()


def _dot(weights: Tensor, logs: Tensor) -> Tensor:
    """Σ_j w_j x_j without what is −inf and has no weight; all else keeps its derivative."""
    masked = (weights == 0) & (logs == -torch.inf)
    return (weights * torch.where(masked, 0.0, logs)).sum(1)


def _weighted(values: Tensor, class_weight: Tensor | None) -> Tensor:
    return values if class_weight is None else values * class_weight


# ---- what a mean divides by ---------------------------------------------------------------------


def share_of(divisor: Tensor | float, empty: str) -> Tensor | float:
    """What a mean multiplies the sum by."""
    if isinstance(divisor, Tensor):
        if empty == "nan":
            return 1 / divisor.double()
        nothing = divisor == 0  # whose derivative would be NaN
        return torch.where(nothing, 0.0, 1 / torch.where(nothing, 1.0, divisor.double()))
    if divisor == 0:
        return 0.0 if empty == "zero" else torch.inf  # of nothing it makes NaN
    return 1 / divisor


def count_of(given: SoftRows) -> Tensor | float:
    """The rows that count, times their own weights."""
    if given.sample_weight is None:
        return given.logits.shape[0] if given.mask is None else given.mask.sum()
    return _sum_over(given, torch.ones_like(given.sample_weight, dtype=torch.float64))


def mass_of(given: SoftRows, soft: SoftTarget) -> Tensor:
    """Σ_i Σ_c ω_c t_ic over the rows that count, times their own weights."""
    target, own = given.target, given.sample_weight
    if target.numel() and have_kernels(target, target):
        memory, threads = _memory.torch_memory(), torch.get_num_threads()
        masses = _native.soft_mass(target.contiguous(), soft, memory, threads)
        return _sum(masses if own is None else masses * own)
    return _sum_over(given, _weighted(target.double(), soft.class_weight).sum(1))


def _sum_over(given: SoftRows, values: Tensor) -> Tensor:
    if given.sample_weight is not None:
        values = values * given.sample_weight
    return (values if given.mask is None else torch.where(given.mask, values, 0.0)).sum()
