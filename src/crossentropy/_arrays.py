"""Which array library an array belongs to."""

from __future__ import annotations

import sys
from typing import Any

import array_api_compat.numpy as numpy_namespace
import numpy as np
from array_api_compat import array_namespace, device

Array = Any  # an array of any array-API library


def is_torch(array: Array) -> bool:
    """Whether an array is a PyTorch tensor, without importing torch."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(array, torch.Tensor)


def namespace(*arrays: Array) -> Any:
    """Array-API functions for these arrays; a short cut for NumPy and torch.

    The general look-up goes through caches that torch's compiler warns about.

    Raises
    ------
    TypeError
        If they are no arrays, or of several libraries.
    """
    if all(is_torch(array) for array in arrays):
        import array_api_compat.torch as torch_namespace

        return torch_namespace
    if all(isinstance(array, np.ndarray) for array in arrays):
        return numpy_namespace
    return array_namespace(*arrays)


def device_of(array: Array) -> Any:
    """Where an array lies: what `device=` takes."""
    return array.device if hasattr(array, "device") else device(array)
