"""Files and tables of predictions, larger than memory, read batch by batch."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from crossentropy._errors import InputError, RowError, closest
from crossentropy._optional import require
from crossentropy._predictions import Columns, Input, encode
from crossentropy._tables import PREFIX, ArrayFile, Batches, open_batches

from ._evaluation import BLOCK

if TYPE_CHECKING:
    from crossentropy._predictions import Array

_SHOWN = 20


class _Block(NamedTuple):
    """Rows to be scored."""

    codes: Array
    values: Array | Columns
    weight: Array | None
    beside: Any = None  # of a table's column or an array, for callers that want one more


class PredictionStream(NamedTuple):
    """What is to be scored: its name, the columns' labels, how many rows if known, and those."""

    name: str
    labels: list[str]
    columns: list[str]
    rows: int | None
    blocks: Iterator[_Block]
    proba: bool


def open_predictions(
    source: Any,
    input: Input,
    target: Any,
    predictions: Any = None,
    sample_weight: Any = None,
    labels: Sequence[Any] | None = None,
    beside: str | None = None,
) -> PredictionStream:
    """Open predictions to be read block by block; arguments as for `evaluate`.

    `beside` names one more column or array, for each block's `beside`.
    """
    suffix = Path(source).suffix.lower() if isinstance(source, str | Path) else ""
    openers: dict[str, Any] = {".npy": _open_npy, ".npz": _open_npz}
    opener = openers.get(suffix, _open_table)
    stream: PredictionStream = opener(
        source, input, target, predictions, sample_weight, labels, beside
    )
    return stream


class Located:
    """Says of an error in a row which one of the whole source it is, and in which column."""

    def __init__(self, stream: PredictionStream, first: int, values: Array | Columns) -> None:
        self._stream, self._first, self._values = stream, first, values

    def __enter__(self) -> None: ...

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, RowError):
            raise InputError(
                f"{self._stream.name!r}: row {self._first + error.row + 1} is {error.shown}: "
                f"{error.rule}{self._column(error)}"
            ) from None

    def _column(self, error: RowError) -> str:
        """The first column whose number could not stand in any row, or all of them."""
        if error.rule.startswith(("y_true", "sample_weight")):
            return ""
        columns = self._stream.columns
        (values,) = np.asarray(self._values[error.row : error.row + 1], dtype=np.float64)
        bad = np.isnan(values) | (values == np.inf)
        if self._stream.proba:
            bad |= values < 0
        if bad.any():
            return f" (column {columns[int(bad.argmax())]!r})"
        return f" (columns {columns[0]!r} to {columns[-1]!r})"


# Tables


