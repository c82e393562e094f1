"""Checks of single columns: labels, weights, groups and features.

Rows are counted from 1, the header left out.
"""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from crossentropy._errors import InputError
from crossentropy._optional import require

if TYPE_CHECKING:
    import pandas as pd

# A text column in which this share of the values are numbers was meant to be numeric.
_MEANT_AS_NUMBERS = 0.9


def labels(values: Any, name: str) -> NDArray[Any]:
    """Return class labels as strings, integers or booleans."""
    column = _series(values)
    _refuse_missing(column, name, "every row needs its label; fill it in or delete the row")
    types = require("pandas", "cli").api.types
    if types.is_bool_dtype(column) or types.is_integer_dtype(column):
        return np.asarray(column)
    if types.is_float_dtype(column):
        fraction = column % 1 != 0
        if fraction.any():
            row = int(fraction.argmax())
            raise InputError(
                f"column {name!r} holds {column.iloc[row]} in row {row + 1}: class labels are "
                "strings, integers or booleans; choose another column or turn it into classes"
            )
        return np.asarray(column, dtype=np.int64)
    if column.map(lambda value: isinstance(value, str)).all():
        return np.asarray(column, dtype=np.str_)
    if column.dtype == "category":
        return labels(np.asarray(column), name)
    raise InputError(
        f"column {name!r} holds {column.dtype} values: class labels are strings, integers or "
        "booleans; convert it"
    )


def weights(values: Any, name: str) -> NDArray[np.float64]:
    """Return weights: finite and positive."""
    column = _series(values)
    if not _is_number(column):
        raise InputError(f"weights column {name!r} holds text; weights are numbers")
    result = np.asarray(column, dtype=np.float64)
    bad = ~(np.isfinite(result) & (result > 0))
    if bad.any():
        row = int(bad.argmax())
        raise InputError(
            f"weights column {name!r} holds {result[row]} in row {row + 1}; weights are positive: "
            "repair it, or delete the row if it shall not count"
        )
    return result


def groups(values: Any, name: str) -> NDArray[Any]:
    """Return the group of each row."""
    column = _series(values)
    _refuse_missing(column, name, "every row needs its group; fill it in or delete the row")
    return np.asarray(column)


def check_array(values: NDArray[Any], name: str) -> NDArray[Any]:
    """Return features given as an array: two axes, floating point, none of them infinite."""
    if values.ndim != 2 or values.shape[1] == 0:
        raise InputError(f"array {name!r} has shape {values.shape}; wanted (rows, features)")
    if values.dtype.kind not in "biuf":
        raise InputError(f"array {name!r} holds {values.dtype} values; wanted numbers")
    if values.dtype not in (np.float32, np.float64):
        values = values.astype(np.float64)
    infinite = np.isinf(values)
    if infinite.any():
        row, column = np.unravel_index(infinite.argmax(), values.shape)
        raise InputError(
            f"array {name!r} holds {values[row, column]} in row {row + 1}, column {column + 1}; "
            "replace infinite values by numbers or by NaN (missing)"
        )
    return values


def check_features(frame: pd.DataFrame) -> pd.DataFrame:
    """Refuse dates, infinite values and what is neither a number nor text.

    Booleans become 0 and 1, as they are in a file where some are missing.
    """
    for name in frame.columns:
        column = frame[name]
        if is_text(column):
            continue
        if column.dtype.kind in "mM" or _holds_times(column):
            raise InputError(
                f"column {name!r} holds dates or times; drop it, or turn it into numbers "
                "(such as days since a date)"
            )
        if not _is_number(column):
            raise InputError(
                f"column {name!r} holds {_kind(column)}, neither numbers nor text; "
                "drop it or convert it"
            )
        infinite = np.isinf(np.asarray(column, dtype=np.float64))
        if infinite.any():
            row = int(infinite.argmax())
            raise InputError(
                f"column {name!r} holds {column.iloc[row]} in row {row + 1}; "
                "replace infinite values by numbers, or leave them empty (missing)"
            )
    checked: pd.DataFrame = frame.astype(
        {name: "int8" for name in frame if frame[name].dtype.kind == "b"}
    )
    return checked


def check_informative(frame: pd.DataFrame) -> None:
    """Refuse columns without any value, and numbers spoilt by a few words."""
    pd = require("pandas", "cli")
    for name in frame.columns:
        column = frame[name].dropna()
        if column.empty:
            raise InputError(f"column {name!r} holds no value at all; drop it")
        if not is_text(column) or column.dtype == "category":
            continue
        words = pd.to_numeric(column, errors="coerce").isna()
        if 1 - words.mean() >= _MEANT_AS_NUMBERS:
            row = words.idxmax()
            raise InputError(
                f"column {name!r} holds {column[row]!r} in row {row + 1} but numbers almost "
                "everywhere else; leave missing values empty, or, if the numbers are names of "
                "categories, save the table as Parquet with a categorical column"
            )


def is_text(column: pd.Series[Any]) -> bool:
    """Whether a column is categorical: of text or of pandas' category type."""
    infer = require("pandas", "cli").api.types.infer_dtype
    # Of no value at all only text is left as objects.
    return infer(column, skipna=True) in ("string", "categorical", "empty")


def _series(values: Any) -> pd.Series[Any]:
    result: pd.Series[Any] = require("pandas", "cli").Series(values)
    return result.reset_index(drop=True)


def _is_number(column: pd.Series[Any]) -> bool:
    return bool(column.dtype.kind in "biuf")


def _holds_times(column: pd.Series[Any]) -> bool:
    return column.dtype == object and isinstance(column.dropna().iloc[0], datetime.time)


def _kind(column: pd.Series[Any]) -> str:
    return f"values of type {type(column.dropna().iloc[0]).__name__!r}"


def _refuse_missing(column: pd.Series[Any], name: str, remedy: str) -> None:
    missing = column.isna()
    if missing.any():
        raise InputError(f"column {name!r} is empty in row {int(missing.argmax()) + 1}; {remedy}")
