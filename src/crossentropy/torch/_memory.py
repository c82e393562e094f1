"""The memory that large gradients leave behind."""

from __future__ import annotations

from crossentropy.rows import _memory


def empty_cache() -> None:
    """Give the memory of large gradients that were freed back to the system.

    The memory of the last four is kept for the next ones: a system clears every page that it
    hands out, which takes longer than the kernels do. What is kept is marked as the system's to
    take whenever it needs memory (``MADV_FREE``), so this call makes no room; but tools that look
    at the resident size of a process count it. Memory of live gradients is left alone.

    Without native kernels, or where the system has no such mark, nothing is kept.

    Examples
    --------
    >>> from crossentropy.torch import empty_cache
    >>> empty_cache()
    """
    if _memory.kernels is not None:
        _memory.kernels.empty_cache()
