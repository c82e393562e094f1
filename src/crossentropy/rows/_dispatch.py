"""The choice of implementation: once at import by the environment, then call by call by array.

``CROSSENTROPY_ROWS`` forces a path: ``reference``, or an instruction-set level of the
native kernels (``v2``, ``v3``, ``v4`` on x86-64, ``generic`` elsewhere); ``native`` is the
best level and fails where there is none. Unset, the best that is there.
"""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Iterator, Sequence

import numpy as np

from crossentropy._arrays import Array, device_of, namespace

from . import _memory, _native, _reference
from ._contract import Moments, Rows, RowStatistics, Slopes

VARIABLE = "CROSSENTROPY_ROWS"
_path = "reference"


def available_paths() -> list[str]:
    """The paths that this machine can take, best first."""
    levels = list(_memory.kernels.levels()) if _memory.kernels else []
    return [*levels, "reference"]


def path() -> str:
    """The path in use: an instruction-set level, or ``reference``."""
    return _path


def native_error() -> str | None:
    """Why the native kernels are not in use, or None where they are."""
    if _path != "reference":
        return None
    return _memory.error or f"{VARIABLE}={os.environ.get(VARIABLE, '')} asks for the reference"


def use(name: str) -> None:
    """Take a path from now on, in this process.

    Parameters
    ----------
    name
        One of `available_paths`, or ``native`` for the best native level.

    Raises
    ------
    ValueError
        If this machine cannot take that path.
    """
    global _path
    paths = available_paths()
    wanted = paths[0] if name == "native" else name
    if wanted not in paths or (name == "native" and wanted == "reference"):
        why = f": {_memory.error}" if _memory.error else ""
        raise ValueError(f"no path {name!r} here; there are {', '.join(paths)}{why}")
    if wanted != "reference":
        _memory.kernels.select_level(wanted)
    _path = wanted


@contextlib.contextmanager
def using(name: str) -> Iterator[None]:
    """Take a path for a while; as `use`."""
    before = _path
    use(name)
    try:
        yield
    finally:
        use(before)


def statistics(
    rows: Rows, *, weighted: bool = False, argmax: bool = False, squares: bool = False
) -> RowStatistics:
    """One pass over the logits: L, log p_y, p_y and 1 − p_y of every row.

    Parameters
    ----------
    rows
        From `make`.
    weighted
        Whether to add −Σ_j w_j log p_j.
    argmax
        Whether to add the class of the greatest logit and its probability.
    squares
        Whether to add the sum of the other classes' squared probabilities.

    Raises
    ------
    IndexError
        If a target is neither a class index nor `ignore_index`.
    """
    memory = _memory_of(rows)
    if memory is not None:
        return _native.statistics(rows, memory, weighted=weighted, argmax=argmax, squares=squares)
    check_targets(rows)
    return _reference.statistics(rows, weighted=weighted, argmax=argmax, squares=squares)


def gradient(
    rows: Rows, statistics: RowStatistics, slopes: Slopes, *, out: Array | None = None
) -> Array:
    """One pass over the logits: the gradient of every row, in nats per logit.

    Parameters
    ----------
    rows
        As given to `statistics`. Or some of the classes of such rows: then a target that is not
        among them is one past the last, and has no entry.
    statistics
        What it returned.
    slopes
        The loss's slopes.
    out
        (N, C) array of the logits' type to write to; made where None. It may be the logits
        themselves. The native kernels write to contiguous ones only.

    Raises
    ------
    ValueError
        If a slope is neither one number nor one for each row, or `out` is not like the logits.
    """
    for slope in slopes:
        _check_length(slope, rows)
    if out is not None and (out.shape != rows.logits.shape or out.dtype != rows.logits.dtype):
        raise ValueError(
            f"out must have shape {tuple(rows.logits.shape)} and type {rows.logits.dtype}, "
            f"got {tuple(out.shape)} and {out.dtype}"
        )
    memory = _memory_of(rows)
    if memory is not None and (out is None or memory.is_contiguous(out)):
        return _native.gradient(rows, statistics, slopes, memory, out=out)
    return _reference.gradient(rows, statistics, slopes, out=out)


