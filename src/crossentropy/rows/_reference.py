"""The row passes in array code: fallback, path for other devices, and oracle of the tests.

Every step is an array-API function without writes, so it runs on NumPy, PyTorch (where
autograd, transforms and compilation follow it) and JAX alike. Logits of 16 bits are
widened to float32; what belongs to a row is float64 where the device has it.
"""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np

from crossentropy._arrays import Array, device_of, is_torch, namespace

from ._contract import Rows, RowStatistics, Slopes


def statistics(rows: Rows, *, weighted: bool = False) -> RowStatistics:
    """z_y, L₋, log p_y and, if `weighted`, −Σ w log p of every row. See `RowStatistics`."""
    xp = namespace(rows.logits)
    with _quiet(rows.logits):
        z = _adjusted(rows, xp)
        double = _row_dtype(rows.logits, xp)
        is_target = _target_mask(rows, xp)
        ignored = rows.target == rows.ignore_index
        out_of_range = ~xp.any(is_target, axis=1) & ~ignored

        target_logit = xp.sum(xp.where(is_target, z, xp.zeros_like(z)), axis=1)
        target_logit = xp.astype(target_logit, double, copy=False)
        # +inf is inf − inf, as in a plain softmax; the margin alone would hide it
        target_logit = xp.where((target_logit == xp.inf) | out_of_range, xp.nan, target_logit)
        target_logit = xp.where(ignored, 0.0, target_logit)

        shift, lse_rest = _logsumexp(xp.where(is_target, -xp.inf, z), double, xp)
        lse_rest = xp.where(ignored, -xp.inf, lse_rest)
        log_prob = -xp.logaddexp(lse_rest - target_logit, xp.zeros_like(target_logit))
        columns = [target_logit, lse_rest, log_prob]
        if weighted:
            partial = RowStatistics(xp.stack(columns))
            nll = _weighted_nll(rows, z, shift, partial.lse, xp)
            columns.append(xp.where(ignored, 0.0, nll))
        return RowStatistics(xp.stack(columns))


def gradient(
    rows: Rows, statistics: RowStatistics, slopes: Slopes, *, out: Array | None = None
) -> Array:
    """a·softmax(z)_j − c·w_j − b·[j = y], in the logits, by every row."""
    xp = namespace(rows.logits)
    with _quiet(rows.logits):
        z = _adjusted(rows, xp)
        a, b, c = (_column(s, rows, statistics, xp) for s in slopes)
        assert a is not None
        assert b is not None
        # |a| goes into the exponent, so that a huge slope never makes inf · 0, and the
        # exponent is subtracted in two parts, since a float32 L is too coarse at large offsets
        exponent = statistics.lse - xp.log(xp.abs(a))
        high = xp.astype(exponent, z.dtype, copy=False)
        low = exponent - xp.astype(high, exponent.dtype, copy=False)
        low = xp.astype(xp.where(xp.isnan(low), 0.0, low), z.dtype, copy=False)
        sign = xp.astype(xp.where(a < 0, -xp.ones_like(a), xp.ones_like(a)), z.dtype, copy=False)
        result = xp.exp((z - high[:, None]) - low[:, None]) * sign[:, None]

        # from 1 − p, never from a·p − b, which cancels
        entry = -b * statistics.prob_rest + xp.where(a == b, 0.0, (a - b) * statistics.prob)
        entry = xp.astype(entry, z.dtype, copy=False)
        result = xp.where(_target_mask(rows, xp), entry[:, None], result)
        if c is not None:
            weight = _weight(rows, z, xp)
            result = result - xp.astype(c, z.dtype, copy=False)[:, None] * weight[None, :]
        ignored = (rows.target == rows.ignore_index)[:, None]
        result = xp.astype(xp.where(ignored, 0.0, result), rows.logits.dtype, copy=False)
    if out is None:
        return result
    out[...] = result
    return out


def _adjusted(rows: Rows, xp: Any) -> Array:
    z = rows.logits
    if xp.finfo(z.dtype).bits < 32:
        z = xp.astype(z, xp.float32)
    if rows.temperature != 1.0:
        z = z / rows.temperature
    if rows.bias is not None:
        z = z + xp.astype(rows.bias, z.dtype, copy=False)[None, :]
    return z


def _row_dtype(logits: Array, xp: Any) -> Any:
    return xp.float32 if "mps" in str(device_of(logits)) else xp.float64


def _target_mask(rows: Rows, xp: Any) -> Array:
    classes = xp.arange(rows.logits.shape[1], device=device_of(rows.logits))
    return rows.target[:, None] == classes[None, :]


def _logsumexp(z: Array, double: Any, xp: Any) -> tuple[Array, Array]:
    """The shift used (the maximum, 0 where that is not finite), and the logsumexp of each row."""
    if z.shape[1] == 0:
        return xp.zeros(z.shape[0], dtype=double), xp.full(z.shape[0], -xp.inf, dtype=double)
    top = xp.max(z, axis=1)
    shift = xp.where(xp.isfinite(top), top, xp.zeros_like(top))
    total = xp.sum(xp.exp(z - shift[:, None]), axis=1)
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
    below = xp.astype(shift, z.dtype, copy=False)[:, None] - z
    terms = xp.where(weight[None, :] == 0, xp.zeros_like(below), weight[None, :] * below)
    total = xp.sum(xp.astype(weight, lse.dtype, copy=False))
    nll = xp.sum(xp.astype(terms, lse.dtype, copy=False), axis=1) + total * (lse - shift)
    return xp.where(xp.isnan(shift), xp.nan, nll)


def _column(
    slope: Array | float | None, rows: Rows, statistics: RowStatistics, xp: Any
) -> Array | None:
    if slope is None:
        return None
    like = statistics.log_prob
    return (xp.zeros_like(like) + slope) / rows.temperature


def _quiet(array: Array) -> contextlib.AbstractContextManager[None]:
    """NumPy, and what is built on it, warns of inf − inf and log 0, which are ordinary here."""
    return contextlib.nullcontext() if is_torch(array) else np.errstate(all="ignore")
