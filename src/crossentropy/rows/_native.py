"""The row passes by the native kernels: contiguous logits on the CPU, of 16, 32 or 64 bits.

Takes NumPy arrays and PyTorch tensors as addresses, which costs a microsecond a call
where the array protocols cost five. Whoever builds `Rows` has checked type, shape,
layout and lifetime.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any, Protocol

import numpy as np

from crossentropy._arrays import Array, is_torch

from ._contract import NOTHING, Moments, Rows, RowStatistics, Slopes, weight_dtype
from ._training import SoftTarget, Training

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

    def type_code(self, array: Array) -> int:
        """Its number type, as the kernels count them: the index in `TYPES`."""
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

    def address(self, array: Any) -> int:
        return int(array.__array_interface__["data"][0])

    def type_code(self, array: Any) -> int:
        return _CODES[array.dtype]

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
        self._codes = {getattr(torch, name): code for code, name in enumerate(TYPES)}

    def readable(self, array: Any) -> bool:
        """Whether it is logits that the kernels can read."""
        return array.dtype in self._codes and self.has_memory(array)

    def has_memory(self, array: Any) -> bool:
        """Whether its numbers lie where it points: plain and on the CPU.

        A view may be lazily negated, and a tensor of lazy zeros has no memory at all.
        """
        return (
            type(array) in self._classes
            and array.is_cpu
            and not array.is_neg()
            and not array._is_zerotensor()
        )

    def address(self, array: Any) -> int:
        address: int = array.data_ptr()
        return address

    def type_code(self, array: Any) -> int:
        return self._codes[array.dtype]

    def is_contiguous(self, array: Any) -> bool:
        return bool(array.is_contiguous())

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
_NUMPY = NumpyMemory()
_torch: TorchMemory | None = None


def memory_of(logits: Array) -> Memory | None:
    """The memory of an array that the kernels can read, or None."""
    if type(logits) is np.ndarray:
        return _NUMPY if _code(logits.dtype) is not None else None
    if not is_torch(logits):
        return None
    memory = torch_memory()
    return memory if memory.readable(logits) else None


def torch_memory() -> TorchMemory:
    """The memory of tensors, where torch is imported."""
    global _torch
    _torch = _torch or TorchMemory(sys.modules["torch"])
    return _torch


def statistics(
    rows: Rows,
    memory: Memory,
    *,
    weighted: bool = False,
    argmax: bool = False,
    squares: bool = False,
) -> RowStatistics:
    """As the reference's, in one read of the logits.

    Raises
    ------
    IndexError
        If a target is out of range.
    """
    (count,) = rows.target.shape
    weight = _weight(rows, memory) if weighted else None
    total = float(memory.column(weight).sum()) if weighted else 0.0
    table = memory.table((5 if weighted else 4, count))
    best = memory.indices(count) if argmax else None
    top = memory.table((1, count))[0] if argmax else None
    square = memory.table((1, count))[0] if squares else None
    bad = kernels.statistics(
        *_common(rows, memory),
        _address(weight, memory),
        total,
        memory.address(table),
        _address(best, memory),
        _address(top, memory),
        _address(square, memory),
        rows.n_threads,
    )
    if bad >= 0:
        raise_out_of_range(rows, bad)
    return RowStatistics(rows, table, best, top, square)


def gradient(
    rows: Rows,
    statistics: RowStatistics,
    slopes: Slopes,
    memory: Memory,
    *,
    out: Array | None = None,
) -> Array:
    """As the reference's, in one read of the logits and one write of `out`."""
    result, fresh = output(rows.logits, memory, out)
    a = memory.column(slopes.a)
    b = a if slopes.b is slopes.a else memory.column(slopes.b)
    c = None if slopes.c is None else memory.column(slopes.c)
    weight = None if c is None else _weight(rows, memory)
    kernels.gradient(
        *_common(rows, memory),
        _address(weight, memory),
        memory.address(statistics.table),
        memory.address(a),
        a.ndim > 0,
        memory.address(b),
        b.ndim > 0,
        _address(c, memory),
        c is not None and c.ndim > 0,
        memory.address(result),
        fresh,
        rows.n_threads,
    )
    return result


