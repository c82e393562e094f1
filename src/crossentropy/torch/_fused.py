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
from ._layout import rows_of
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
    result: Tensor = _apply(logits, target, engine, None)  # type: ignore[no-untyped-call] # torch's
    return result


def plain_loss(
    logits: Tensor, target: Tensor, constants: Constants, call: Call, tensors: Any
) -> Tensor | None:
    """Likewise of a batch, by one native call, which looks at the tensors, too.

    None where they are not plain, or do not fit.
    """
    differentiable = logits.requires_grad and torch.is_grad_enabled()
    made = _native.train_tensors(
        logits,
        target,
        constants,
        call.native,
        tensors,
        n_threads=torch.get_num_threads(),
        wants_gradient=differentiable,
    )
    if made is None:
        return None
    value: Tensor = made[0]
    if value.dtype is not logits.dtype:
        value = value.to(logits.dtype)
    if not differentiable:
        return value
    weight, bias, own = constants
    is_whole = weight is None and bias is None and own is None and logits.ndim == 2
    engine = call if is_whole else BatchCall(call, constants)
    made = value, made[1]
    result: Tensor = _apply(logits, target, engine, made)  # type: ignore[no-untyped-call] # torch's
    return result


class _FusedLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        logits: Tensor,
        target: Tensor,
        engine: Engine,
        made: tuple[Tensor, Tensor | None] | None,
    ) -> Tensor:
        if made is None:
            early = not engine.by_row and is_worth_it(logits)
            made = engine.evaluate(logits, target, wants_gradient=early)
        value, ctx.gradient = made
        ctx.save_for_backward(logits, target)
        ctx.engine = engine
        return value

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, None, None, None]:
        logits, target = ctx.saved_tensors
        return _gradient(ctx, logits, target, upstream), None, None, None


def _gradient(ctx: Any, logits: Tensor, target: Tensor, upstream: Tensor) -> Tensor | None:
    engine: Engine = ctx.engine
    by_row = engine.by_row
    if torch.is_grad_enabled() or (by_row and not _composite.has_memory(upstream)):
        return engine.gradient(logits, target, upstream)
    if by_row:
        return engine.evaluate(logits, target, upstream=upstream)[1]
    gradient, factor = taken_gradient(ctx), _composite.number(upstream)
    if factor is None:
        if gradient is None:
            gradient = engine.evaluate(logits, target)[1]
        return None if gradient is None else gradient * upstream
    notice(logits, factor)
    if gradient is None or factor != 1:
        gradient = engine.evaluate(logits, target, upstream=factor, out=gradient)[1]
    return gradient


# `_FusedLoss.apply` without its look for transforms, which other routes take: that look is a
# tenth of a small step
_apply = super(torch.autograd.Function, _FusedLoss).apply


def taken_gradient(ctx: Any) -> Tensor | None:
    """The gradient that came with the loss, or None where it was taken before.

    Once, since the caller may write to it; at once, since threads may share the graph.
    """
    gradient: Tensor | None = vars(ctx).pop("gradient", None)
    return gradient


def notice(logits: Tensor, upstream: float) -> None:
    """Take a large loss's upstream for what the next will be, on whichever route it came."""
    global _upstreams_are_one
    if logits.numel() > SMALL:
        _upstreams_are_one = upstream == 1


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
        return _composite.gradient(logits, target, self.problem, upstream)


Constants = tuple[Tensor | None, Tensor | None, Tensor | None]  # as `train_tensors` takes them


@dataclass(slots=True)  # frozen ones take longer to make
class BatchCall:
    """A call and what a batch brings beside, to be put together if it comes to that.

    The batch may be (B, C, d1, …), too.
    """

    by_row: ClassVar[bool] = Call.by_row

    call: Call
    constants: Constants

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
        rows = rows_of(logits)
        call = call_of(self._problem(), rows)
        assert call is not None  # as the one without is not
        value, gradient = call.evaluate(
            rows,
            target.reshape(-1),
            wants_gradient=wants_gradient,
            upstream=upstream,
            out=None if out is None else out.view(rows.shape),
        )
        return value, None if gradient is None else gradient.view(logits.shape)

    def gradient(self, logits: Tensor, target: Tensor, upstream: Tensor) -> Tensor:
        """The gradient, as a function that autograd can differentiate again."""

        def value(logits: Tensor) -> Tensor:
            rows = rows_of(logits)
            return _composite.loss(rows, target.reshape(-1), self._problem())[0]

        return _composite.gradient_of(value, logits, upstream)

    def _problem(self) -> Problem:
        weight, bias, own = self.constants
        problem = self.call.problem
        if weight is not None:
            problem = problem.weighted(weight)
        own = None if own is None else own.reshape(-1)
        return problem._replace(bias=bias, sample_weight=own)


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
