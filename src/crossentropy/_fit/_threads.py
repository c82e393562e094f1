"""Work on rows, in blocks that stay in the cache, over threads."""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

_BLOCK = 2**17  # logits
_Result = TypeVar("_Result")


def over_blocks(
    work: Callable[[slice], _Result], shape: tuple[int, ...], n_threads: int = 1
) -> list[_Result]:
    """Results of work on blocks of rows, in order: the same whatever the number of threads.

    NumPy and the kernels let go of the interpreter while they work.
    """
    count, classes = shape
    size = max(1, _BLOCK // max(classes, 1))
    parts = [slice(k * size, (k + 1) * size) for k in range(math.ceil(count / size))]
    if n_threads == 1 or len(parts) <= 1:
        return [work(part) for part in parts]
    with ThreadPoolExecutor(min(n_threads, len(parts))) as pool:
        return list(pool.map(work, parts))
