"""The way of every measure: arguments in, a formula over rows, a number for each row out.

A formula takes distributions along the last axis and returns nats. NumPy arrays are handed to it
in blocks of rows that stay in the cache, with their validation; arrays of other libraries whole,
so that compilers and automatic differentiation see plain operations.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from crossentropy._arrays import Array, namespace
from crossentropy._errors import InputError

from ._arguments import (
    Axis,
    Input,
    as_arrays,
    check_axes,
    check_inputs,
    nats_per_unit,
    quiet,
    reject_entry,
)
from ._distribution import Distribution, Kind

Formula = Callable[..., Array]

_BLOCK = 2**15  # numbers of each array: a few temporaries of so many fit in a second-level cache
_NAMES = ("p", "q")


class Options(NamedTuple):
    """What the measures of whole distributions have in common."""

    input: Input | tuple[Input, ...]
    axis: Axis
    base: float
    keepdims: bool
    normalize: bool
    validate: bool


def measure(
    formula: Formula,
    *arrays: Array,
    names: Sequence[str] = _NAMES,
    options: Options,
    weights: Array | None = None,
) -> Array:
    """Value of a formula for every row, in units of a base.

    Parameters
    ----------
    formula
        Takes a `Distribution` for each array, then the weights along the last axis if there are
        any; returns nats by row.
    arrays
        What was given; shapes are broadcast.
    names
        The arrays' names, for errors.
    options, weights
        As the public functions have them. Several axes become the last one.
    """
    unit = nats_per_unit(options.base)
    kinds = check_inputs(options.input, len(arrays))
    extra = () if weights is None else (weights,)
    xp, values, dtype, sizes = as_arrays(*arrays, *extra)
    values, given_weights = values[: len(arrays)], values[len(arrays) :]
    values = _broadcast(xp, values, names)
    shape = values[0].shape
    axes = check_axes(options.axis, len(shape))
    rows = [_axes_last(xp, value, axes) for value in values]
    weight = None
    if given_weights:
        weight = _weight_rows(xp, given_weights[0], shape, axes, options.validate)
    described = [
        Kind(name, kind, size, options.normalize)
        for name, kind, size in zip(names, kinds, sizes, strict=False)
    ]
    with quiet(rows[0]):
        run = _in_blocks if isinstance(rows[0], np.ndarray) and rows[0].ndim > 1 else _whole
        # + 0.0: what is certain has 0 bits, not −0
        result = run(formula, rows, described, weight, options.validate) / unit + 0.0
    if options.keepdims:
        kept = tuple(1 if i in axes else n for i, n in enumerate(shape))
        result = xp.reshape(result, kept)
    return xp.astype(result, dtype, copy=False)


def _whole(
    formula: Formula,
    rows: Sequence[Array],
    kinds: Sequence[Kind],
    weight: Array | None,
    validate: bool,
) -> Array:
    return _value(formula, rows, kinds, weight, rows[0].shape[:-1] if validate else None, 0)


def _in_blocks(
    formula: Formula,
    rows: Sequence[Array],
    kinds: Sequence[Kind],
    weight: Array | None,
    validate: bool,
) -> Array:
    *shape, n = rows[0].shape
    count = math.prod(shape)
    flat = [row.reshape(count, n) for row in rows]
    by_row = weight is not None and weight.ndim > 1
    flat_weight = weight.reshape(count, n) if weight is not None and by_row else weight
    result = np.empty(count, dtype=rows[0].dtype)
    step = max(1, _BLOCK // max(1, n))
    for start in range(0, count, step):
        part = slice(start, start + step)
        own = flat_weight[part] if flat_weight is not None and by_row else flat_weight
        checked = tuple(shape) if validate else None
        block = [row[part] for row in flat]
        result[part] = _value(formula, block, kinds, own, checked, start)
    return result.reshape(shape)


def _value(
    formula: Formula,
    rows: Sequence[Array],
    kinds: Sequence[Kind],
    weight: Array | None,
    shape: tuple[int, ...] | None,
    start: int,
) -> Array:
    """Formula of some rows, checked if the shape is given that they are a part of."""
    distributions = [Distribution(row, kind) for row, kind in zip(rows, kinds, strict=True)]
    if shape is not None:
        for distribution in distributions:
            bad = distribution.bad_rows()
            if bool(distribution.xp.any(bad)):
                distribution.reject(bad, shape, start)
    return formula(*distributions) if weight is None else formula(*distributions, weight)


def _broadcast(xp: Any, values: tuple[Array, ...], names: Sequence[str]) -> tuple[Array, ...]:
    shapes = [value.shape for value in values]
    if all(shape == shapes[0] for shape in shapes[1:]) and shapes[0]:
        return values
    try:
        common = np.broadcast_shapes(*(tuple(shape) for shape in shapes))
    except ValueError:
        said = " and ".join(f"{n} of shape {tuple(s)}" for n, s in zip(names, shapes, strict=False))
        raise InputError(f"the shapes do not fit each other: {said}") from None
    if not common:
        raise InputError("a distribution needs an axis of outcomes, got a single number")
    return tuple(v if v.shape == common else xp.broadcast_to(v, common) for v in values)


def _axes_last(xp: Any, value: Array, axes: tuple[int, ...]) -> Array:
    """An array whose last axis holds what some of its axes held, in their order."""
    others = tuple(i for i in range(value.ndim) if i not in axes)
    order = others + axes
    moved = value if order == tuple(range(value.ndim)) else xp.permute_dims(value, order)
    if len(axes) == 1:
        return moved
    return xp.reshape(moved, (*moved.shape[: len(others)], math.prod(moved.shape[len(others) :])))


def _weight_rows(
    xp: Any, weight: Array, shape: tuple[int, ...], axes: tuple[int, ...], validate: bool
) -> Array:
    """Weights of outcomes, along the last axis."""
    if validate:
        check_weights(weight)
    if weight.shape == tuple(shape):
        return _axes_last(xp, weight, axes)
    if len(axes) == 1 and weight.shape == (shape[axes[0]],):
        return weight
    raise InputError(
        f"weights must have one number for each outcome or the shape {tuple(shape)} of the "
        f"distribution, got {tuple(weight.shape)}"
    )


def check_weights(weight: Array) -> None:
    """Raise for weights that are no finite, nonnegative numbers."""
    good = (weight >= 0) & namespace(weight).isfinite(weight)
    reject_entry(~good, weight, "weights must be finite and nonnegative")
