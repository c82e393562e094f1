"""The row passes as array functions without writes: what autograd and compilers follow.

They run on NumPy, PyTorch (where autograd, transforms and compilation follow them) and JAX
alike, and `_reference` takes the work by row from here. Logits of 16 bits are widened to
float32; what belongs to a row is float64 where the device has it. Classes lie on axis 1;
every other axis is a position of its own.
"""

from __future__ import annotations

import contextlib
from typing import Any, NamedTuple

import numpy as np

from crossentropy._arrays import Array, clip, device_of, is_torch, namespace, widened

from ._contract import NOTHING, Rows, RowStatistics, Slopes

EXPONENT_LIMIT = 80.0  # exp of it, and of its negative, are ordinary float32 numbers


def statistics(
    rows: Rows, *, weighted: bool = False, argmax: bool = False, squares: bool = False
) -> RowStatistics:
    """L, log p_y, p_y, 1 − p_y and, if `weighted`, −Σ w log p of every row."""
    xp = namespace(rows.logits)
    if rows.classes == 0:  # where all rows can only be ignored
        none = xp.zeros((4 + weighted, rows.target.shape[0]), dtype=_row_dtype(rows.logits))
        nothing, best = none[0, ...], xp.zeros_like(rows.target) if argmax else None
        return RowStatistics(
            rows, none, best, nothing if argmax else None, nothing if squares else None
        )
    with quiet(rows.logits):
        z = adjusted(_silenced(rows))
        is_target = _target_mask(rows, z)
        nothing = xp.zeros_like(z)
        target_logit = xp.sum(xp.where(is_target, z, nothing), axis=1)
        # bounded before the maximum, so that a compiler takes both sweeps over a row in one go
        rest = xp.where(is_target, -xp.inf, constant(z))
        shift = xp.max(clip(rest, min=lowest(z)), axis=1)
        above = z - xp.expand_dims(shift, axis=1)
        total = xp.sum(_bounded_exp(above), axis=1) - _bounded_exp(target_logit - shift)
        weighted_below = None
        if weighted:
            weight = per_class(weight_of(rows, z), z)
            counts = (weight != 0) & ~is_target
            weighted_below = xp.sum(xp.where(counts, -weight * above, nothing), axis=1)
        sums = Sums(target_logit, shift, total, weighted_below)
        table = table_of(rows, sums)
        best = argmax_of(rows, z) if argmax else None
        top = top_prob_of(z, table) if argmax else None
        square = None
        if squares:
            others = xp.where(is_target, nothing, _bounded_exp(above))
            square = square_rest_of(others, total, table)
        return RowStatistics(rows, table, best, top, square)


def gradient(rows: Rows, statistics: RowStatistics, slopes: Slopes) -> Array:
    """a·softmax(z)_j − c·w_j − b·[j = y], in the logits, by every row."""
    xp = namespace(rows.logits)
    with quiet(rows.logits):
        z = adjusted(rows)
        factors = factors_of(rows, statistics, slopes)
        high, scale, entry, push = (x if x is None else per_row(x, z) for x in factors)
        result = xp.where(_target_mask(rows, z), entry, xp.exp(z - high) * scale)
        if push is not None:
            result = result - push * per_class(weight_of(rows, z), z)
        if rows.softcap is not None:
            result = result * softcap_slope(rows)
        ignored = per_row(rows.target == rows.ignore_index, z)
        return xp.astype(xp.where(ignored, 0.0, result), rows.logits.dtype, copy=False)


class Sums(NamedTuple):
    """What a pass over the logits leaves of each row; j = y is left out of the sums."""

    target_logit: Array
    shift: Array  # the greatest logit, or the least finite number
    total: Array  # Σ exp(z_j − shift)
    weighted_below: Array | None  # Σ w_j (shift − z_j), where w_j is not 0


