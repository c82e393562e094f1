"""The row passes in array code, in blocks: fallback, path for other devices, oracle of tests.

A block of rows is small enough to stay in cache and is changed in place, so that there is
never a second array of the logits' size beside the gradient. Arrays that cannot be written
to, such as JAX's, go through `_pure` in one piece.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from crossentropy._arrays import Array, clip, device_of, is_torch, namespace, widened

from . import _pure
from ._contract import Moments, Rows, RowStatistics, Slopes

CACHED = 2**20  # logits in a block on the CPU, where one that fits in the cache is fastest
LAUNCHED = 2**25  # elsewhere, where one that is worth a launch is


def statistics(
    rows: Rows, *, weighted: bool = False, argmax: bool = False, squares: bool = False
) -> RowStatistics:
    """L, log p_y, p_y, 1 − p_y and, if `weighted`, −Σ w log p of every row."""
    if not _writable(rows):
        return _pure.statistics(rows, weighted=weighted, argmax=argmax, squares=squares)
    xp = namespace(rows.logits)
    with _pure.quiet(rows.logits):
        blocks = (block for _, _, block in _blocks(rows))
        parts = [_block_statistics(block, weighted, argmax, squares) for block in blocks]
    table = xp.concat([part.table for part in parts], axis=1)
    wanted = {"argmax": argmax, "top_prob": argmax, "square_rest": squares}
    more = {of: xp.concat([getattr(part, of) for part in parts]) for of in wanted if wanted[of]}
    return RowStatistics(rows, table, **more)


def gradient(
    rows: Rows, statistics: RowStatistics, slopes: Slopes, *, out: Array | None = None
) -> Array:
    """a·softmax(z)_j − c·w_j − b·[j = y], in the logits, by every row."""
    writable = _writable(rows)
    if out is None and not writable:
        return _pure.gradient(rows, statistics, slopes)
    if out is None:
        out = namespace(rows.logits).empty_like(rows.logits)
    if not writable:
        out[...] = _pure.gradient(rows, statistics, slopes)
        return out
    with _pure.quiet(rows.logits):
        for where, part, block in _blocks(rows):
            table = RowStatistics(block, _pure.constant(statistics.table[:, part]))
            _block_gradient(block, table, Slopes(*(_part(s, part) for s in slopes)), out[where])
    return out


def moments(logits: Array, beta: float) -> Moments:
    """Logsumexp of β·z, E_p z and Var_p z of every row, p = softmax(β·z)."""
    xp = namespace(logits)
    with _pure.quiet(logits):
        parts = [_block_moments(block, beta) for block in _row_blocks(logits)]
        return Moments(*(xp.concat(columns) for columns in zip(*parts, strict=True)))


def _row_blocks(logits: Array) -> Iterator[Array]:
    count, classes = logits.shape
    size = max(1, CACHED // classes)
    for begin in range(0, max(count, 1), size):
        yield logits[begin : begin + size, ...]


def _block_moments(logits: Array, beta: float) -> Moments:
    xp = namespace(logits)
    z = widened(logits)
    top = xp.max(z, axis=1)
    below = z - xp.expand_dims(top, axis=1)
    masked = z == -xp.inf
    below = xp.where(masked, 0.0, below)
    odds = xp.where(masked, 0.0, xp.exp(beta * below))
    double = _pure._row_dtype(logits)
    sums = (odds, odds * below, odds * below * below)
    total, first, second = (xp.sum(s, axis=1, dtype=double) for s in sums)
    top = xp.astype(top, double)
    mean, square = first / total, second / total
    lse = xp.log(total) + (beta * top if beta > 0 else top - top)
    lse = xp.where(xp.isfinite(top), lse, xp.nan)
    return Moments(lse, top + mean, clip(square - mean**2, min=0.0))


def _writable(rows: Rows) -> bool:
    return rows.classes > 0 and (is_torch(rows.logits) or isinstance(rows.logits, np.ndarray))


def _blocks(rows: Rows) -> Iterator[tuple[Any, slice, Rows]]:
    """Where a block lies in the logits, which of the N rows it holds, and those rows."""
    logits = rows.logits.detach() if is_torch(rows.logits) else rows.logits
    batch, classes, *rest = logits.shape
    positions = math.prod(rest)
    size = CACHED if str(device_of(logits)) == "cpu" else LAUNCHED
    count = max(1, size // classes)  # rows in a block
    if count >= positions or batch == 0:  # whole members of the batch
        step = max(1, count // max(1, positions))
        for start in range(0, max(1, batch), step):
            stop = min(start + step, batch)
            part = slice(start * positions, stop * positions)
            where: Any = slice(start, stop)
            yield where, part, rows._replace(logits=logits[where], target=rows.target[part])
        return
    for member in range(batch):
        for start in range(0, positions, count):
            stop = min(start + count, positions)
            part = slice(member * positions + start, member * positions + stop)
            where = slice(member, member + 1), slice(None), slice(start, stop)
            yield where, part, rows._replace(logits=logits[where], target=rows.target[part])


def _block_statistics(rows: Rows, weighted: bool, argmax: bool, squares: bool) -> RowStatistics:
    xp = namespace(rows.logits)
    z = _pure.adjusted(rows)
    best = _pure.argmax_of(rows, z) if argmax else None
    greatest = xp.max(z, axis=1, keepdims=True) if argmax else None
    if z is rows.logits:
        z = xp.asarray(z, copy=True)
    where = _target_entries(rows)
    target_logit = z[where]
    z[where] = -xp.inf
    shift = clip(xp.max(z, axis=1), min=_pure.lowest(z))
    z -= _pure.per_row(shift, z)
    weighted_below = None
    if weighted:
        z[where] = 0.0
        weighted_below = _weighted_below(rows, z)
        z[where] = -xp.inf
    total = xp.sum(xp.exp(z, out=z), axis=1)
    sums = _pure.Sums(target_logit, shift, total, weighted_below)
    table = _pure.table_of(rows, sums)
    top = None if greatest is None else _pure.top_prob_of(greatest, table)
    square = _pure.square_rest_of(z, total, table) if squares else None
    return RowStatistics(rows, table, best, top, square)


def _weighted_below(rows: Rows, z: Array) -> Array:
    """Σ_j w_j (shift − z_j) of logits relative to the shift; w_j = 0 contributes nothing."""
    xp = namespace(z)
    if rows.weight is None:
        return -xp.sum(z, axis=1)
    weight = _pure.weight_of(rows, z)
    z = xp.where(_pure.per_class(weight, z) == 0, 0.0, z)
    return -(xp.matmul(z, weight) if z.ndim == 2 else xp.matmul(weight, z))


def _block_gradient(rows: Rows, statistics: RowStatistics, slopes: Slopes, out: Array) -> None:
    """Write a block's gradient to `out`, which may be its logits."""
    xp = namespace(rows.logits)
    z = _pure.adjusted(rows)
    factors = _pure.factors_of(rows, statistics, slopes)
    high, scale, _, push = (x if x is None else _pure.per_row(x, z) for x in factors)
    result = xp.subtract(z, high, out=out if z is rows.logits else z)
    xp.exp(result, out=result)
    result *= scale
    where = _target_entries(rows)
    # a target past the last class is that of a class elsewhere: of rows in blocks of classes
    elsewhere = xp.reshape(_pure.out_of_range(rows), where[1].shape)
    result[where] = xp.where(elsewhere, result[where], xp.reshape(factors.entry, where[1].shape))
    if push is not None:
        result -= push * _pure.per_class(_pure.weight_of(rows, z), z)
    if rows.softcap is not None:
        result *= _pure.softcap_slope(rows)
    ignored = rows.target == rows.ignore_index
    if str(device_of(ignored)) != "cpu" or bool(xp.any(ignored)):  # the look would wait elsewhere
        by_row = xp.moveaxis(result, 1, -1)
        by_row[xp.reshape(ignored, by_row.shape[:-1])] = 0.0
    if result is not out:
        out[...] = result


def _target_entries(rows: Rows) -> tuple[Any, ...]:
    """The index of the target's entry of every row; of some entry where there is none."""
    xp = namespace(rows.target)
    place = device_of(rows.target)
    batch, classes, *rest = rows.logits.shape
    target = clip(rows.target, min=0, max=classes - 1)
    if not rest:
        return xp.arange(batch, device=place), target
    members = xp.reshape(xp.arange(batch, device=place), (-1, 1))
    positions = xp.reshape(xp.arange(rest[0], device=place), (1, -1))
    return members, xp.reshape(target, (batch, rest[0])), positions


def _part(slope: Any, part: slice) -> Any:
    """A block's part of a slope; what is written to memory has no derivative."""
    return _pure.constant(slope[part] if getattr(slope, "ndim", 0) else slope)
