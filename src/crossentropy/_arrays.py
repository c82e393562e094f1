"""Which array library an array belongs to."""

from __future__ import annotations

import importlib
import sys
from typing import Any

import numpy as np
from array_api_compat import array_namespace, device

Array = Any  # an array of any array-API library


def is_torch(array: Array) -> bool:
    """Whether an array is a PyTorch tensor, without importing torch."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(array, torch.Tensor)


def namespace(*arrays: Array) -> Any:
    """Array-API functions for these arrays, by short cuts for NumPy and torch.

    The general look-up takes microseconds, through caches that torch's compiler warns about.

    Raises
    ------
    TypeError
        If they are no arrays, or of several libraries.
    """
    if all(type(array) is np.ndarray for array in arrays):
        return _compat("array_api_compat.numpy")
    if all(is_torch(array) for array in arrays):
        return _compat("array_api_compat.torch")
    return array_namespace(*arrays)


def _compat(name: str) -> Any:
    """A module that is imported once; the import statement would look for it at every call."""
    return sys.modules.get(name) or importlib.import_module(name)


def device_of(array: Array) -> Any:
    """Where an array lies: what `device=` takes."""
    return array.device if hasattr(array, "device") else device(array)


def is_floating(array: Array) -> bool:
    """Whether an array holds real floating-point numbers, NumPy's extension types included."""
    if str(array.dtype) == "bfloat16":  # of ml_dtypes, which the standard does not know
        return True
    return bool(namespace(array).isdtype(array.dtype, "real floating"))


def widened(array: Array) -> Array:
    """Numbers of 16 bits as float32, others as they are."""
    xp = namespace(array)
    short = getattr(array.dtype, "itemsize", 4) < 4
    return xp.astype(array, xp.float32) if short else array


def clip(array: Array, *, min: float | None = None, max: float | None = None) -> Array:
    """The standard's clip, by the method where there is one.

    The wrappers take ten times longer, and look at bounds that a compiler knows by name only.
    """
    if type(array) is np.ndarray or is_torch(array):
        return array.clip(min=min, max=max)
    return namespace(array).clip(array, min=min, max=max)
