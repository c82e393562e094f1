"""Distributions as targets and distillation, beside torch's and beside the formulas users write."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.nn import functional

from crossentropy.torch import cross_entropy, distillation_loss

from ._cases import MIDDLE, WIDE, Loss, size, training
from ._effort import Effort
from ._harness import Run, interleaved, peak_bytes
from ._tables import Figure, Table, at_least, at_most

_SHAPES = (WIDE, MIDDLE)
_LEANER = {"distillation, forward": 1 / 3}  # of the formula's peak


def tables(effort: Effort) -> Iterator[Table]:
    """Two tables, and one of memory where there is time."""
    yield Table(
        "Probabilities as targets, float32, forward + backward",
        ["N × C", "time / floor", "eager / ours"],
        [(size(shape), _of_probabilities(shape, effort)) for shape in _SHAPES],
        "The floor is reading logits and probabilities once and copying the logits once. Above 1: "
        "as many times faster than F.cross_entropy.",
    )
    shape = _SHAPES[0]
    yield Table(
        f"Distillation at {size(shape)}, float32, forward + backward",
        ["direction", "eager / ours"],
        [(name, [_of_distillation(name, shape, effort)]) for name in _DIRECTIONS],
        "Above 1: as many times faster than the formula in torch operations.",
    )
    if not effort.quick:
        yield _memory(shape)


def _of_probabilities(shape: tuple[int, ...], effort: Effort) -> list[Figure]:
    logits, target = _batch(shape)
    plain, ready = logits.detach(), torch.empty(shape)
    runs: dict[str, Run] = {
        "read logits": plain.sum,
        "read target": target.sum,
        "copy": lambda: ready.copy_(plain),
        "ours": training(cross_entropy, logits, target),
        "eager": training(functional.cross_entropy, logits, target),
    }
    median = interleaved(runs, effort)
    floor = median["read logits"] + median["read target"] + median["copy"]
    promised = shape == WIDE
    return [
        Figure(median["ours"] / floor, at_most(1.3) if promised else None),
        Figure(median["eager"] / median["ours"], at_least(8) if promised else None),
    ]


def _of_distillation(direction: str, shape: tuple[int, ...], effort: Effort) -> Figure:
    student, teacher = _logits(shape)
    runs = {
        "ours": training(_ours(direction), student, teacher),
        "eager": training(_DIRECTIONS[direction], student, teacher),
    }
    median = interleaved(runs, effort)
    target = at_least(5) if direction == "forward" else None
    return Figure(median["eager"] / median["ours"], target)


def _memory(shape: tuple[int, ...]) -> Table:
    losses: dict[str, tuple[Loss, Loss, _Batch]] = {
        "probabilities": (cross_entropy, functional.cross_entropy, _batch)
    }
    for name, formula in _DIRECTIONS.items():
        losses[f"distillation, {name}"] = (_ours(name), formula, _logits)
    return Table(
        f"Peak memory at {size(shape)}, float32, forward + backward",
        ["loss", "peak / logits", "ours / eager"],
        [(name, _peaks(*given, shape, _LEANER.get(name))) for name, given in losses.items()],
        "Above what logits and targets take themselves; a fresh gradient is 1.",
    )


def _peaks(
    ours: Loss, eager: Loss, batch: _Batch, shape: tuple[int, ...], bound: float | None
) -> list[Figure]:
    peaks = [
        peak_bytes(functools.partial(_fresh, loss, batch, shape)) / (4 * math.prod(shape))
        for loss in (ours, eager)
    ]
    return [
        Figure(peaks[0]),
        Figure(peaks[0] / peaks[1], None if bound is None else at_most(bound)),
    ]


def _fresh(loss: Loss, batch: _Batch, shape: tuple[int, ...]) -> Run:
    """A training step, in a process that has allocated what it allocates once."""
    training(loss, *batch((8, 16)))()
    return training(loss, *batch(shape))


_Batch = Callable[[tuple[int, ...]], tuple[Tensor, Tensor]]


def _batch(shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Logits that ask for their gradient, and distributions."""
    logits, other = _logits(shape)
    return logits, other.softmax(1)


def _logits(shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """A student's, which ask for their gradient, and a teacher's."""
    generator = torch.Generator().manual_seed(0)
    student, teacher = (torch.randn(shape, generator=generator).mul_(3) for _ in range(2))
    return student.requires_grad_(), teacher


def _ours(direction: str) -> Loss:
    return functools.partial(distillation_loss, direction=direction)


# The formulas, as users write them.


def _forward(student: Tensor, teacher: Tensor) -> Tensor:
    return functional.kl_div(student.log_softmax(1), teacher.softmax(1), reduction="batchmean")


def _reverse(student: Tensor, teacher: Tensor) -> Tensor:
    p, t = student.log_softmax(1), teacher.log_softmax(1)
    return functional.kl_div(t, p, reduction="batchmean", log_target=True)


def _jensen_shannon(student: Tensor, teacher: Tensor) -> Tensor:
    p, t = student.softmax(1), teacher.softmax(1)
    log_mean = ((p + t) / 2).log()
    both = (functional.kl_div(log_mean, x, reduction="batchmean") for x in (p, t))
    return sum(both, torch.zeros(())) / 2


_DIRECTIONS: dict[str, Loss] = {"forward": _forward, "reverse": _reverse, "js": _jensen_shannon}
