"""The check of everything that array callers hand to the elements."""

from __future__ import annotations

import numpy as np

from crossentropy._arrays import Array, device_of, is_floating, is_torch, namespace
from crossentropy._errors import InputError
from crossentropy.rows._contract import weight_dtype

from ._contract import Elements


def make(
    logits: Array,
    target: Array,
    *,
    weight: Array | None = None,
    pos_weight: Array | None = None,
    n_threads: int = 1,
) -> Elements:
    """Check arrays and lay them out for the pass.

    Parameters
    ----------
    logits
        Real floating point, of any shape: raw scores of the positive label.
    target
        Of the same shape, any real type: the label, 0 or 1, or its probability.
    weight, pos_weight
        Numbers that broadcast to that shape.
    n_threads
        At most so many threads.

    Raises
    ------
    TypeError
        If logits are not floating point or targets not real numbers.
    ValueError
        If shapes or devices disagree.
    """
    xp = namespace(logits, target)
    if not is_floating(logits):
        raise TypeError(f"logits must be floating point, got {logits.dtype}; convert them first")
    if not (is_floating(target) or xp.isdtype(target.dtype, ("bool", "integral"))):
        raise TypeError(f"targets must be real numbers in [0, 1], got {target.dtype}")
    if tuple(target.shape) != tuple(logits.shape):
        raise InputError(
            f"targets must have the logits' shape {tuple(logits.shape)}, got {tuple(target.shape)}"
        )
    if device_of(target) != device_of(logits):
        raise InputError(
            f"targets lie on {device_of(target)}, logits on {device_of(logits)}; move one of them"
        )
    if n_threads < 1:
        raise InputError(f"n_threads must be at least 1, got {n_threads}")
    return Elements(
        logits=contiguous(logits),
        target=contiguous(xp.astype(target, logits.dtype, copy=False)),
        weight=_broadcasting("sample_weight", weight, logits),
        pos_weight=_broadcasting("pos_weight", pos_weight, logits),
        n_threads=n_threads,
    )


def _broadcasting(name: str, values: Array | None, logits: Array) -> Array | None:
    if values is None:
        return None
    values = namespace(logits).asarray(values, dtype=weight_dtype(logits), device=device_of(logits))
    shape, wanted = tuple(values.shape), tuple(logits.shape)
    try:
        fits = np.broadcast_shapes(shape, wanted) == wanted
    except ValueError:
        fits = False
    if not fits:
        raise InputError(f"{name} must broadcast to the logits' shape {wanted}, got {shape}")
    return values


def contiguous(array: Array) -> Array:
    """As the native kernel reads it, for the libraries whose memory it reads."""
    if is_torch(array):
        return array.contiguous().resolve_neg()
    if isinstance(array, np.ndarray):
        return np.ascontiguousarray(array).reshape(array.shape)  # a number stays one
    return array
