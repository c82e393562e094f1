"""The row passes in array code: fallback, path for other devices, and oracle of the tests.

Every step is an array-API function without writes, so it runs on NumPy, PyTorch (where
autograd, transforms and compilation follow it) and JAX alike. Logits of 16 bits are
widened to float32; what belongs to a row is float64 where the device has it. Classes lie
on axis 1; every other axis is a position of its own.
"""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np

from crossentropy._arrays import Array, device_of, is_torch, namespace, widened

from ._contract import Rows, RowStatistics, Slopes


def statistics(rows: Rows, *, weighted: bool = False, argmax: bool = False) -> RowStatistics:
    """L, log p_y, p_y, 1 − p_y and, if `weighted`, −Σ w log p of every row."""
    xp = namespace(rows.logits)
    with _quiet(rows.logits):
        z = _adjusted(rows, xp)
        double = _row_dtype(rows.logits, xp)
        target = _by_row(rows.target, z, xp)
        ignored = target == rows.ignore_index
        out_of_range = ((target < 0) | (target >= z.shape[1])) & ~ignored

        target_logit = _picked(z, xp.where(ignored | out_of_range, 0, target), xp)
        target_logit = xp.astype(target_logit, double, copy=False)
        # +inf is inf − inf, as in a plain softmax; the margin alone would hide it
        target_logit = xp.where((target_logit == xp.inf) | out_of_range, xp.nan, target_logit)
        target_logit = xp.where(ignored, 0.0, target_logit)

        rest = xp.where(_target_mask(target, z, xp), -xp.inf, z)
        shift, lse_rest = _logsumexp(rest, double, xp)
        lse_rest = xp.where(ignored, -xp.inf, lse_rest)
        log_prob = -xp.logaddexp(lse_rest - target_logit, xp.zeros_like(target_logit))
        lse = xp.where(target_logit == -xp.inf, lse_rest, target_logit - log_prob)
        columns = [lse, log_prob, xp.exp(log_prob), -xp.expm1(log_prob)]
        if weighted:
            columns.append(xp.where(ignored, 0.0, _weighted_nll(rows, z, shift, lse, xp)))
        table = xp.stack([xp.reshape(column, (-1,)) for column in columns])
        best = xp.reshape(xp.argmax(z, axis=1), (-1,)) if argmax else None
        return RowStatistics(rows, table, best)


def gradient(
    rows: Rows, statistics: RowStatistics, slopes: Slopes, *, out: Array | None = None
) -> Array:
    """a·softmax(z)_j − c·w_j − b·[j = y], in the logits, by every row."""
    xp = namespace(rows.logits)
    with _quiet(rows.logits):
        z = _adjusted(rows, xp)
        a, b, c = (_column(s, rows, statistics, xp) for s in slopes)
        # |a| goes into the exponent, so that a huge slope never makes inf · 0, and the
        # exponent is subtracted in two parts, since a float32 L is too coarse at large offsets
        exponent = statistics.lse - xp.log(xp.abs(a))
        high = xp.astype(exponent, z.dtype, copy=False)
        low = exponent - xp.astype(high, exponent.dtype, copy=False)
        low = xp.astype(xp.where(xp.isnan(low), 0.0, low), z.dtype, copy=False)
        sign = xp.astype(xp.where(a < 0, -xp.ones_like(a), xp.ones_like(a)), z.dtype, copy=False)
        high, low, sign = (_per_row(x, z, xp) for x in (high, low, sign))
        result = xp.exp((z - high) - low) * sign

        # from 1 − p, never from a·p − b, which cancels
        entry = -b * statistics.prob_rest + xp.where(a == b, 0.0, (a - b) * statistics.prob)
        entry = _per_row(xp.astype(entry, z.dtype, copy=False), z, xp)
        target = _by_row(rows.target, z, xp)
        result = xp.where(_target_mask(target, z, xp), entry, result)
        if slopes.c is not None:
            push = _per_row(xp.astype(c, z.dtype, copy=False), z, xp)
            result = result - push * _per_class(_weight(rows, z, xp), z)
        if rows.softcap is not None:
            result = result * _softcap_slope(rows, xp)
        ignored = xp.expand_dims(target == rows.ignore_index, axis=1)
        result = xp.astype(xp.where(ignored, 0.0, result), rows.logits.dtype, copy=False)
    if out is None:
        return result
    out[...] = result
    return out