def moments(logits: Array, beta: float, *, n_threads: int = 1) -> Moments:
    """One pass over the logits: the logsumexp of β·z, and mean and variance of z under its softmax.

    The first two derivatives of the row's log loss in β are ``mean - z_y`` and ``variance``.

    Parameters
    ----------
    logits
        (N, C), real floating point, C at least 1. A masked class, −inf, stays so at every β.
    beta
        Nonnegative number: the inverse temperature.
    n_threads
        At most so many threads; the result does not depend on it.

    Raises
    ------
    ValueError
        If the logits are no such array, or beta is no such number.
    """
    if logits.ndim != 2 or logits.shape[1] == 0:
        raise ValueError(f"logits must have shape (N, C), got {tuple(logits.shape)}")
    if not 0 <= beta < math.inf:
        raise ValueError(f"beta must be a nonnegative number, got {beta}")
    memory = _memory.memory_of(logits) if _path != "reference" else None
    if memory is not None and memory.is_contiguous(logits):
        return _native.moments(logits, beta, memory, n_threads)
    return _reference.moments(logits, beta)


def scored_at_once(classes: int, n_threads: int) -> int:
    """The rows of a chunk of `score`: what a first- or second-level cache has room for."""
    return min(1024, max(64, n_threads * 2**18 // classes))


def score(
    values: Array | Sequence[Array],
    target: Array,
    weight: Array | None,
    sums: Sequence[Array | None],
    *,
    n_threads: int = 1,
) -> int | None:
    """One pass over logits that adds to the sums which scores are made of.

    All are NumPy arrays; whoever calls has checked them.

    Parameters
    ----------
    values
        (N, C) float32 or float64, C-contiguous; or the C columns, contiguous and of one type.
    target
        (N,) int64, in [0, C).
    weight
        (N,) float64, finite and nonnegative, or None for ones; rows of weight 0 count for nothing.
    sums
        Contiguous arrays, by class unless said: int64 numbers of rows and of those whose loss is
        infinite, which the sum of losses leaves out; float64 sums of the weights w of the latter,
        of w, of w by predicted class, of w·hit, w·loss and w·Brier score. Then (6,): sums of w²,
        and of w² times loss, loss², Brier score, its square, and hit. (cells, 4), over the rows
        whose greatest probability p lies in (0, 1/cells], …, (1 − 1/cells, 1]: w, w², w·p and
        w·hit. And (C, C), w by class and predicted class, or None.
    n_threads
        At most so many; the sums do not depend on it.

    Returns
    -------
    int or None
        The first row that is no prediction, from whose chunk on nothing was added, or −1. None
        where there are no native kernels, and nothing was done.
    """
    if _path == "reference":
        return None
    classes = values.shape[1] if isinstance(values, np.ndarray) else len(values)
    at_once = scored_at_once(classes, n_threads)
    target, weight = (a if a is None else np.ascontiguousarray(a) for a in (target, weight))
    shape = (len(target), classes)
    return _native.score(values, target, weight, sums, shape, at_once, n_threads, _memory.NUMPY)


def _memory_of(rows: Rows) -> _memory.Memory | None:
    return _memory.memory_of(rows.logits) if _path != "reference" else None


def _check_length(slope: Array | float | None, rows: Rows) -> None:
    shape = tuple(getattr(slope, "shape", ()))
    if shape and shape != tuple(rows.target.shape):
        raise ValueError(
            f"a slope is one number or one for each of {rows.target.shape[0]} rows, got {shape}"
        )


def check_targets(rows: Rows) -> None:
    """Raise IndexError where a target is neither a class nor `ignore_index`.

    On the CPU only: elsewhere the look would wait for the device, and such a row is NaN.
    """
    if str(device_of(rows.target)) != "cpu":
        return
    xp = namespace(rows.target)
    bad = (rows.target < 0) | (rows.target >= rows.logits.shape[1])
    bad = bad & (rows.target != rows.ignore_index)
    if bool(xp.any(bad)):
        row = int(xp.nonzero(bad)[0][0])
        _native.raise_out_of_range(rows.target, rows.classes, rows.ignore_index, row)


use(os.environ.get(VARIABLE) or available_paths()[0])
