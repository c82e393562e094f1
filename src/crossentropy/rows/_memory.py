"""The native extension, and how its kernels address and make arrays of NumPy and of PyTorch.

Arrays go as addresses, which costs a microsecond a call where the array protocols cost five.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np

from crossentropy._arrays import Array, is_torch

from ._contract import weight_dtype

TYPES = ("float32", "float64", "bfloat16", "float16")  # in the kernels' order

kernels: Any = None
error: str | None = None
try:
    kernels = importlib.import_module("crossentropy._native")
except ImportError as reason:
    error = f"installed without the native extension, as where no compiler is found ({reason})"


_CODES: dict[Any, int] = {np.dtype(name): code for code, name in enumerate(TYPES) if code != 2}


def _code(dtype: np.dtype[Any]) -> int | None:
    """A NumPy type as the kernels count them; bfloat16 is ml_dtypes', which need not be there."""
    if dtype not in _CODES and str(dtype) == "bfloat16":
        _CODES[dtype] = TYPES.index("bfloat16")
    return _CODES.get(dtype)


class Memory(Protocol):
    """How to address and make arrays of one library."""

    def address(self, array: Array) -> int:
        """Where the array's first element lies."""
        ...

    @property
    def codes(self) -> Mapping[Any, int]:
        """Its number types, as the kernels count them: their index in `TYPES`."""
        ...

    def is_contiguous(self, array: Array) -> bool:
        """Whether its elements lie one after the other, the last axis fastest."""
        ...

    def table(self, shape: tuple[int, int]) -> Array:
        """An uninitialised float64 array."""
        ...

    def indices(self, count: int) -> Array:
        """An uninitialised int64 array."""
        ...

    def ones(self, like: Array) -> Array:
        """A one per class of these logits, of the type that goes with them."""
        ...

    def output(self, array: Array) -> tuple[Array, bool]:
        """An uninitialised array of the same type and shape, and whether its memory is new."""
        ...

    def column(self, slope: Array | float) -> Array:
        """A contiguous float64 array: N numbers, or a single one."""
        ...


class NumpyMemory:
    """`Memory` of NumPy arrays."""

    codes = _CODES

    def address(self, array: Any) -> int:
        return int(array.__array_interface__["data"][0])

    def is_contiguous(self, array: Any) -> bool:
        return bool(array.flags.c_contiguous)

    def table(self, shape: tuple[int, int]) -> Any:
        return np.empty(shape)

    def indices(self, count: int) -> Any:
        return np.empty(count, dtype=np.int64)

    def ones(self, like: Any) -> Any:
        return np.ones(like.shape[1], dtype=weight_dtype(like))

    def output(self, array: Any) -> tuple[Any, bool]:
        return np.empty_like(array), True

    def column(self, slope: Any) -> Any:
        return np.asarray(slope, dtype=np.float64, order="C")


class TorchMemory:
    """`Memory` of PyTorch tensors on the CPU."""

    def __init__(self, torch: Any) -> None:
        self._torch = torch
        self._classes = (torch.Tensor, torch.nn.Parameter)
        self.codes = {getattr(torch, name): code for code, name in enumerate(TYPES)}
        self._is_wrapped = torch._C._functorch.is_functorch_wrapped_tensor
        # with it the kernels read and make tensors themselves; older versions have none
        table = getattr(torch.Tensor, "__dlpack_c_exchange_api__", None)
        self.tensors: Any = table and kernels and kernels.Tensors(table, *self._classes)
        # not methods around these: small batches wait for every call
        self.address: Callable[[Any], int] = torch.Tensor.data_ptr
        self.is_contiguous: Callable[[Any], bool] = torch.Tensor.is_contiguous

    def readable(self, array: Any) -> bool:
        """Whether it is logits that the kernels can read."""
        return array.dtype in self.codes and self.have_memory(array)

    def are_plain(self, *arrays: Any) -> bool:
        """Whether their numbers lie where they point, one after the other."""
        return self.have_memory(*arrays) and all(map(self.is_contiguous, arrays))

    def have_memory(self, *arrays: Any) -> bool:
        """Whether their numbers lie where they point: plain and on the CPU.

        A view may be lazily negated, and a tensor of lazy zeros has no memory at all, nor has what
        outlived a function transform.
        """
        for array in arrays:
            if (
                type(array) not in self._classes
                or not array.is_cpu
                or array.is_neg()
                or array._is_zerotensor()
                or self._is_wrapped(array)
            ):
                return False
        return True

    def table(self, shape: tuple[int, int]) -> Any:
        return self._torch.empty(shape, dtype=self._torch.float64)

    def indices(self, count: int) -> Any:
        return self._torch.empty(count, dtype=self._torch.int64)

    def ones(self, like: Any) -> Any:
        return self._torch.ones(like.shape[1], dtype=weight_dtype(like))

    def output(self, array: Any) -> tuple[Any, bool]:
        # a tensor on the device "meta" has a type and a shape, and no memory of its own
        if array.nbytes < _LARGE or (kept := kernels.memory(array.nbytes)) is None:
            return self._torch.empty_like(array, device="cpu"), True
        memory, fresh = kept
        storage = self._torch.from_numpy(memory).untyped_storage()
        result = self._torch.empty(0, dtype=array.dtype)
        return result.set_(storage, 0, array.shape, array.stride()), fresh

    def column(self, slope: Any) -> Any:
        return self._torch.as_tensor(slope, dtype=self._torch.float64).contiguous()


_LARGE = 2**22  # bytes: below it, what the C library keeps by itself is quicker
NUMPY = NumpyMemory()
_torch: TorchMemory | None = None


def memory_of(logits: Array) -> Memory | None:
    """The memory of an array that the kernels can read, or None."""
    if type(logits) is np.ndarray:
        return NUMPY if _code(logits.dtype) is not None else None
    if not is_torch(logits):
        return None
    memory = torch_memory()
    return memory if memory.readable(logits) else None


def torch_memory() -> TorchMemory:
    """The memory of tensors, where torch is imported."""
    global _torch
    _torch = _torch or TorchMemory(sys.modules["torch"])
    return _torch
