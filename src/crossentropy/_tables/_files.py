"""From a path to a data frame or a set of arrays, by the file's extension."""

from __future__ import annotations

import csv
import zipfile
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from crossentropy._errors import InputError
from crossentropy._optional import require

if TYPE_CHECKING:
    import pandas as pd

DELIMITERS = {".csv": ",", ".tsv": "\t"}


def read_table(path: str | Path, *, text: Collection[str] = ()) -> pd.DataFrame:
    """Read a CSV, TSV, Parquet, Arrow or Feather file.

    Parameters
    ----------
    path
        The file; its extension says what it is.
    text
        Columns that a CSV file's values must not turn into numbers.

    Raises
    ------
    InputError
        If the file is missing, unreadable, empty, ragged or has two columns of one name.
    """
    path = existing(path)
    read = _READERS.get(path.suffix.lower())
    if read is None:
        raise InputError(
            f"{path.name!r} is not a table: wanted a file ending in {', '.join(_READERS)}"
        )
    pa = require("pyarrow", "cli")
    try:
        table = read(path, text)
        _check_shape(table, path)
    except UnicodeDecodeError as error:
        raise InputError(f"{path.name!r} is not UTF-8 text; save it as UTF-8") from error
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path.name!r} cannot be read: {why(error, path)}") from error
    frame: pd.DataFrame = _plain(table).to_pandas(ignore_metadata=True, date_as_object=False)
    return frame


def read_arrays(path: str | Path) -> dict[str, NDArray[Any]]:
    """Read the arrays of an NPZ file; pickled objects are refused.

    Raises
    ------
    InputError
        If the file is missing, is no NPZ file, is truncated or holds pickled objects.
    """
    path = existing(path)
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except (ValueError, OSError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        raise InputError(
            f"{path.name!r} cannot be read as NPZ: wanted what numpy.savez(path, X=X, y=y) writes, "
            "with arrays of numbers or text and no Python objects"
        ) from error


def existing(path: str | Path) -> Path:
    """Return the path of a file that is there."""
    path = Path(path)
    if path.is_dir():
        raise InputError(f"{str(path)!r} is a directory; give the file inside it")
    if not path.is_file():
        raise InputError(f"there is no file {str(path)!r}; check its name and where you are")
    return path


def _read_text(path: Path, text: Collection[str]) -> Any:
    pa, pc = require("pyarrow", "cli"), require("pyarrow.csv", "cli")
    table = pc.read_csv(
        path,
        parse_options=pc.ParseOptions(
            delimiter=DELIMITERS[path.suffix.lower()], newlines_in_values=True
        ),
        convert_options=pc.ConvertOptions(
            strings_can_be_null=True, column_types=dict.fromkeys(text, pa.string())
        ),
    )
    for field in table.schema:
        if pa.types.is_binary(field.type):
            raise InputError(
                f"{path.name!r}: column {field.name!r} is not UTF-8 text; save it as UTF-8"
            )
    return table


def _read_parquet(path: Path, text: Collection[str]) -> Any:
    return require("pyarrow.parquet", "cli").read_table(path)


def _read_feather(path: Path, text: Collection[str]) -> Any:
    return require("pyarrow.feather", "cli").read_table(path)


_READERS: dict[str, Callable[[Path, Collection[str]], Any]] = {
    ".csv": _read_text,
    ".tsv": _read_text,
    ".parquet": _read_parquet,
    ".arrow": _read_feather,
    ".feather": _read_feather,
}


def why(error: Exception, path: Path) -> str:
    """Say in one clause why reading failed and what to do."""
    if isinstance(error, PermissionError):
        return "you may not read it; change its permissions"
    if path.suffix.lower() in DELIMITERS:
        return _ragged(path) or "it holds no table; wanted a line of column names, then rows"
    return f"it is not a whole {path.suffix[1:]} file; was it cut short or renamed?"


def _ragged(path: Path) -> str | None:
    """Find the first line that has more or fewer values than the header."""
    with path.open(newline="", encoding="utf-8", errors="replace") as file:
        rows = csv.reader(file, delimiter=DELIMITERS[path.suffix.lower()])
        width = len(next(rows, []))
        for row in rows:
            if row and len(row) != width:
                return f"line {rows.line_num} has {len(row)} values, the header {width}; repair it"
    return None


def _check_shape(table: Any, path: Path) -> None:
    names = table.column_names
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"{path.name!r} has two columns named {twice!r}; rename one of them")
    if table.num_rows == 0:
        raise InputError(f"{path.name!r} is empty: it has column names but no row")


def _plain(table: Any) -> Any:
    """Give nulls, decimals and incomplete booleans a numeric type; leave out pandas' index."""
    pa = require("pyarrow", "cli")
    for index, field in enumerate(table.schema):
        column = table.column(index)
        if pa.types.is_boolean(field.type) and column.null_count:
            column = column.cast(pa.int8())
        elif pa.types.is_null(field.type) or pa.types.is_decimal(field.type):
            column = column.cast(pa.float64())
        table = table.set_column(index, field.name, column)
    index_names = [name for name in table.column_names if name.startswith("__index_level_")]
    return table.drop_columns(index_names)
