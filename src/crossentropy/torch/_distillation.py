"""`distillation_loss`: the divergence of a student's distribution from a teacher's."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor

from crossentropy.rows import Rows, SoftTarget

from . import _check, _composite, _soft
from ._soft import SoftCall, SoftRows

_BLOCK = 2**18  # logits whose log-probabilities are held at once

RowLosses = Callable[[Tensor, Tensor], Tensor]  # (N,) from the logits of student and teacher


def distillation_loss(
    student_logits: Tensor,
    teacher_logits: Tensor,
    *,
    temperature: float = 1.0,
    direction: str = "forward",
    reduction: str = "mean",
    mask: Tensor | None = None,
) -> Tensor:
    """Divergence of the student's softmax from the teacher's, times the temperature squared.

    With the factor, which is the paper's, gradients do not shrink as the temperature grows. No
    array of probabilities is made: rows, or blocks of rows, are worked on one after the other.

    Parameters
    ----------
    student_logits, teacher_logits
        (C,), (N, C) or (N, C, d1, …), of floating-point types. The teacher's get no gradient
        unless they require one, which takes plain torch operations on the whole arrays.
    temperature
        Divides both.
    direction
        With t the teacher's distribution and p the student's: ``"forward"`` KL(t‖p), which is
        that of soft targets; ``"reverse"`` KL(p‖t), which seeks a mode; ``"js"``, half the sum
        of the divergences of both from their mean, at most log 2.
    reduction
        ``"mean"`` over rows (torch's ``"batchmean"``), ``"sum"``, or ``"none"`` for a loss of
        each row.
    mask
        Bool, one for each row: False where it contributes neither loss nor gradient.

    Returns
    -------
    Tensor
        In nats.

    Raises
    ------
    ValueError
        If shapes differ, or an option is none of these.
    TypeError
        If logits are not floating-point.

    References
    ----------
    Hinton, Vinyals, Dean: Distilling the knowledge in a neural network. arXiv 1503.02531.

    Examples
    --------
    >>> import torch
    >>> from crossentropy.torch import distillation_loss
    >>> student, teacher = torch.tensor([[0.0, 0.0]]), torch.tensor([[2.0, 0.0]])
    >>> distillation_loss(student, teacher)
    tensor(0.3278)
    >>> distillation_loss(student, teacher, direction="reverse")
    tensor(0.4338)
    """
    _check_arguments(student_logits, teacher_logits, temperature, direction, reduction, mask)
    student, teacher = _soft.rows_of(student_logits, teacher_logits)
    given = SoftRows(student, teacher, _soft.by_row(mask), None)
    square = temperature**2
    share: Tensor | float | None = None
    if reduction != "none":
        mean = reduction == "mean"
        share = square * _soft.share_of(_soft.count_of(given), "nan") if mean else square
    if direction == "forward":
        value = _forward(given, temperature, share)
    else:
        value = _by_blocks(given, partial(_DIRECTIONS[direction], temperature), share)
    if reduction == "none":
        return (value * square).reshape(_check.row_shape(student_logits))
    return value


def _check_arguments(
    student: Tensor,
    teacher: Tensor,
    temperature: float,
    direction: str,
    reduction: str,
    mask: Tensor | None,
) -> None:
    for name, logits in (("student_logits", student), ("teacher_logits", teacher)):
        if not logits.is_floating_point():
            raise TypeError(f"{name} must be floating-point, got {logits.dtype}")
    if student.shape != teacher.shape or student.ndim == 0:
        raise ValueError(
            "student_logits and teacher_logits must have one shape, (C,), (N, C) or "
            f"(N, C, d1, ...), got {tuple(student.shape)} and {tuple(teacher.shape)}"
        )
    _check.numbers(temperature, None, 0.0, "nan")
    for name, value, allowed in (
        ("direction", direction, ("forward", "reverse", "js")),
        ("reduction", reduction, ("none", "mean", "sum")),
    ):
        if value not in allowed:
            raise ValueError(f"{name} must be one of {', '.join(allowed)}, got {value!r}")
    if mask is not None:
        _check.mask(mask, _check.row_shape(student))


def _forward(given: SoftRows, temperature: float, share: Tensor | float | None) -> Tensor:
    """KL(t‖p): soft targets, with the teacher's softmax for them."""
    soft = SoftTarget(is_teacher=True, teacher_scale=1 / temperature, mask=given.mask)
    template = Rows(None, None, temperature=temperature)
    return _soft.loss(given, SoftCall(soft, template, None, share))


# ---- by blocks of rows --------------------------------------------------------------------------


def _reverse(temperature: float, student: Tensor, teacher: Tensor) -> Tensor:
    p, t = (torch.log_softmax(logits / temperature, 1) for logits in (student, teacher))
    return _divergence(p, t)


def _jensen_shannon(temperature: float, student: Tensor, teacher: Tensor) -> Tensor:
    p, t = (torch.log_softmax(logits / temperature, 1) for logits in (student, teacher))
    both_masked = (p == -torch.inf) & (t == -torch.inf)  # where logaddexp has no derivative
    p_there, t_there = (torch.where(both_masked, 0.0, x) for x in (p, t))
    mean = torch.where(both_masked, -torch.inf, torch.logaddexp(p_there, t_there)) - math.log(2)
    return (_divergence(p, mean) + _divergence(t, mean)) / 2


def _divergence(p: Tensor, q: Tensor) -> Tensor:
    """Σ_j p_j (log p_j − log q_j) from logarithms; what has no mass contributes nothing."""
    nothing = p == -torch.inf
    ratio = torch.where(nothing, 0.0, p) - torch.where(nothing, 0.0, q)
    return (p.exp() * ratio).sum(1)


_DIRECTIONS = {"reverse": _reverse, "js": _jensen_shannon}


def _by_blocks(given: SoftRows, row_losses: RowLosses, share: Tensor | float | None) -> Tensor:
    student, teacher, mask, _ = given
    follows = (
        torch.compiler.is_compiling()
        or _composite.transformed()
        or (teacher.requires_grad and torch.is_grad_enabled())
    )
    if follows:
        values = _masked(row_losses, student, teacher, mask)
    else:
        values = _BlockLosses.apply(student, teacher, mask, row_losses)  # type: ignore[no-untyped-call] # torch's
    values = values if share is None else values.sum() * share
    return values.to(student.dtype)


def _masked(row_losses: RowLosses, student: Tensor, teacher: Tensor, mask: Tensor | None) -> Tensor:
    """The losses of rows, in float32 at least; not even NaN comes through a mask."""
    dtype = torch.promote_types(student.dtype, torch.float32)
    student, teacher = student.to(dtype), teacher.to(dtype)
    if mask is None:
        return row_losses(student, teacher)
    student, teacher = (torch.where(mask[:, None], x, 0.0) for x in (student, teacher))
    return torch.where(mask, row_losses(student, teacher), 0.0)


class _BlockLosses(torch.autograd.Function):
    """The losses of rows by plain operations on some rows at a time, forward and again backward."""

    @staticmethod
    def forward(
        ctx: Any, student: Tensor, teacher: Tensor, mask: Tensor | None, row_losses: RowLosses
    ) -> Tensor:
        ctx.save_for_backward(student, teacher, mask)
        ctx.row_losses = row_losses
        parts = [_masked(row_losses, *part) for part in _blocks(student, teacher, mask)]
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        student, teacher, mask = ctx.saved_tensors
        if torch.is_grad_enabled() or not _composite.has_memory(upstream):
            again = _composite.gradient_of(
                lambda z: _masked(ctx.row_losses, z, teacher, mask), student, upstream
            )
            return again, None, None, None
        gradient, size = torch.empty_like(student), _rows_at_once(student)
        for k, part in enumerate(_blocks(student, teacher, mask)):
            some = slice(k * size, (k + 1) * size)
            with torch.enable_grad():
                leaf = part[0].detach().requires_grad_()
                values = _masked(ctx.row_losses, leaf, *part[1:])
            gradient[some] = torch.autograd.grad(values, leaf, upstream[some])[0]
        return gradient, None, None, None


def _rows_at_once(student: Tensor) -> int:
    return max(1, _BLOCK // max(1, student.shape[1]))


def _blocks(
    student: Tensor, teacher: Tensor, mask: Tensor | None
) -> Iterator[tuple[Tensor, Tensor, Tensor | None]]:
    size = _rows_at_once(student)
    for begin in range(0, max(1, student.shape[0]), size):  # one, though empty, of no rows
        some = slice(begin, begin + size)
        yield student[some], teacher[some], None if mask is None else mask[some]
