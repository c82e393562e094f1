"""The pass by the native kernel: contiguous arrays on the CPU, of 16, 32 or 64 bits."""

from __future__ import annotations

import math
from typing import NamedTuple

from crossentropy._arrays import Array, namespace
from crossentropy.rows._memory import Memory, kernels
from crossentropy.rows._native import output

from ._contract import Elements, Evaluation, Rule
from ._make import contiguous
from ._reference import check_targets

CHUNK = 2**13  # elements whose losses are summed together, whatever the number of threads


def evaluate(
    elements: Elements,
    rule: Rule,
    memory: Memory,
    losses: Array | None,
    wants_gradient: bool,
    scale: float,
    gradient_out: Array | None = None,
) -> Evaluation:
    """As the reference's, in one read of logits and targets; `losses` are written to."""
    logits = elements.logits
    gradient, fresh = None, False
    if wants_gradient:
        gradient, fresh = output(logits, memory, gradient_out)
    curve = rule.curve
    assert curve is not None  # see is_native
    weight, pos_weight, chunk = laid_out(logits.shape, elements.weight, elements.pos_weight)
    total, suspect = kernels.elements(
        memory.codes[logits.dtype],
        memory.address(logits),
        memory.address(elements.target),
        _address(weight.array, memory),
        weight.full,
        _address(pos_weight.array, memory),
        pos_weight.full,
        math.prod(logits.shape),
        chunk,
        elements.label_smoothing,
        math.nan if elements.ignore_index is None else elements.ignore_index,
        *curve,
        scale,
        _address(losses, memory),
        _address(gradient, memory),
        fresh,
        elements.n_threads,
    )
    if suspect:
        check_targets(elements)
    return Evaluation(total, losses, gradient)


class _Weights(NamedTuple):
    """Weights as the kernel reads them: one for each element, or those of a chunk."""

    array: Array | None
    full: bool


_NONE = _Weights(None, full=False)


def laid_out(
    shape: tuple[int, ...], weight: Array | None, pos_weight: Array | None
) -> tuple[_Weights, _Weights, int]:
    """Both weights and the length of a chunk, in which weights by class repeat."""
    if weight is None and pos_weight is None:
        return _NONE, _NONE, CHUNK
    times, chunk = 0, CHUNK
    if _is_by_class(weight, shape) or _is_by_class(pos_weight, shape):
        times = -(-CHUNK // shape[-1])
        chunk = times * shape[-1]
    return _laid(weight, shape, times), _laid(pos_weight, shape, times), chunk


def _laid(weight: Array | None, shape: tuple[int, ...], times: int) -> _Weights:
    """Weights of one for each element, or, by class, repeated so often or as is enough."""
    if weight is None:
        return _NONE
    xp = namespace(weight)
    if not _is_by_class(weight, shape):
        return _Weights(contiguous(xp.broadcast_to(weight, shape)), full=True)
    rows = min(times, math.prod(shape[:-1])), shape[-1]
    return _Weights(contiguous(xp.broadcast_to(weight.reshape(-1), rows)), full=False)


def _is_by_class(weight: Array | None, shape: tuple[int, ...]) -> bool:
    """Whether weights vary along the last axis only, and are fewer than the elements."""
    if weight is None:
        return False
    count: int = math.prod(weight.shape)
    return count == math.prod(weight.shape[-1:]) and count < math.prod(shape)


def _address(array: Array | None, memory: Memory) -> int:
    return 0 if array is None else memory.address(array)
