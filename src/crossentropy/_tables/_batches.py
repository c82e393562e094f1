"""Tables that are read batch by batch, so that they may be larger than memory."""

from __future__ import annotations

import contextlib
import csv
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from crossentropy._cpus import cpus
from crossentropy._errors import InputError
from crossentropy._optional import require

from ._files import DELIMITERS, existing, why

_T = TypeVar("_T")


@dataclass(frozen=True)
class Batches:
    """A table that has been opened, but not yet read.

    Attributes
    ----------
    name
        What messages call it.
    names
        Its columns.
    count
        Its rows, where that is known beforehand.
    read
        ``read(columns, size, text)`` yields pyarrow record batches of so many rows, at most, with
        these columns; in CSV those of `text` stay text and the others are numbers.
    """

    name: str
    names: list[str]
    count: int | None
    read: Callable[[Sequence[str], int, Collection[str]], Iterator[Any]]


def open_batches(source: Any) -> Batches:
    """Open a table to be read in batches.

    Parameters
    ----------
    source
        Path of a CSV, TSV, Parquet, Arrow or Feather file, a pyarrow dataset, or whatever offers
        its columns as an Arrow stream, such as tables of pyarrow, pandas and polars.

    Raises
    ------
    InputError
        If there is no such file, or it cannot be read; reading on may raise it too.
    """
    require("pyarrow", "cli")
    if not isinstance(source, str | Path):
        return _open_object(source)
    path = existing(source)
    opener = _OPENERS.get(path.suffix.lower())
    if opener is None:
        raise InputError(
            f"{path.name!r} is not a table: wanted a file ending in {', '.join(_OPENERS)}"
        )
    with _explaining(path):
        opened = opener(path)
    return Batches(opened.name, opened.names, opened.count, _explained(path, opened.read))


def ahead(items: Iterator[_T]) -> Iterator[_T]:
    """The same, the next two items being made by another thread while one is used."""
    nothing = object()
    with ThreadPoolExecutor(1) as pool:
        coming = deque(pool.submit(next, items, nothing) for _ in range(2))
        while (item := coming.popleft().result()) is not nothing:
            coming.append(pool.submit(next, items, nothing))
            yield item  # type: ignore[misc] # not `nothing`


def _explained(path: Path, read: Any) -> Any:
    def explained(columns: Sequence[str], size: int, text: Collection[str]) -> Iterator[Any]:
        with _explaining(path, [name for name in columns if name not in text]):
            yield from read(columns, size, text)

    return explained


@contextlib.contextmanager
def _explaining(path: Path, numbers: Collection[str] = ()) -> Iterator[None]:
    """Say what is wrong with a file when pyarrow cannot read it."""
    pa = require("pyarrow", "cli")
    try:
        yield
    except UnicodeDecodeError as error:
        raise InputError(f"{path.name!r} is not UTF-8 text; save it as UTF-8") from error
    except (pa.ArrowException, OSError) as error:
        reason = _no_number(path, numbers) or why(error, path)
        raise InputError(f"{path.name!r} cannot be read: {reason}") from error


def _open_parquet(path: Path) -> Batches:
    # A buffer, so that chunks of a column are not read whole; of a size that stays in the cache.
    file = require("pyarrow.parquet", "cli").ParquetFile(path, buffer_size=2**16, pre_buffer=False)

    def read(columns: Sequence[str], size: int, text: Collection[str]) -> Iterator[Any]:
        # one thread decodes while another scores: more would share their two CPUs
        with file:
            yield from file.iter_batches(size, columns=list(columns), use_threads=cpus() > 2)

    return Batches(path.name, file.schema_arrow.names, file.metadata.num_rows, read)


def _open_arrow(path: Path) -> Batches:
    ipc, pa = require("pyarrow.ipc", "cli"), require("pyarrow", "cli")
    # Not mapped to memory: what has been read of it shall not stay there.
    with pa.OSFile(str(path)) as file:
        names = ipc.open_file(file).schema.names

    def read(columns: Sequence[str], size: int, text: Collection[str]) -> Iterator[Any]:
        wanted = sorted(names.index(name) for name in columns)
        options = ipc.IpcReadOptions(included_fields=wanted)
        with pa.OSFile(str(path)) as file:
            reader = ipc.open_file(file, options=options)
            for index in range(reader.num_record_batches):
                yield from _split(reader.get_batch(index), size)

    return Batches(path.name, names, None, read)


def _open_text(path: Path) -> Batches:
    pa, pc = require("pyarrow", "cli"), require("pyarrow.csv", "cli")
    delimiter = DELIMITERS[path.suffix.lower()]
    parse = pc.ParseOptions(delimiter=delimiter, newlines_in_values=True)
    with path.open(newline="", encoding="utf-8") as file:
        names = next(csv.reader(file, delimiter=delimiter), [])
    if not names:
        raise InputError(f"{path.name!r} is empty; wanted a line of column names, then rows")

    def read(columns: Sequence[str], size: int, text: Collection[str]) -> Iterator[Any]:
        types = {name: pa.string() if name in text else pa.float64() for name in columns}
        convert = pc.ConvertOptions(
            column_types=types, include_columns=list(columns), strings_can_be_null=True
        )
        with pc.open_csv(path, parse_options=parse, convert_options=convert) as reader:
            for batch in reader:
                yield from _split(batch, size)

    return Batches(path.name, names, None, read)


_OPENERS: dict[str, Callable[[Path], Batches]] = {
    ".csv": _open_text,
    ".tsv": _open_text,
    ".parquet": _open_parquet,
    ".arrow": _open_arrow,
    ".feather": _open_arrow,
}


def _open_object(source: Any) -> Batches:
    pa = require("pyarrow", "cli")
    name = f"the {type(source).__name__}"
    if hasattr(source, "__arrow_c_stream__"):
        reader = pa.RecordBatchReader.from_stream(source)
        rows = len(source) if hasattr(source, "__len__") else None

        def read(columns: Sequence[str], size: int, text: Collection[str]) -> Iterator[Any]:
            for batch in reader:
                yield from _split(batch.select(list(columns)), size)

        return Batches(name, reader.schema.names, rows, read)
    if hasattr(source, "scanner"):

        def scan(columns: Sequence[str], size: int, text: Collection[str]) -> Iterator[Any]:
            scanner = source.scanner(columns=list(columns), batch_size=size)
            yield from scanner.to_reader()

        return Batches(name, source.schema.names, None, scan)
    raise InputError(
        f"{name} cannot be read in batches; give a path, a pyarrow dataset or a table of pyarrow, "
        "pandas or polars"
    )


def _split(batch: Any, size: int) -> Iterator[Any]:
    for start in range(0, batch.num_rows, size):
        yield batch.slice(start, size)


def _no_number(path: Path, numbers: Collection[str]) -> str | None:
    """Find the first value of a text file's columns that is no number."""
    if not numbers or path.suffix.lower() not in DELIMITERS:
        return None
    with path.open(newline="", encoding="utf-8", errors="replace") as file:
        rows = csv.reader(file, delimiter=DELIMITERS[path.suffix.lower()])
        names = next(rows, [])
        for index, row in enumerate(rows, 1):
            if row and len(row) != len(names):
                return None
            for name, value in zip(names, row, strict=False):
                if name in numbers and not _is_number(value):
                    return f"column {name!r} holds {value!r} in row {index}, which is no number"
    return None


def _is_number(value: str) -> bool:
    try:
        float(value or "nan")
    except ValueError:
        return False
    return True
