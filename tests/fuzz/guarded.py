"""Memory whose neighbours notice: a page that may not be touched, and a pattern that is kept."""

import ctypes
import math
import mmap

import numpy as np

_PATTERN = 0xA5
_PROT_NONE = 0
_mprotect = ctypes.CDLL(None, use_errno=True).mprotect
_mprotect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)


class Guarded:
    """An array that ends (or starts) where a forbidden page starts (or ends).

    One access beyond that edge ends the process; writes beyond the other edge are found by
    `intact`, and so are those between edge and array, should they be some bytes `apart`.
    """

    def __init__(self, shape, dtype, *, at_start=False, apart=0):
        dtype = np.dtype(dtype)
        size = math.prod(shape) * dtype.itemsize
        page = mmap.PAGESIZE
        inner = ((size + apart) // page + 1) * page
        self._memory = mmap.mmap(-1, inner + page)
        self._bytes = np.frombuffer(self._memory, np.uint8)
        forbidden = 0 if at_start else inner
        first = page if at_start else 0
        begin = page + apart if at_start else inner - size - apart
        self._outside = np.ones(self._bytes.size, bool)
        self._outside[begin : begin + size] = False
        self._outside[forbidden : forbidden + page] = False
        self._bytes[first : first + inner] = _PATTERN
        if _mprotect(self._bytes.ctypes.data + forbidden, page, _PROT_NONE):
            raise OSError(ctypes.get_errno(), "mprotect failed")
        self.array = self._bytes[begin : begin + size].view(dtype).reshape(shape)

    def intact(self):
        """Whether nothing outside the array was written to."""
        return bool((self._bytes[self._outside] == _PATTERN).all())