def table_of(rows: Rows, sums: Sums) -> Array:
    """The statistics of each row, from its sums."""
    xp = namespace(sums.shift)
    double = _row_dtype(rows.logits)
    columns = (x if x is None else xp.astype(xp.reshape(x, (-1,)), double) for x in sums)
    target_logit, shift, total, weighted_below = columns
    ignored = rows.target == rows.ignore_index
    # +inf is inf − inf, as in a plain softmax; the margin alone would hide it
    target_logit = xp.where((target_logit == xp.inf) | out_of_range(rows), xp.nan, target_logit)
    target_logit = xp.where(ignored, 0.0, target_logit)

    # all −inf: the logarithm is kept away from 0, where its derivative is not finite
    empty = total == 0
    shift = xp.where(empty, 0.0, shift)
    lse_rest = shift + xp.log(xp.where(empty, 1.0, total))
    lse_rest = xp.where(empty | ignored, -xp.inf, lse_rest)
    lse_rest = xp.where(xp.isinf(total) & ~ignored, xp.nan, lse_rest)

    log_prob = -xp.logaddexp(lse_rest - target_logit, xp.zeros_like(target_logit))
    lse = xp.where(target_logit == -xp.inf, lse_rest, target_logit - log_prob)
    table = [lse, log_prob, xp.exp(log_prob), -xp.expm1(log_prob)]
    if weighted_below is not None:
        weight = weight_of(rows, lse)
        own = of_target(weight, rows)
        nll = weighted_below + xp.sum(weight) * (lse - shift)
        nll = nll + xp.where(own == 0, 0.0, own * (shift - target_logit))
        table.append(xp.where(ignored, 0.0, nll))
    return xp.stack(table)


def argmax_of(rows: Rows, z: Array) -> Array:
    """The class of the greatest logit of each row, 0 for ignored rows."""
    xp = namespace(z)
    best = xp.reshape(xp.argmax(z, axis=1), (-1,))
    return xp.where(rows.target == rows.ignore_index, xp.zeros_like(best), best)


def top_prob_of(z: Array, table: Array) -> Array:
    """The greatest probability of each row."""
    xp = namespace(table)
    greatest = xp.astype(xp.reshape(xp.max(z, axis=1), (-1,)), table.dtype, copy=False)
    return clip(xp.exp(greatest - table[0, ...]), max=1.0)


def square_rest_of(others: Array, total: Array, table: Array) -> Array:
    """Σ p_j² over j ≠ y, from what is proportional to those p_j, and its sum."""
    xp = namespace(table)
    squares, total = (
        xp.astype(xp.reshape(x, (-1,)), table.dtype, copy=False)
        for x in (xp.sum(others * others, axis=1), total)
    )
    unit = table[3, ...] / xp.where(total == 0, 1.0, total)
    return squares * unit * unit


class Factors(NamedTuple):
    """A row's gradient: scale·exp(z_j − high), `entry` for j = y, less push·w_j."""

    high: Array
    scale: Array
    entry: Array
    push: Array | None


def factors_of(rows: Rows, statistics: RowStatistics, slopes: Slopes) -> Factors:
    """What the gradient needs of each row, in the type it is computed in."""
    xp = namespace(statistics.table)
    single = widened(rows.logits[:0, ...]).dtype
    a, b, c = (_column(slope, rows, statistics) for slope in slopes)
    # |a| goes into the exponent, so that a huge slope never makes inf · 0, and the exponent
    # has two parts, since a float32 L is too coarse at large offsets
    exponent = statistics.lse - xp.log(xp.abs(a))
    high = xp.astype(exponent, single, copy=False)
    low = exponent - xp.astype(high, exponent.dtype, copy=False)
    low = xp.where(xp.isnan(low), 0.0, low)
    low = clip(low, min=-EXPONENT_LIMIT, max=EXPONENT_LIMIT)
    scale = xp.where(a < 0, -xp.exp(-low), xp.exp(-low))
    # from 1 − p, never from a·p − b, which cancels
    entry = -b * statistics.prob_rest + xp.where(a == b, 0.0, (a - b) * statistics.prob)
    rounded = (x if x is None else xp.astype(x, single, copy=False) for x in (scale, entry, c))
    return Factors(high, *rounded)


def adjusted(rows: Rows) -> Array:
    """The logits as the rule sees them: the same array where that is what they are."""
    xp = namespace(rows.logits)
    z = widened(rows.logits)
    if rows.softcap is not None:
        masked = xp.where(z == -xp.inf, -xp.inf, xp.zeros_like(z))  # which stays so, without slope
        z = rows.softcap * xp.tanh(z / rows.softcap) + masked
    if rows.temperature != 1.0:
        z = z / rows.temperature
    if rows.bias is not None:
        z = z + per_class(xp.astype(rows.bias, z.dtype, copy=False), z)
    return z


