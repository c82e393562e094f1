"""The same numbers, laid out in memory in every way that a caller may come with.

What lies between the numbers is NaN, so that whatever is read beside them shows.
"""

import numpy as np

from .guarded import Guarded


def contiguous(values):
    return values.copy()


def at_the_end_of_a_page(values):
    return _guarded(values, at_start=False)


def at_the_start_of_a_page(values):
    return _guarded(values, at_start=True)


def _guarded(values, at_start):
    array = Guarded(values.shape, values.dtype, at_start=at_start).array
    array[...] = values
    return array


def aligned_to_elements_only(values):
    flat = np.full(values.size + 3, np.nan, values.dtype)[3:]
    return _filled(flat.reshape(values.shape), values)


def aligned_to_nothing(values):
    memory = np.zeros(values.nbytes + 1, np.uint8)[1:]
    return _filled(memory.view(values.dtype).reshape(values.shape), values)


def transposed(values):
    return np.asfortranarray(values)


def classes_last(values):
    """As channels_last images: (N, C, …) as a view of (N, …, C)."""
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(values, 1, -1)), -1, 1)


def every_second_class(values):
    wide = np.full((values.shape[0], 2 * values.shape[1], *values.shape[2:]), np.nan, values.dtype)
    return _filled(wide[:, ::2], values)


def every_second_row(values):
    tall = np.full((2 * values.shape[0], *values.shape[1:]), np.nan, values.dtype)
    return _filled(tall[::2], values)


def slice_of_classes(values):
    wide = np.full((values.shape[0], values.shape[1] + 3, *values.shape[2:]), np.nan, values.dtype)
    return _filled(wide[:, 1:-2], values)


def reversed_classes(values):
    return _filled(np.empty_like(values)[:, ::-1], values)


def expanded(values):
    """One row for all, in memory once; the values must be equal."""
    one = values[:1].copy()
    return np.lib.stride_tricks.as_strided(one, values.shape, (0, *one.strides[1:]))


def read_only(values):
    array = _guarded(values, at_start=False)
    array.flags.writeable = False
    return array


def _filled(array, values):
    array[...] = values
    return array


COMMON = (
    contiguous,
    at_the_end_of_a_page,
    at_the_start_of_a_page,
    aligned_to_elements_only,
    transposed,
    classes_last,
    every_second_class,
    every_second_row,
    slice_of_classes,
    expanded,
)
NUMPY_ONLY = (aligned_to_nothing, reversed_classes, read_only)