def _adjusted(rows: Rows, xp: Any) -> Array:
    z = widened(rows.logits)
    if rows.softcap is not None:
        z = rows.softcap * xp.tanh(z / rows.softcap)
    if rows.temperature != 1.0:
        z = z / rows.temperature
    if rows.bias is not None:
        z = z + _per_class(xp.astype(rows.bias, z.dtype, copy=False), z)
    return z


def _softcap_slope(rows: Rows, xp: Any) -> Array:
    """Slope of softcap·tanh(z / softcap), sech², by exponentials that keep its digits."""
    decay = xp.exp(-2 * xp.abs(widened(rows.logits) / rows.softcap))
    return 4 * decay / (1 + decay) ** 2


def _row_dtype(logits: Array, xp: Any) -> Any:
    return xp.float32 if "mps" in str(device_of(logits)) else xp.float64


def _by_row(values: Array, z: Array, xp: Any) -> Array:
    """(N,) as the logits' shape without its classes."""
    return xp.reshape(values, (z.shape[0], *z.shape[2:]))


def _per_row(values: Array, z: Array, xp: Any) -> Array:
    """(N,) to broadcast over the logits' classes."""
    return xp.expand_dims(_by_row(values, z, xp), axis=1)


def _per_class(values: Array, z: Array) -> Array:
    """(C,) to broadcast over the logits' rows."""
    return namespace(values).reshape(values, (1, -1, *(1,) * (z.ndim - 2)))


def _picked(z: Array, index: Array, xp: Any) -> Array:
    """One class of each row; 0 where there are no classes."""
    if z.shape[1] == 0:
        return xp.zeros_like(index, dtype=z.dtype)
    return xp.squeeze(xp.take_along_axis(z, xp.expand_dims(index, axis=1), axis=1), axis=1)


def _target_mask(target: Array, z: Array, xp: Any) -> Array:
    classes = _per_class(xp.arange(z.shape[1], device=device_of(z)), z)
    return xp.expand_dims(target, axis=1) == classes


def _logsumexp(z: Array, double: Any, xp: Any) -> tuple[Array, Array]:
    """The shift used (the maximum, 0 where that is not finite), and the logsumexp of each row."""
    if z.shape[1] == 0:
        none = xp.zeros((z.shape[0], *z.shape[2:]), dtype=double, device=device_of(z))
        return none, none - xp.inf
    top = xp.max(z, axis=1)
    shift = xp.where(xp.isfinite(top), top, xp.zeros_like(top))
    total = xp.sum(xp.exp(z - xp.expand_dims(shift, axis=1)), axis=1)
    total = xp.astype(total, double, copy=False)
    shift = xp.astype(shift, double, copy=False)
    # all −inf: the logarithm is kept away from 0, where its derivative is not finite
    empty = total == 0
    lse = shift + xp.log(xp.where(empty, 1.0, total))
    lse = xp.where(empty, -xp.inf, lse)
    return shift, xp.where(xp.isinf(total), xp.nan, lse)


def _weight(rows: Rows, z: Array, xp: Any) -> Array:
    if rows.weight is None:
        return xp.ones(z.shape[1], dtype=z.dtype, device=device_of(z))
    return xp.astype(rows.weight, z.dtype, copy=False)


def _weighted_nll(rows: Rows, z: Array, shift: Array, lse: Array, xp: Any) -> Array:
    """Σ_j w_j (L − z_j), summed relative to the row's shift; w_j = 0 contributes nothing."""
    weight = _weight(rows, z, xp)
    by_class = _per_class(weight, z)
    below = xp.expand_dims(xp.astype(shift, z.dtype, copy=False), axis=1) - z
    terms = xp.where(by_class == 0, xp.zeros_like(below), by_class * below)
    total = xp.sum(xp.astype(weight, lse.dtype, copy=False))
    nll = xp.sum(xp.astype(terms, lse.dtype, copy=False), axis=1) + total * (lse - shift)
    return xp.where(xp.isnan(shift), xp.nan, nll)


def _column(slope: Array | float | None, rows: Rows, statistics: RowStatistics, xp: Any) -> Array:
    if slope is None:
        return None
    return (xp.zeros_like(statistics.log_prob) + slope) / rows.temperature


def _quiet(array: Array) -> contextlib.AbstractContextManager[None]:
    """NumPy, and what is built on it, warns of inf − inf and log 0, which are ordinary here."""
    return contextlib.nullcontext() if is_torch(array) else np.errstate(all="ignore")
