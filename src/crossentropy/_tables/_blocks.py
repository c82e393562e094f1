"""Arrays in NPY and NPZ files that are read block by block."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crossentropy._errors import InputError, closest

from ._files import existing


class ArrayFile:
    """An array in a file; `blocks` reads it from its beginning to its end.

    Parameters
    ----------
    path
        An NPY file, whose blocks are mapped to memory one at a time, or an NPZ file, whose
        arrays are read as a stream, compressed or not.
    member
        The array's name, of an NPZ file.

    Raises
    ------
    InputError
        If the file is missing, is neither, is cut short or holds no such array, or Python objects.
    """

    def __init__(self, path: str | Path, member: str | None = None) -> None:
        self.path = existing(path)
        self.name = self.path.name if member is None else f"{self.path.name}[{member}]"
        self._member = member
        with self._open() as file:
            self.shape, fortran, self.dtype = _header(file, self.name)
            self._start = file.tell()
        if fortran and len(self.shape) > 1 and member is not None:
            raise InputError(
                f"{self.name!r} lies column by column, which cannot be read in blocks of rows; "
                "save it by numpy.ascontiguousarray, or as NPY"
            )
        self._fortran = fortran
        size = self.dtype.itemsize * int(np.prod(self.shape))
        if member is None and self.path.stat().st_size < self._start + size:
            raise _cut_short(self.name)

    def blocks(self, size: int) -> Iterator[NDArray[Any]]:
        """Blocks of so many rows; the last one may have fewer."""
        return self._mapped(size) if self._member is None else self._streamed(size)

    def _mapped(self, size: int) -> Iterator[NDArray[Any]]:
        row = self.dtype.itemsize * int(np.prod(self.shape[1:]))
        for first in range(0, self.shape[0], size):
            count = min(size, self.shape[0] - first)
            if self._fortran:
                yield np.load(self.path, mmap_mode="r")[first : first + count]
            else:  # a map of its own, since what is mapped stays in memory when it was read
                yield np.memmap(
                    self.path,
                    self.dtype,
                    "r",
                    self._start + first * row,
                    (count, *self.shape[1:]),
                )

    def _streamed(self, size: int) -> Iterator[NDArray[Any]]:
        row = self.dtype.itemsize * int(np.prod(self.shape[1:]))
        with self._open() as file:
            try:
                file.read(self._start)
                for first in range(0, self.shape[0], size):
                    count = min(size, self.shape[0] - first)
                    data = file.read(count * row)
                    if len(data) < count * row:
                        raise _cut_short(self.name)
                    yield np.frombuffer(data, self.dtype).reshape(count, *self.shape[1:])
            except (zipfile.BadZipFile, EOFError, OSError) as error:
                raise _cut_short(self.name) from error

    def _open(self) -> Any:
        if self._member is None:
            return self.path.open("rb")
        try:
            archive = zipfile.ZipFile(self.path)
        except (zipfile.BadZipFile, OSError) as error:
            raise _cut_short(self.path.name) from error
        with archive:
            names = [name.removesuffix(".npy") for name in archive.namelist()]
            if self._member not in names:
                raise InputError(
                    f"{self.path.name!r} has no array {self._member!r}: "
                    f"{closest(self._member, names)}"
                )
            return archive.open(archive.namelist()[names.index(self._member)])


def _header(file: Any, name: str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    form = np.lib.format
    try:
        version = form.read_magic(file)
        read = form.read_array_header_1_0 if version == (1, 0) else form.read_array_header_2_0
        shape, fortran, dtype = read(file)
    except (ValueError, EOFError, zipfile.BadZipFile, OSError) as error:
        raise InputError(f"{name!r} is not what numpy.save writes, or was cut short") from error
    if dtype.hasobject:
        raise InputError(f"{name!r} holds Python objects; save numbers or text")
    return shape, fortran, dtype


def _cut_short(name: str) -> InputError:
    return InputError(f"{name!r} is not whole; was it cut short?")