def train(
    rows: Rows,
    training: Training,
    memory: Memory,
    *,
    wants_gradient: bool = True,
    upstream: float = 1.0,
    out: Array | None = None,
) -> tuple[float, Array | None]:
    """The reduced loss and its gradient times `upstream`, in one read of the logits.

    Raises
    ------
    IndexError
        If a target is out of range.
    """
    result, fresh = output(rows.logits, memory, out) if wants_gradient else (None, False)
    bad, loss = kernels.train(
        *_common(rows, memory),
        _address(rows.weight, memory),
        training.rule,
        _address(training.class_weight, memory),
        _address(training.sample_weight, memory),
        *training[3:],
        upstream,
        _address(result, memory),
        fresh,
        rows.n_threads,
    )
    if bad >= 0:
        raise_out_of_range(rows, bad)
    return loss, result


def soft(
    rows: Rows,
    target: Array,
    soft: SoftTarget,
    memory: Memory,
    *,
    wants_gradient: bool = True,
    factor: float = 1.0,
    row_factor: Array | None = None,
    out: Array | None = None,
) -> tuple[Array, Array | None]:
    """The losses of rows, (N,) float64, and their gradient times the factors, in one read.

    Raises
    ------
    MemoryError
        If there is no memory for a row.
    """
    result, fresh = output(rows.logits, memory, out) if wants_gradient else (None, False)
    count, classes = rows.logits.shape
    losses = memory.table((1, count))[0]
    kernels.soft(
        memory.type_code(rows.logits),
        memory.address(rows.logits),
        count,
        classes,
        rows.softcap or 0.0,
        1.0 / rows.temperature,
        _address(rows.bias, memory),
        memory.address(target),
        soft.is_teacher,
        soft.teacher_scale,
        _address(soft.class_weight, memory),
        _address(soft.prior, memory),
        soft.keep,
        soft.spread,
        soft.z_loss,
        _address(soft.mask, memory),
        _address(row_factor, memory),
        factor,
        memory.address(losses),
        _address(result, memory),
        fresh,
        rows.n_threads,
    )
    return losses, result


def soft_mass(target: Array, soft: SoftTarget, memory: Memory, n_threads: int) -> Array:
    """Σ_j ω_j·t_j of every row, (N,) float64, in one read of the targets.

    Raises
    ------
    MemoryError
        If there is no memory for a row.
    """
    count, classes = target.shape
    masses = memory.table((1, count))[0]
    kernels.soft_mass(
        memory.type_code(target),
        memory.address(target),
        count,
        classes,
        _address(soft.class_weight, memory),
        _address(soft.mask, memory),
        memory.address(masses),
        n_threads,
    )
    return masses


def moments(logits: Array, beta: float, memory: Memory, n_threads: int) -> Moments:
    """As the reference's, in one read of the logits."""
    count, classes = logits.shape
    table = memory.table((3, count))
    kernels.moments(
        memory.type_code(logits),
        memory.address(logits),
        count,
        classes,
        beta,
        memory.address(table),
        n_threads,
    )
    return Moments(table[0], table[1], table[2])


def output(logits: Array, memory: Memory, out: Array | None) -> tuple[Array, bool]:
    """Where a gradient goes, and whether the memory is new."""
    return memory.output(logits) if out is None else (out, False)


def raise_out_of_range(rows: Rows, row: int) -> None:
    """Raise torch's error for the target of a row, with the range beside it."""
    allowed = "" if rows.ignore_index == NOTHING else f", or ignore_index={rows.ignore_index}"
    raise IndexError(
        f"Target {int(rows.target[row])} is out of bounds: row {row} needs a class index in "
        f"[0, {rows.classes - 1}]{allowed}"
    )


def _common(rows: Rows, memory: Memory) -> tuple[Any, ...]:
    """What both passes begin with. `rows` keeps the arrays alive during the call."""
    logits = rows.logits
    shape = logits.shape
    return (
        memory.type_code(logits),
        memory.address(logits),
        memory.address(rows.target),
        shape[0],
        shape[1],
        shape[2] if len(shape) > 2 else 1,
        rows.ignore_index,
        rows.softcap or 0.0,
        1.0 / rows.temperature,
        0 if rows.bias is None else memory.address(rows.bias),
    )


def _weight(rows: Rows, memory: Memory) -> Array:
    return memory.ones(rows.logits) if rows.weight is None else rows.weight


def _address(array: Array | None, memory: Memory) -> int:
    return 0 if array is None else memory.address(array)
