"""The loss and its gradient in one native call: every chunk of logits is read once.

The gradient comes with the loss, for an upstream of 1, which is what ``loss.backward()`` brings.
Another one recomputes it, since scaling would round 16-bit gradients twice, or lose what loss
scaling is to save; and where upstreams are such, large gradients are left to the backward pass.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from crossentropy import rows
from crossentropy.losses import CrossEntropy
from crossentropy.losses._registry import is_portable
from crossentropy.rows import Rows, Training, _memory, _native

from . import _composite, _numpy
from ._options import Options
from ._problem import Problem, per_class, problem_of

_MEAN, _SUM = Training(), Training(mean=False)
_MOST = sys.float_info.max

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
    result: Tensor = _FusedLoss.apply(logits, target, engine)  # type: ignore[no-untyped-call] # torch's
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
        if torch.is_grad_enabled() or (ctx.engine.by_row and not _composite.has_memory(upstream)):
            return ctx.engine.gradient(logits, target, upstream), None, None
        gradient = taken_gradient(ctx)
        if ctx.engine.by_row:
            return ctx.engine.evaluate(logits, target, upstream=upstream)[1], None, None
        if not _composite.has_memory(upstream):
            if gradient is None:
                gradient = ctx.engine.evaluate(logits, target)[1]
            return gradient * upstream, None, None
        notice(logits, upstream)
        factor = upstream.item()
        if gradient is None or factor != 1:
            gradient = ctx.engine.evaluate(logits, target, upstream=factor, out=gradient)[1]
        return gradient, None, None


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


class Call(NamedTuple):
    """A call of the loss as the kernels take it, but for logits and target."""

    training: Training
    problem: Callable[[Tensor], Problem]  # for routes that differentiate again
    ignore_index: int
    temperature: float = 1.0
    weight: Tensor | None = None
    bias: Tensor | None = None
    softcap: float | None = None

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
            Rows(
                logits,
                target,
                self.weight,
                self.temperature,
                self.bias,
                self.softcap,
                self.ignore_index,
                torch.get_num_threads(),
            ),
            self.training,
            _memory.torch_memory(),
            wants_gradient=wants_gradient,
            upstream=float(upstream),
            out=out,
        )
        return torch.scalar_tensor(value, dtype=logits.dtype), gradient

    @property
    def by_row(self) -> bool:
        """Whether there is a loss for each row."""
        return False

    def gradient(self, logits: Tensor, target: Tensor, upstream: Tensor) -> Tensor:
        """The gradient, as a function that autograd can differentiate again."""
        return _composite.gradient(logits, target, self.problem(logits), upstream)


# ---- plain cross entropy ------------------------------------------------------------------------


def plain_call(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None,
    ignore_index: int,
    reduction: str,
    label_smoothing: float,
    temperature: float,
    z_loss: float,
) -> Call | None:
    """Cross entropy with torch's own options, and two that need no more, with little Python around.

    None where something is not plain and right: other routes check and explain.
    """
    if not (
        input.ndim == 2
        and input.dtype in _numpy.TYPES
        and _numpy.is_plain(input)
        and target.dtype is torch.int64
        and target.shape == input.shape[:1]
        and _numpy.is_plain(target)
        and (weight is None or _is_constant(weight, input.shape[1:], input.dtype))
        and reduction in ("mean", "sum")
        and _is_number(label_smoothing, 0, 1)
        and (_is_number(temperature, 0, _MOST) and temperature > 0)
        and _is_number(z_loss, 0, _MOST)
        and rows.path() != "reference"
        and not _composite.transformed()
        and is_worth_it(input)
    ):
        return None
    training = _MEAN if reduction == "mean" else _SUM
    if not (weight is None and label_smoothing == 0 and z_loss == 0):
        share = label_smoothing / max(input.shape[1], 1)
        training = Training(
            training.rule, weight, None, label_smoothing, share, z_loss, training.mean
        )

    def problem(logits: Tensor) -> Problem:
        given = Options(
            CrossEntropy(),
            weight,
            ignore_index,
            reduction,
            label_smoothing,
            temperature=temperature,
            z_loss=z_loss,
        )
        return problem_of(logits, given)

    smoothed = weight if label_smoothing else None  # which alone reads all classes' weights
    return Call(training, problem, ignore_index, temperature, smoothed)


def _is_number(value: object, least: float, most: float) -> bool:
    return isinstance(value, float | int) and least <= value <= most


def _is_constant(tensor: Tensor, shape: torch.Size, dtype: torch.dtype) -> bool:
    fits = tensor.dtype is dtype and tensor.shape == shape and not tensor.requires_grad
    return fits and _numpy.is_plain(tensor)


# ---- the family ---------------------------------------------------------------------------------


def call_of(problem: Problem, logits: Tensor) -> Call | None:
    """The call for losses whose rule the kernels know; None for others.

    Nor by row: an upstream of 0 is to silence a row whose gradient overflows.
    """
    objective = problem.objective
    rule = objective.loss.kernel_rule if is_portable(objective.loss) else None
    if rule is None or problem.reduction == "none" or not is_worth_it(logits):
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
    return Call(
        training,
        lambda _: problem,
        problem.ignore_index,
        problem.temperature,
        problem.weight,
        problem.bias,
        problem.softcap,
    )
