"""Small batches: the gradient comes with the loss, and little Python surrounds the kernels.

At a few thousand logits the passes take microseconds, and calls of torch are what a user waits
for. Plain cross entropy with torch's options is one native call; other losses of the family run
between the passes as NumPy arrays, whose calls cost a third of torch's. The numbers are those of
the other routes.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from crossentropy import rows
from crossentropy.losses import CrossEntropy
from crossentropy.rows import Rows, _native

from . import _composite, _numpy
from ._options import Options
from ._problem import Problem, problem_of

LIMIT = 2**16  # logits: some 50 µs for one thread, and a gradient that nobody misses


class Engine(Protocol):
    """How a small call is computed."""

    def evaluate(
        self, logits: Tensor, target: Tensor, wants_gradient: bool
    ) -> tuple[Tensor, Tensor | None]:
        """The loss and its gradient."""
        ...

    def problem(self, logits: Tensor) -> Problem:
        """The same call for routes that differentiate again."""
        ...


def loss(logits: Tensor, target: Tensor, engine: Engine) -> Tensor:
    """The loss of a call that an engine takes."""
    if not (logits.requires_grad and torch.is_grad_enabled()):
        return engine.evaluate(logits, target, False)[0]
    result: Tensor = _SmallLoss.apply(logits, target, engine)  # type: ignore[no-untyped-call] # torch's
    return result


class _SmallLoss(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, target: Tensor, engine: Engine) -> Tensor:
        value, ctx.gradient = engine.evaluate(logits, target, True)
        ctx.save_for_backward(logits, target)
        ctx.engine = engine
        return value

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, None, None]:
        logits, target = ctx.saved_tensors
        if torch.is_grad_enabled():
            problem = ctx.engine.problem(logits)
            return _composite.gradient(logits, target, problem, upstream), None, None
        gradient, ctx.gradient = ctx.gradient, None  # the caller may write to it
        if gradient is None:
            gradient = ctx.engine.evaluate(logits, target, True)[1]
        if _composite.has_memory(upstream) and upstream.item() == 1:
            return gradient, None, None
        return gradient * upstream, None, None


# ---- plain cross entropy ------------------------------------------------------------------------


class Plain(NamedTuple):
    """Cross entropy with torch's own options, and two that need no more: one native call."""

    weight: Tensor | None
    ignore_index: int
    reduction: str
    label_smoothing: float
    temperature: float
    z_loss: float

    def takes(self, input: Tensor, target: Tensor) -> bool:
        """Whether all is plain and right; what is not, other routes check and explain."""
        weight = self.weight
        return (
            input.ndim == 2
            and input.numel() <= LIMIT
            and input.dtype in _numpy.TYPES
            and _numpy.is_plain(input)
            and target.dtype is torch.int64
            and target.shape == input.shape[:1]
            and _numpy.is_plain(target)
            and (weight is None or _is_constant(weight, input.shape[1:], input.dtype))
            and self.reduction in ("mean", "sum")
            and not any(isinstance(number, Tensor) for number in self[3:])
            and 0 <= self.label_smoothing <= 1
            and 0 < self.temperature < math.inf
            and 0 <= self.z_loss < math.inf
            and rows.path() != "reference"
            and not _composite.transformed()
        )

    def evaluate(
        self, logits: Tensor, target: Tensor, wants_gradient: bool
    ) -> tuple[Tensor, Tensor | None]:
        value = torch.empty((), dtype=logits.dtype)
        gradient = torch.empty_like(logits) if wants_gradient else None
        n, classes = logits.shape
        bad = _native.kernels.train(
            _native.torch_memory().type_code(logits),
            logits.data_ptr(),
            target.data_ptr(),
            n,
            classes,
            self.ignore_index,
            1.0 / self.temperature,
            0 if self.weight is None else self.weight.data_ptr(),
            self.label_smoothing,
            self.z_loss,
            self.reduction == "mean",
            value.data_ptr(),
            0 if gradient is None else gradient.data_ptr(),
        )
        if bad >= 0:
            _native.raise_out_of_range(Rows(logits, target, ignore_index=self.ignore_index), bad)
        return value, gradient

    def problem(self, logits: Tensor) -> Problem:
        return problem_of(logits, Options(**self._asdict(), loss=CrossEntropy()))


def _is_constant(tensor: Tensor, shape: torch.Size, dtype: torch.dtype) -> bool:
    fits = tensor.dtype is dtype and tensor.shape == shape and not tensor.requires_grad
    return fits and _numpy.is_plain(tensor)


# ---- other losses of the family -----------------------------------------------------------------


class Family(NamedTuple):
    """Any loss of ours with any options."""

    given: Problem

    def takes(self, logits: Tensor) -> bool:
        """Whether the batch is small; `_numpy.takes` says what else must hold.

        Not by row: an upstream of 0 is to silence a row whose gradient overflows.
        """
        reduced = self.given.reduction != "none"
        return reduced and logits.numel() <= LIMIT and logits.dtype in _numpy.TYPES

    def evaluate(
        self, logits: Tensor, target: Tensor, wants_gradient: bool
    ) -> tuple[Tensor, Tensor | None]:
        given = self.given.rows(logits, target)
        row = rows.statistics(given, weighted=self.given.objective.needs_weighted)
        value, slopes = _numpy.evaluate(self.given, row)
        gradient = rows.gradient(given, row, slopes) if wants_gradient else None
        return value, gradient

    def problem(self, logits: Tensor) -> Problem:
        return self.given
