"""A reduced loss of plain tensors: the native pass with little Python around it.

At a few thousand logits the pass takes microseconds, and calls of torch are what a user waits for.
The numbers are those of the other routes.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor

from crossentropy import rows
from crossentropy.elements import Elements
from crossentropy.elements._native import laid_out
from crossentropy.elements._reference import check_targets
from crossentropy.losses import BinaryLoss
from crossentropy.rows import _memory

from . import _composite, _fused, _numpy
from ._binary_routes import Call, pull_back
from ._check_binary import broadcasts


class Plain(NamedTuple):
    """A reduced loss with torch's own options."""

    rule: BinaryLoss
    weight: Tensor | None
    pos_weight: Tensor | None
    reduction: str
    label_smoothing: float

    def takes(self, input: Tensor, target: Tensor) -> bool:
        """Whether all is plain and right; what is not, the other routes check and explain."""
        return (
            input.dtype in _numpy.TYPES
            and target.dtype is input.dtype
            and target.shape == input.shape
            and _numpy.is_plain(input)
            and _numpy.is_plain(target)
            and not target.requires_grad
            and (self.weight is None or _is_constant(self.weight, input))
            and (self.pos_weight is None or _is_constant(self.pos_weight, input))
            and self.rule.curve is not None
            and self.reduction in ("mean", "sum")
            and 0 <= self.label_smoothing <= 1
            and rows.path() != "reference"
            and not _composite.transformed()
        )

    def loss(self, input: Tensor, target: Tensor) -> Tensor:
        """The loss of what it takes."""
        if not (input.requires_grad and torch.is_grad_enabled()):
            return self.evaluate(input, target, False)[0]
        result: Tensor = _PlainLoss.apply(input, target, self)  # type: ignore[no-untyped-call] # torch's
        return result

    def evaluate(
        self, logits: Tensor, target: Tensor, wants_gradient: bool
    ) -> tuple[Tensor, Tensor | None]:
        """Loss and gradient: `elements._native.evaluate`, without what delays a small batch."""
        curve = self.rule.curve
        assert curve is not None
        gradient, fresh = None, False
        if wants_gradient:
            gradient, fresh = _memory.torch_memory().output(logits)
        weight, pos_weight, chunk = laid_out(logits.shape, self.weight, self.pos_weight)
        count = logits.numel()
        share = 1.0 if self.reduction == "sum" else 1 / count if count else math.inf
        total, suspect = _memory.kernels.elements(
            _memory.torch_memory().codes[logits.dtype],
            logits.data_ptr(),
            target.data_ptr(),
            0 if weight.array is None else weight.array.data_ptr(),
            weight.full,
            0 if pos_weight.array is None else pos_weight.array.data_ptr(),
            pos_weight.full,
            count,
            chunk,
            self.label_smoothing,
            math.nan,
            *curve,
            share,
            0,
            0 if gradient is None else gradient.data_ptr(),
            fresh,
            torch.get_num_threads(),
        )
        if suspect:
            check_targets(Elements(logits, target))
        return torch.scalar_tensor(total * share, dtype=logits.dtype), gradient

    def general(
        self, logits: Tensor, target: Tensor, weight: Tensor | None, pos_weight: Tensor | None
    ) -> tuple[Elements, Call]:
        """The same call for the other route."""
        given = Elements(logits, target, weight, pos_weight, self.label_smoothing)
        return given, Call(self.rule, self.reduction, None)


def _is_constant(weight: Tensor, input: Tensor) -> bool:
    fits = weight.dtype is input.dtype and broadcasts(weight, input)
    return fits and not weight.requires_grad and _numpy.is_plain(weight)


class _PlainLoss(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, target: Tensor, plain: Plain) -> Tensor:
        ctx.save_for_backward(logits, target, plain.weight, plain.pos_weight)
        ctx.plain = plain
        value, ctx.gradient = plain.evaluate(logits, target, True)
        return value

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, None, None]:
        gradient = _fused.taken_gradient(ctx)
        if gradient is None or torch.is_grad_enabled() or not _composite.has_memory(upstream):
            given, call = ctx.plain.general(*ctx.saved_tensors)
            return pull_back(given, call, upstream), None, None
        return gradient if upstream.item() == 1 else gradient.mul_(upstream), None, None
