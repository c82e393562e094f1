"""Which array library an array belongs to."""

from __future__ import annotations

import sys
from typing import Any

from array_api_compat import array_namespace, device

Array = Any  # an array of any array-API library


def is_torch(array: Array) -> bool:
    """Whether an array is a PyTorch tensor, without importing torch."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(array, torch.Tensor)


def namespace(*arrays: Array) -> Any:
    """Array-API functions for these arrays, by a short cut for torch.

    The general look-up goes through caches that torch's compiler warns about.

    Raises
    ------
    TypeError
        If they are no arrays, or of several libraries.
    """
    if all(is_torch(array) for array in arrays):
        import array_api_compat.torch as torch_namespace

        return torch_namespace
    return array_namespace(*arrays)


def device_of(array: Array) -> Any:
    """Where an array lies: what `device=` takes."""
    return array.device if hasattr(array, "device") else device(array)
