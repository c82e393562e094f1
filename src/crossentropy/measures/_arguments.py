"""Arguments of measures: arrays of one library and one floating-point type, kinds of input, base.

Whether an array holds probabilities, their logarithms or logits is said by the caller. Lists and
numbers become NumPy arrays, or join the library of the array beside them.
"""

from __future__ import annotations

import contextlib
import math
import numbers
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
from array_api_compat import is_array_api_obj

from crossentropy._arrays import Array, device_of, is_floating, is_torch, namespace, widened
from crossentropy._errors import InputError

Input: TypeAlias = Literal["proba", "log_proba", "logits"]
Axis: TypeAlias = "int | tuple[int, ...]"

KINDS = ("proba", "log_proba", "logits")


class Arrays(NamedTuple):
    """Arrays to compute with, and what the result is to be.

    Attributes
    ----------
    xp
        Their library.
    values
        Arrays of one type of 32 bits or more.
    dtype
        The type that they were given in, or that holds all of them.
    sizes
        Bytes of a number of each array as it was given, by which its sums are judged.
    """

    xp: Any
    values: tuple[Array, ...]
    dtype: Any
    sizes: tuple[int, ...]


def as_arrays(*given: Any) -> Arrays:
    """Arrays of one library, device and floating-point type."""
    like = next(filter(_is_array, given), None)
    arrays = [joined(x, like) for x in given]
    xp = namespace(*arrays)
    for array in arrays:
        if not xp.isdtype(array.dtype, ("bool", "integral")) and not is_floating(array):
            raise InputError(f"real numbers are needed, got an array of {array.dtype}")
    types = [array.dtype for array in arrays if is_floating(array)]
    # For whole numbers alone, the library's own default.
    dtype = xp.result_type(*types) if types else xp.asarray(1.0).dtype
    sizes = tuple(_bytes(array.dtype if is_floating(array) else dtype) for array in arrays)
    values = tuple(widened(xp.astype(array, dtype, copy=False)) for array in arrays)
    return Arrays(xp, values, dtype, sizes)


def joined(given: Any, like: Array | None) -> Array:
    """An array as it is, and what is none in the library of another array."""
    if _is_array(given):
        return given
    if like is None or isinstance(like, np.ndarray):
        return np.asarray(given)
    return namespace(like).asarray(given, device=device_of(like))


def _is_array(given: Any) -> bool:
    """Whether this is an array of some library; by short cuts, as `namespace` has them."""
    if is_torch(given) or isinstance(given, np.ndarray):
        return True
    return bool(is_array_api_obj(given)) and not isinstance(given, np.generic)


def _bytes(dtype: Any) -> int:
    return int(getattr(dtype, "itemsize", 8))


def as_floating(given: Any) -> tuple[Array, Any]:
    """One array to compute with, and the type of the result."""
    arrays = as_arrays(given)
    return arrays.values[0], arrays.dtype


def constant(value: float, like: Array) -> Array:
    """A number of the type of an array, for libraries whose `where` takes no plain ones."""
    return namespace(like).asarray(value, dtype=like.dtype)


def least_normal(like: Array) -> float:
    """The smallest normal number of the type of an array.

    It stands in for probabilities of zero that are multiplied by zero: the product is zero, and
    its derivative large where the true one is infinite, but no NaN once it meets another zero.
    """
    return float(namespace(like).finfo(like.dtype).smallest_normal)


def quiet(like: Array) -> contextlib.AbstractContextManager[Any]:
    """Silence NumPy, and what is built on it, where infinities are answers, not accidents."""
    if is_torch(like):  # whose compiler does not know NumPy's switches
        return contextlib.nullcontext()
    return np.errstate(divide="ignore", invalid="ignore", over="ignore", under="ignore")


def check_inputs(input: Input | tuple[Input, ...], count: int) -> tuple[Input, ...]:
    """Give one kind of input for each array; one word stands for all."""
    kinds = (input,) * count if isinstance(input, str) else tuple(input)
    if len(kinds) != count or any(kind not in KINDS for kind in kinds):
        pair = ', or a pair of them such as ("proba", "logits")' if count == 2 else ""
        raise InputError(f'input must be "proba", "log_proba" or "logits"{pair}, got {input!r}')
    return kinds


def is_number(given: object) -> bool:
    """Whether this is one real number, NumPy's included."""
    # The first says it of Python's own to torch's compiler, which does not know the second.
    return type(given) in (int, float) or isinstance(given, numbers.Real)


def nats_per_unit(base: float) -> float:
    """Logarithm of the base: 1 for nats, log 2 for bits."""
    if not (is_number(base) and 1 < base < math.inf):
        raise InputError(f"base must be above 1 (2 for bits, math.e for nats), got {base!r}")
    return math.log(base)


def check_axes(axis: Axis, ndim: int) -> tuple[int, ...]:
    """Axes counted from the front."""
    axes = (axis,) if isinstance(axis, int) else tuple(axis)
    if any(not -ndim <= a < ndim for a in axes) or len({a % ndim for a in axes}) != len(axes):
        raise InputError(f"axis {axis} does not fit an array of {ndim} dimensions")
    return tuple(a % ndim for a in axes)


def first(bad: Array) -> int:
    """Position of the first true entry, in the order of memory."""
    xp = namespace(bad)
    return int(xp.argmax(xp.astype(xp.reshape(bad, (-1,)), xp.int8)))


def reject_entry(bad: Array, values: Array, rule: str) -> None:
    """Raise for the first entry that breaks a rule."""
    xp = namespace(bad)
    if bool(xp.any(bad)):
        where = first(bad)
        value = float(xp.reshape(values, (-1,))[where])
        at = position(where, bad.shape)
        raise InputError(f"{rule}; {'it' if at is None else f'entry {at}'} is {value:g}")


def position(index: int, shape: Sequence[int]) -> int | tuple[int, ...] | None:
    """Index of an entry in an array of a shape; None where there is only one."""
    if len(shape) == 0:
        return None
    at = tuple(int(i) for i in np.unravel_index(index, tuple(shape)))
    return at[0] if len(at) == 1 else at
