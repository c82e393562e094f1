"""The row passes by the native kernels: contiguous logits on the CPU, of 16, 32 or 64 bits.

Whoever builds `Rows` has checked type, shape, layout and lifetime.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from crossentropy._arrays import Array

from ._contract import NOTHING, Moments, Rows, RowStatistics, Slopes
from ._memory import Memory, kernels
from ._training import SoftTarget, Training


def statistics(
    rows: Rows,
    memory: Memory,
    *,
    weighted: bool = False,
    argmax: bool = False,
    squares: bool = False,
) -> RowStatistics:
    """As the reference's, in one read of the logits.

    Raises
    ------
    IndexError
        If a target is out of range.
    """
    (count,) = rows.target.shape
    weight = _weight(rows, memory) if weighted else None
    total = float(memory.column(weight).sum()) if weighted else 0.0
    table = memory.table((5 if weighted else 4, count))
    best = memory.indices(count) if argmax else None
    top = memory.table((1, count))[0] if argmax else None
    square = memory.table((1, count))[0] if squares else None
    bad = kernels.statistics(
        *_common(rows, memory),
        _address(weight, memory),
        total,
        memory.address(table),
        _address(best, memory),
        _address(top, memory),
        _address(square, memory),
        rows.n_threads,
    )
    if bad >= 0:
        raise_out_of_range(rows.target, rows.classes, rows.ignore_index, bad)
    return RowStatistics(rows, table, best, top, square)


def gradient(
    rows: Rows,
    statistics: RowStatistics,
    slopes: Slopes,
    memory: Memory,
    *,
    out: Array | None = None,
) -> Array:
    """As the reference's, in one read of the logits and one write of `out`."""
    result, fresh = output(rows.logits, memory, out)
    a = memory.column(slopes.a)
    b = a if slopes.b is slopes.a else memory.column(slopes.b)
    c = None if slopes.c is None else memory.column(slopes.c)
    weight = None if c is None else _weight(rows, memory)
    kernels.gradient(
        *_common(rows, memory),
        _address(weight, memory),
        memory.address(statistics.table),
        memory.address(a),
        a.ndim > 0,
        memory.address(b),
        b.ndim > 0,
        _address(c, memory),
        c is not None and c.ndim > 0,
        memory.address(result),
        fresh,
        rows.n_threads,
    )
    return result


class TrainOptions(NamedTuple):
    """What the kernels need of a training loss beside logits and target: the same for all batches.

    Attributes
    ----------
    weight, bias
        Of `Rows`.
    class_weight, sample_weight
        Of `Training`.
    numbers
        The rest, as the kernels keep it.
    ignore_index
        Of `Rows`.
    """

    weight: Array | None
    bias: Array | None
    class_weight: Array | None
    sample_weight: Array | None
    numbers: Any
    ignore_index: int


def train_options(template: Rows, training: Training) -> TrainOptions:
    """From rows, of which logits and target do not matter, and the loss."""
    rule, class_weight, sample_weight, *rest = training
    adjustment = template.softcap or 0.0, 1.0 / template.temperature
    ignored = template.ignore_index
    numbers = kernels.TrainNumbers(ignored, *adjustment, rule, *rest)
    arrays = template.weight, template.bias, class_weight, sample_weight
    return TrainOptions(*arrays, numbers, ignored)


def train(
    logits: Array,
    target: Array,
    options: TrainOptions,
    memory: Memory,
    *,
    n_threads: int = 1,
    wants_gradient: bool = True,
    upstream: float = 1.0,
    out: Array | None = None,
) -> tuple[float, Array | None]:
    """The reduced loss and its gradient times `upstream`, in one read of the logits.

    Raises
    ------
    IndexError
        If a target is out of range.
    """
    result, fresh = output(logits, memory, out) if wants_gradient else (None, False)
    shape = logits.shape
    bad, loss = kernels.train(
        options.numbers,
        memory.codes[logits.dtype],
        memory.address(logits),
        memory.address(target),
        shape[0],
        shape[1],
        shape[2] if len(shape) > 2 else 1,
        upstream,
        _address(result, memory),
        fresh,
        *(_address(array, memory) for array in options[:4]),
        n_threads,
    )
    if bad >= 0:
        raise_out_of_range(target, shape[1], options.ignore_index, bad)
    return loss, result


def train_tensors(
    logits: Any,
    target: Any,
    constants: tuple[Any, Any, Any],
    options: TrainOptions,
    tensors: Any,
    *,
    n_threads: int,
    wants_gradient: bool,
) -> tuple[Any, Any] | None:
    """As `train`, of tensors that the kernels read and make: a loss, and a gradient or None.

    Logits may be (B, C, d1, …), too, with targets of the shape of the rows. The constants, each of
    them perhaps None, are the arrays that `options` must not have: class weights, the bias and the
    rows' own weights. None where something is not a plain tensor or does not fit. The loss of
    16-bit logits is in float64.

    Raises
    ------
    IndexError
        If a target is out of range.
    """
    result = kernels.train_tensors(
        options.numbers, tensors, logits, target, *constants, wants_gradient, n_threads
    )
    if type(result) is int:
        flat = target.reshape(-1)
        raise_out_of_range(flat, logits.shape[1], options.ignore_index, result)
    made: tuple[Any, Any] | None = result
    return made


