"""The loss and its gradient in one native call: every chunk of logits is read once.

The gradient comes with the loss, for an upstream of 1, which is what ``loss.backward()`` brings.
Another one recomputes it, since scaling would round 16-bit gradients twice, or lose what loss
scaling is to save; and where upstreams are such, large gradients are left to the backward pass.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor

from crossentropy.losses._registry import is_portable
from crossentropy.rows import Training, _memory, _native
from crossentropy.rows._native import TrainOptions

from . import _composite, _numpy
from ._problem import Problem, per_class

_MEMORY = _memory.torch_memory()
_NO_ARRAY: Any = None  # of a template, whose logits and target are still to come

SMALL = 2**16  # logits: some 50 µs for one thread, and a gradient that nobody misses

_upstreams_are_one = True  # as far as the last large one tells


class Engine(Protocol):
    """What evaluates a loss and its gradient in one go."""

    @property
    def by_row(self) -> bool:
        """Whether there is a loss for each row, whose gradient waits for the upstreams."""
        ...

    def evaluate(
        self,
        logits: Tensor,
        target: Tensor,
        *,
        wants_gradient: bool = True,
        upstream: float | Tensor = 1.0,
        out: Tensor | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """The loss, and its gradient times `upstream`."""
        ...

    def gradient(self, logits: Tensor, target: Tensor, upstream: Tensor) -> Tensor:
        """The gradient, as a function that autograd can differentiate again."""
        ...


def loss(logits: Tensor, target: Tensor, engine: Engine) -> Tensor:
    """The loss, with its gradient in the logits."""
    if not (logits.requires_grad and torch.is_grad_enabled()):
        return engine.evaluate(logits, target, wants_gradient=False)[0]
    result: Tensor = _apply(logits, target, engine)  # type: ignore[no-untyped-call] # torch's
    return result


class _FusedLoss(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, target: Tensor, engine: Engine) -> Tensor:
        early = not engine.by_row and is_worth_it(logits)
        value, ctx.gradient = engine.evaluate(logits, target, wants_gradient=early)
        ctx.save_for_backward(logits, target)
        ctx.engine = engine
        return value

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, None, None]:
        logits, target = ctx.saved_tensors
        engine, has_memory = ctx.engine, _composite.has_memory(upstream)
        by_row = engine.by_row
        if torch.is_grad_enabled() or (by_row and not has_memory):
            return engine.gradient(logits, target, upstream), None, None
        gradient = taken_gradient(ctx)
        if by_row:
            return engine.evaluate(logits, target, upstream=upstream)[1], None, None
        if not has_memory:
            if gradient is None:
                gradient = engine.evaluate(logits, target)[1]
            return gradient * upstream, None, None
        notice(logits, upstream)
        factor = upstream.item()
        if gradient is None or factor != 1:
            gradient = engine.evaluate(logits, target, upstream=factor, out=gradient)[1]
        return gradient, None, None


# `_FusedLoss.apply` without its look for transforms, which other routes take: that look is a
# tenth of a small step
_apply = super(torch.autograd.Function, _FusedLoss).apply


def taken_gradient(ctx: Any) -> Tensor | None:
    """The gradient that came with the loss, or None where it was taken before.

    Once, since the caller may write to it; at once, since threads may share the graph.
    """
    gradient: Tensor | None = vars(ctx).pop("gradient", None)
    return gradient


def notice(logits: Tensor, upstream: Tensor) -> None:
    """Take a large loss's upstream for what the next will be, on whichever route it came."""
    global _upstreams_are_one
    if logits.numel() > SMALL and upstream.ndim == 0:
        _upstreams_are_one = upstream.item() == 1


def is_worth_it(logits: Tensor) -> bool:
    """Whether the gradient should come with the loss."""
    return _upstreams_are_one or logits.numel() <= SMALL


# ---- class indices -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Call:
    """A call of the loss as the kernels take it, but for logits and target."""

    by_row: ClassVar[bool] = False  # there is one loss for all

    native: TrainOptions
    problem: Problem  # for routes that differentiate again

    def evaluate(
        self,
        logits: Tensor,
        target: Tensor,
        *,
        wants_gradient: bool = True,
        upstream: float | Tensor = 1.0,
        out: Tensor | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """The loss, and its gradient times `upstream`."""
        value, gradient = _native.train(
            logits,
            target,
            self.native,
            _MEMORY,
            n_threads=torch.get_num_threads(),
            wants_gradient=wants_gradient,
            upstream=float(upstream),
            out=out,
        )
        return torch.scalar_tensor(value, dtype=logits.dtype), gradient

    def gradient(self, logits: Tensor, target: Tensor, upstream: Tensor) -> Tensor:
        """The gradient, as a function that autograd can differentiate again."""
        problem = self.problem.weighted(self.native.class_weight)
        return _composite.gradient(logits, target, problem, upstream)

    def weighted(self, weight: Tensor) -> Call | None:
        """The call with class weights; None where `Objective.weight` refuses them.

        The problem gets them when it is asked for, since making another takes as long as a kernel.
        """
        objective, native = self.problem.objective, self.native
        smoothed = weight if objective.label_smoothing else None
        if smoothed is not None and objective.loss.needs_weighted:
            return None
        options = TrainOptions(smoothed, native.bias, weight, native.sample_weight, native.numbers)
        return Call(options, self.problem)


def call_of(problem: Problem, logits: Tensor) -> Call | None:
    """The call for losses whose rule the kernels know; None for others.

    Nor by row: an upstream of 0 is to silence a row whose gradient overflows.
    """
    objective = problem.objective
    rule = objective.loss.kernel_rule if is_portable(objective.loss) else None
    if rule is None or problem.reduction == "none":
        return None
    normalizer = problem.normalizer
    if normalizer is not None and math.isnan(normalizer):
        return None  # to the kernels it would mean that none is given
    own = problem.sample_weight
    training = Training(
        rule=rule,
        class_weight=per_class(objective.class_weight, logits),
        sample_weight=None if own is None else _numpy.in_double(own),
        label_smoothing=objective.label_smoothing,
        share=objective.share,
        z_loss=objective.z_loss,
        mean=problem.reduction == "mean",
        normalizer=math.nan if normalizer is None else float(normalizer),
        empty_is_zero=problem.empty == "zero",
    )
    return Call(_native.train_options(problem.rows(_NO_ARRAY, _NO_ARRAY), training), problem)