def logits_of(rows: Rows) -> Array:
    """(N, C) float64: the logits as the rule sees them, for a loss that reads them itself.

    0 in ignored rows, and NaN in rows whose target is no class.
    """
    xp = namespace(rows.logits)
    z = adjusted(_silenced(rows))
    if z.ndim > 2:
        z = xp.reshape(xp.permute_dims(z, (0, 2, 1)), (rows.target.shape[0], rows.classes))
    lost = out_of_range(rows) & (rows.target != rows.ignore_index)
    return xp.where(lost[:, None], xp.nan, xp.astype(z, _row_dtype(rows.logits), copy=False))


def softcap_slope(rows: Rows) -> Array:
    """Slope of softcap·tanh(z / softcap), sech², by exponentials that keep its digits."""
    xp = namespace(rows.logits)
    decay = xp.exp(-2 * xp.abs(widened(rows.logits) / rows.softcap))
    return 4 * decay / (1 + decay) ** 2


def constant(array: Array) -> Array:
    """The array, in which autograd sees no derivative."""
    return array.detach() if is_torch(array) else array


def lowest(z: Array) -> float:
    """The least finite number of the type of z."""
    return float(namespace(z).finfo(z.dtype).min)


def weight_of(rows: Rows, like: Array) -> Array:
    """W by class, in the type of another array."""
    xp = namespace(like)
    if rows.weight is None:
        return xp.ones(rows.classes, dtype=like.dtype, device=device_of(like))
    return xp.astype(rows.weight, like.dtype, copy=False)


def of_target(values: Array, rows: Rows) -> Array:
    """values[y] of every row, (C,) to (N,); anything where there is no such class."""
    xp = namespace(values)
    if values.shape[0] == 0:
        return xp.zeros(rows.target.shape, dtype=values.dtype, device=device_of(values))
    return xp.take(values, clip(rows.target, min=0, max=values.shape[0] - 1), axis=0)


def out_of_range(rows: Rows) -> Array:
    """Whether each row's target is no class; the ignored ones included."""
    return (rows.target < 0) | (rows.target >= rows.classes)


def _bounded_exp(above: Array) -> Array:
    """Exp of what lies above the greatest of the other logits, which only the target can.

    Bounded by 1, the target's term may go into a sum and out again: what is left is at least 1.
    """
    xp = namespace(above)
    return xp.exp(xp.where(above > 0, xp.zeros_like(above), above))


def per_row(values: Array, z: Array) -> Array:
    """(N,) to broadcast over the logits' classes."""
    return namespace(values).reshape(values, (z.shape[0], 1, *z.shape[2:]))


def per_class(values: Array, z: Array) -> Array:
    """(C,) to broadcast over the logits' rows."""
    return namespace(values).reshape(values, (1, -1, *(1,) * (z.ndim - 2)))


def quiet(array: Array) -> contextlib.AbstractContextManager[None]:
    """NumPy, and what is built on it, warns of inf − inf and log 0, which are ordinary here."""
    return contextlib.nullcontext() if is_torch(array) else np.errstate(all="ignore")


def _row_dtype(logits: Array) -> Any:
    xp = namespace(logits)
    return xp.float32 if "mps" in str(device_of(logits)) else xp.float64


def _silenced(rows: Rows) -> Rows:
    """Zeros in ignored rows, for a derivative of 0 times the NaN that they may hold is NaN."""
    if rows.ignore_index == NOTHING:
        return rows
    xp = namespace(rows.logits)
    ignored = per_row(rows.target == rows.ignore_index, rows.logits)
    return rows._replace(logits=xp.where(ignored, xp.zeros_like(rows.logits), rows.logits))


def _target_mask(rows: Rows, z: Array) -> Array:
    xp = namespace(z)
    classes = xp.arange(z.shape[1], dtype=xp.int32, device=device_of(z))
    target = xp.astype(rows.target, xp.int32)  # in lanes as wide as the logits
    return per_row(target, z) == per_class(classes, z)


def _column(slope: Array | float | None, rows: Rows, statistics: RowStatistics) -> Array:
    if slope is None:
        return None
    return (namespace(statistics.table).zeros_like(statistics.log_prob) + slope) / rows.temperature