def _open_table(
    source: Any,
    input: Input,
    target: Any,
    predictions: str | Sequence[str] | None,
    sample_weight: Any,
    labels: Sequence[Any] | None,
    beside: str | None,
) -> PredictionStream:
    table = open_batches(source)
    for option, value in (("target", target), ("sample_weight", sample_weight)):
        if value is not None and not isinstance(value, str):
            raise InputError(
                f"{option} names a column of {table.name!r}, got {type(value).__name__}"
            )
    columns = _prediction_columns(table, input, predictions)
    given = [target, *columns, *(n for n in (sample_weight, beside) if n is not None)]
    for name in given:
        if table.names.count(name) > 1:
            raise InputError(f"{table.name!r} has two columns named {name!r}; rename one of them")
        if name not in table.names:
            raise InputError(f"{table.name!r} has no column {name!r}: {closest(name, table.names)}")
        if given.count(name) > 1:
            raise InputError(
                f"{table.name!r}: column {name!r} was given two uses; it can have only one"
            )
    prefix = PREFIX[input]
    named = [name.removeprefix(prefix) for name in columns] if labels is None else list(labels)
    if len(named) != len(columns):
        raise InputError(f"{len(columns)} columns need as many labels, got {len(named)}")
    texts = list(map(str, named))
    if len(set(texts)) < len(texts):
        raise InputError("labels names a class twice; every column needs a label of its own")
    more = [] if beside is None else [beside]

    def blocks() -> Iterator[_Block]:
        first = 0
        for batch in table.read(given, max(1, BLOCK // len(columns)), [target, *more]):
            column = functools.partial(_numbers, table.name, batch, first)
            yield _Block(
                _codes(table.name, batch, target, texts, first),
                _together([column(name) for name in columns]),
                None if sample_weight is None else column(sample_weight),
                None if beside is None else batch.column(beside).to_numpy(zero_copy_only=False),
            )
            first += batch.num_rows

    return PredictionStream(table.name, texts, columns, table.count, blocks(), input == "proba")


def _prediction_columns(
    table: Batches, input: Input, predictions: str | Sequence[str] | None
) -> list[str]:
    if predictions is not None:
        return [predictions] if isinstance(predictions, str) else list(predictions)
    prefix = PREFIX[input]
    columns = [name for name in table.names if name.startswith(prefix)]
    if len(columns) < 2:
        raise InputError(
            f"{table.name!r} has {len(columns)} columns named {prefix}<class>, wanted one for each "
            f"class; name them by predictions=: {closest(prefix, table.names)}"
        )
    return columns


def _numbers(table: str, batch: Any, first: int, name: str) -> Array:
    """A column as numbers, in the memory that it has if it may."""
    pa = require("pyarrow", "cli")
    column = batch.column(name)
    if column.null_count:
        row = first + column.is_null().index(pa.scalar(True)).as_py() + 1
        raise InputError(f"{table!r}: column {name!r} is empty in row {row}; fill it in")
    kind = column.type
    if pa.types.is_decimal(kind):
        column = column.cast(pa.float64())
    elif not (pa.types.is_floating(kind) or pa.types.is_integer(kind)):
        raise InputError(f"{table!r}: column {name!r} holds {kind}, wanted numbers")
    values: Array = column.to_numpy(zero_copy_only=False)
    return values


def _together(columns: list[Array]) -> Columns:
    """Of one type: float32 where that is enough."""
    short = all(column.dtype in (np.float16, np.float32) for column in columns)
    dtype = np.float32 if short else np.float64
    return Columns([np.ascontiguousarray(column, dtype) for column in columns])


def _codes(table: str, batch: Any, target: str, labels: list[str], first: int) -> Array:
    """The columns of the labels."""
    pa, pc = require("pyarrow", "cli"), require("pyarrow.compute", "cli")
    column = batch.column(target)
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    counted = pa.types.is_integer(column.type) and labels == _counted(len(labels))
    if counted and not column.null_count:
        values: Array = column.to_numpy(zero_copy_only=False).astype(np.int64, copy=False)
        if not len(values) or values.view(np.uint64).max() < len(labels):  # where -1 is large
            return values
    try:
        known = pa.array(labels).cast(column.type)
    except pa.ArrowInvalid:
        known = pa.array([], column.type)  # labels of another kind: the first row is unknown
    except pa.ArrowNotImplementedError as error:
        raise InputError(
            f"{table!r}: column {target!r} holds {column.type}, which are no labels"
        ) from error
    codes = pc.index_in(column, value_set=known, skip_nulls=True)
    if codes.null_count:
        row = codes.is_null().index(pa.scalar(True)).as_py()
        shown = ", ".join(labels[:_SHOWN]) + (", ..." if len(labels) > _SHOWN else "")
        raise InputError(
            f"{table!r}: column {target!r} holds {column[row].as_py()!r} in row {first + row + 1}, "
            f"which is not among the labels {shown}"
        )
    return np.asarray(codes.to_numpy(zero_copy_only=False), np.int64)


@functools.lru_cache(1)
def _counted(count: int) -> list[str]:
    return list(map(str, range(count)))


# Arrays


def _open_npz(
    source: str | Path,
    input: Input,
    target: Any,
    predictions: Any,
    sample_weight: Any,
    labels: Sequence[Any] | None,
    beside: str | None,
) -> PredictionStream:
    default = "logits" if input == "logits" else "proba"
    names = (target, default if predictions is None else predictions, sample_weight, beside)
    options = ("target", "predictions", "sample_weight", "beside")
    for option, name in zip(options, names, strict=True):
        if name is not None and not isinstance(name, str):
            raise InputError(f"{option} names an array of the NPZ file, got {type(name).__name__}")
    codes, values, weight, more = (n if n is None else ArrayFile(source, n) for n in names)
    assert codes is not None
    assert values is not None
    return _arrays(values, codes, weight, labels, input, more)


def _open_npy(
    source: str | Path,
    input: Input,
    target: Any,
    predictions: Any,
    sample_weight: Any,
    labels: Sequence[Any] | None,
    beside: str | None,
) -> PredictionStream:
    if beside is not None:
        raise InputError("an NPY file is one array, with nothing beside it")
    if predictions is not None:
        raise InputError("an NPY file is one array, so predictions= has nothing to name")

    def opened(given: Any, option: str) -> Any:
        if isinstance(given, str | Path):
            if Path(given).suffix.lower() != ".npy":
                raise InputError(
                    f"predictions in NPY need {option}= an NPY file or an array, got {str(given)!r}"
                )
            return ArrayFile(given)
        return None if given is None else np.asarray(given)

    return _arrays(
        ArrayFile(source),
        opened(target, "target"),
        opened(sample_weight, "sample_weight"),
        labels,
        input,
    )


def _arrays(
    values: ArrayFile,
    y_true: Any,
    weight: Any,
    labels: Sequence[Any] | None,
    input: Input,
    beside: Any = None,
) -> PredictionStream:
    if len(values.shape) != 2 or values.dtype.kind not in "fiu":
        raise InputError(
            f"{values.name!r} has shape {values.shape} and type {values.dtype}; wanted numbers "
            "of shape (rows, classes)"
        )
    count, classes = values.shape
    for option, given in (("target", y_true), ("sample_weight", weight), ("beside", beside)):
        if given is not None and given.shape != (count,):
            raise InputError(f"{option} has shape {given.shape}, wanted ({count},)")
    if labels is not None and len(labels) != classes:
        raise InputError(f"{classes} columns need as many labels, got {len(labels)}")
    names = _counted(classes) if labels is None else list(map(str, labels))
    columns = None if labels is None else np.asarray(labels)
    size = max(1, BLOCK // max(1, classes))

    def blocks() -> Iterator[_Block]:
        parts = (_cut(given, size) for given in (y_true, values, weight, beside))
        for own, block, part, more in zip(*parts, strict=False):
            codes = own if columns is None else encode(own, columns)[0]
            yield _Block(codes, block, part, more)

    return PredictionStream(values.name, names, names, count, blocks(), input == "proba")


def _cut(array: Any, size: int) -> Iterator[Any]:
    if array is None:
        while True:
            yield None
    elif isinstance(array, ArrayFile):
        yield from array.blocks(size)
    else:
        for first in range(0, len(array), size):
            yield array[first : first + size]