def soft(
    rows: Rows,
    target: Array,
    soft: SoftTarget,
    memory: Memory,
    *,
    wants_gradient: bool = True,
    factor: float = 1.0,
    row_factor: Array | None = None,
    out: Array | None = None,
) -> tuple[Array, Array | None]:
    """The losses of rows, (N,) float64, and their gradient times the factors, in one read.

    Raises
    ------
    MemoryError
        If there is no memory for a row.
    """
    result, fresh = output(rows.logits, memory, out) if wants_gradient else (None, False)
    count, classes = rows.logits.shape
    losses = memory.table((1, count))[0]
    kernels.soft(
        memory.codes[rows.logits.dtype],
        memory.address(rows.logits),
        count,
        classes,
        rows.softcap or 0.0,
        1.0 / rows.temperature,
        _address(rows.bias, memory),
        memory.address(target),
        soft.is_teacher,
        soft.teacher_scale,
        _address(soft.class_weight, memory),
        _address(soft.prior, memory),
        soft.keep,
        soft.spread,
        soft.z_loss,
        _address(soft.mask, memory),
        _address(row_factor, memory),
        factor,
        memory.address(losses),
        _address(result, memory),
        fresh,
        rows.n_threads,
    )
    return losses, result


def soft_mass(target: Array, soft: SoftTarget, memory: Memory, n_threads: int) -> Array:
    """Σ_j ω_j·t_j of every row, (N,) float64, in one read of the targets.

    Raises
    ------
    MemoryError
        If there is no memory for a row.
    """
    count, classes = target.shape
    masses = memory.table((1, count))[0]
    kernels.soft_mass(
        memory.codes[target.dtype],
        memory.address(target),
        count,
        classes,
        _address(soft.class_weight, memory),
        _address(soft.mask, memory),
        memory.address(masses),
        n_threads,
    )
    return masses


def moments(logits: Array, beta: float, memory: Memory, n_threads: int) -> Moments:
    """As the reference's, in one read of the logits."""
    count, classes = logits.shape
    table = memory.table((3, count))
    kernels.moments(
        memory.codes[logits.dtype],
        memory.address(logits),
        count,
        classes,
        beta,
        memory.address(table),
        n_threads,
    )
    return Moments(table[0], table[1], table[2])


def score(
    values: Array | Sequence[Array],
    target: Array,
    weight: Array | None,
    sums: Sequence[Array | None],
    shape: tuple[int, int],
    at_once: int,
    n_threads: int,
    memory: Memory,
) -> int:
    """As `rows.score`; the values are of this shape."""
    whole = isinstance(values, np.ndarray)
    first: Array = values if whole else values[0]
    columns = [] if whole else [memory.address(column) for column in values]
    addresses = [_address(array, memory) for array in sums]
    cells = sums[9]
    assert cells is not None
    return int(
        kernels.score(
            memory.codes[first.dtype],
            memory.address(values) if whole else 0,
            columns,
            memory.address(target),
            _address(weight, memory),
            *shape,
            at_once,
            addresses[:2],
            addresses[2:8],
            *addresses[8:10],
            len(cells),
            addresses[10],
            n_threads,
        )
    )


def output(logits: Array, memory: Memory, out: Array | None) -> tuple[Array, bool]:
    """Where a gradient goes, and whether the memory is new."""
    return memory.output(logits) if out is None else (out, False)


def raise_out_of_range(target: Array, classes: int, ignore_index: int, row: int) -> None:
    """Raise torch's error for the target of a row, with the range beside it."""
    allowed = "" if ignore_index == NOTHING else f", or ignore_index={ignore_index}"
    raise IndexError(
        f"Target {int(target[row])} is out of bounds: row {row} needs a class index in "
        f"[0, {classes - 1}]{allowed}"
    )


def _common(rows: Rows, memory: Memory) -> tuple[Any, ...]:
    """What both passes begin with. `rows` keeps the arrays alive during the call."""
    logits = rows.logits
    shape = logits.shape
    return (
        memory.codes[logits.dtype],
        memory.address(logits),
        memory.address(rows.target),
        shape[0],
        shape[1],
        shape[2] if len(shape) > 2 else 1,
        rows.ignore_index,
        rows.softcap or 0.0,
        1.0 / rows.temperature,
        _address(rows.bias, memory),
    )


def _weight(rows: Rows, memory: Memory) -> Array:
    return memory.ones(rows.logits) if rows.weight is None else rows.weight


def _address(array: Array | None, memory: Memory) -> int:
    return 0 if array is None else memory.address(array)
