"""The check of everything that array callers hand to the rows."""

from __future__ import annotations

import math

import numpy as np

from crossentropy._arrays import Array, device_of, is_floating, is_torch, namespace

from ._contract import NOTHING, Rows, weight_dtype


def make(
    logits: Array,
    target: Array,
    *,
    weight: Array | None = None,
    temperature: float = 1.0,
    bias: Array | None = None,
    softcap: float | None = None,
    ignore_index: int = NOTHING,
    n_threads: int = 1,
) -> Rows:
    """Check arrays and lay them out for the row passes.

    Parameters
    ----------
    logits
        (N, C), real floating point: raw scores. Or (B, C, P), of which each of the N = B·P
        positions is a row.
    target
        (N,), integers: class indices in [0, C), or `ignore_index`.
    weight
        (C,), the w of S = Σ_j w_j z_j.
    temperature
        Positive number that divides the logits.
    bias
        (C,), added to the logits after the temperature.
    softcap
        Positive number that bounds the logits as softcap·tanh(logits / softcap), before the
        temperature.
    ignore_index
        Rows with this target count for nothing; by default there are none.
    n_threads
        At most so many threads.

    Raises
    ------
    TypeError
        If logits are not floating point or targets are not integers.
    ValueError
        If shapes or devices disagree, or temperature or softcap is not a positive number.
    """
    xp = namespace(logits, target)
    if not is_floating(logits):
        raise TypeError(f"logits must be floating point, got {logits.dtype}; convert them first")
    if not xp.isdtype(target.dtype, "integral"):
        raise TypeError(f"targets must be integer class indices, got {target.dtype}")
    if logits.ndim not in (2, 3):
        raise ValueError(f"logits must have shape (N, C), got {tuple(logits.shape)}")
    count = logits.shape[0] * math.prod(logits.shape[2:])
    if target.shape != (count,):
        raise ValueError(
            f"targets must have shape ({count},) to go with logits of shape "
            f"{tuple(logits.shape)}, got {tuple(target.shape)}"
        )
    if device_of(target) != device_of(logits):
        raise ValueError(
            f"targets lie on {device_of(target)}, logits on {device_of(logits)}; move one of them"
        )
    for name, number in (("temperature", temperature), ("softcap", softcap)):
        if number is not None and not 0 < number < math.inf:
            raise ValueError(f"{name} must be a positive number, got {number}")
    if n_threads < 1:
        raise ValueError(f"n_threads must be at least 1, got {n_threads}")
    return Rows(
        logits=_contiguous(logits),
        target=_contiguous(xp.astype(target, xp.int64, copy=False)),
        weight=_per_class(weight, logits, "weight"),
        temperature=float(temperature),
        bias=_per_class(bias, logits, "bias"),
        softcap=None if softcap is None else float(softcap),
        ignore_index=ignore_index,
        n_threads=n_threads,
    )


def _per_class(values: Array | None, logits: Array, name: str) -> Array | None:
    if values is None:
        return None
    xp = namespace(logits)
    values = xp.asarray(values, dtype=weight_dtype(logits), device=device_of(logits))
    if values.shape != logits.shape[1:2]:
        raise ValueError(
            f"{name} must have one number for each of the {logits.shape[1]} classes, "
            f"got shape {tuple(values.shape)}"
        )
    return _contiguous(values)


def _contiguous(array: Array) -> Array:
    """As the native kernels read it, for the libraries whose memory they read."""
    if is_torch(array):
        return array.contiguous().resolve_neg()
    if isinstance(array, np.ndarray):
        return np.ascontiguousarray(array)
    return array
