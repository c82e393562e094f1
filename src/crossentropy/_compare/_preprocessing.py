"""From a table to numbers: scikit-learn's own transformers, fitted on training rows only."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crossentropy._errors import InputError
from crossentropy._optional import require

Array = NDArray[Any]

_MOST_CATEGORIES = 100  # of a column; rarer ones share one indicator


@dataclass(frozen=True)
class Schema:
    """What a table's columns are, decided once from their types (never from their values).

    Attributes
    ----------
    numeric, categorical
        Names of the columns of a DataFrame; both empty for an array.
    width
        Number of columns.
    """

    numeric: tuple[str, ...] = ()
    categorical: tuple[str, ...] = ()
    width: int = 0

    @property
    def names(self) -> list[str]:
        """Names of the columns, numeric ones first."""
        return [*self.numeric, *self.categorical]

    @staticmethod
    def of(X: Any) -> Schema:
        """Read the schema of a DataFrame or an array."""
        if not hasattr(X, "columns"):
            return Schema(width=X.shape[1])
        types = require("pandas", "cli").api.types
        names = [str(name) for name in X.columns]
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise InputError(f"the table has two columns named {twice!r}; rename one of them")
        numeric = [
            name
            for name, dtype in zip(names, X.dtypes, strict=True)
            if (types.is_numeric_dtype(dtype) and not types.is_bool_dtype(dtype))
            or types.is_datetime64_any_dtype(dtype)
            or types.is_timedelta64_dtype(dtype)
        ]
        categorical = [name for name in names if name not in numeric]
        return Schema(tuple(numeric), tuple(categorical), len(names))

    def tidy(self, X: Any) -> Any:
        """Columns in the schema's order: numbers as float64, the rest as text, gaps as NaN.

        Raises
        ------
        ValueError
            If columns are missing, text stands where numbers were, or a number is infinite.
        """
        if not self.names:
            return self._tidy_array(X)
        pandas = require("pandas", "cli")
        if not hasattr(X, "columns"):
            raise InputError(f"X must be a table with the columns {', '.join(self.names)}")
        X = X.set_axis([str(name) for name in X.columns], axis=1)
        absent = [name for name in self.names if name not in X.columns]
        if absent:
            raise InputError(f"the table lacks the column {absent[0]!r}")
        columns = {name: _numbers(X[name]) for name in self.numeric}
        columns |= {name: _text(X[name]) for name in self.categorical}
        return pandas.DataFrame(columns, index=range(len(X)))

    def _tidy_array(self, X: Any) -> Array:
        try:
            values = np.asarray(X, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise InputError(
                f"X must be numeric or a pandas DataFrame, which may hold text ({error})"
            ) from None
        if values.ndim != 2 or values.shape[1] != self.width:
            raise InputError(f"X must have shape (n_rows, {self.width}), got {values.shape}")
        if np.isinf(values).any():
            row, column = np.argwhere(np.isinf(values))[0]
            raise _infinite(f"column {column}", row)
        return values


def _numbers(column: Any) -> Array:
    try:
        if column.dtype.kind in "mM":
            column = column.astype("int64").where(column.notna())
        values: Array = column.astype("float64").to_numpy(na_value=math.nan)
    except (TypeError, ValueError) as error:
        raise InputError(f"column {column.name!r} should hold numbers: {error}") from None
    if np.isinf(values).any():
        raise _infinite(f"column {column.name!r}", int(np.isinf(values).argmax()))
    return values


def _text(column: Any) -> Any:
    text = column.astype(object).map(str, na_action="ignore").astype(object)
    return text.where(column.notna(), math.nan).to_numpy()


def _infinite(column: str, row: int) -> InputError:
    return InputError(
        f"{column} of X is infinite in row {row}; replace infinities by numbers, or by missing "
        "values, which are imputed"
    )


def take(X: Any, rows: Array) -> Any:
    """Rows of a DataFrame or an array."""
    return X.iloc[rows] if hasattr(X, "iloc") else X[rows]


def make_preprocessor(schema: Schema) -> Any:
    """Make the unfitted transformer of a tidy table to a dense matrix.

    Numbers: median for the missing, with an indicator, then standardised. Text: one column per
    category, the missing being one; a category that was not there in training is all zeros.
    """
    compose = require("sklearn.compose", "sklearn")
    impute = require("sklearn.impute", "sklearn")
    pipeline = require("sklearn.pipeline", "sklearn")
    scaling = require("sklearn.preprocessing", "sklearn")
    numeric = pipeline.make_pipeline(
        impute.SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True),
        scaling.StandardScaler(),
    )
    categorical = scaling.OneHotEncoder(
        handle_unknown="ignore", max_categories=_MOST_CATEGORIES, sparse_output=False
    )
    if not schema.names:
        return numeric
    return compose.ColumnTransformer(
        [
            ("numeric", numeric, list(schema.numeric)),
            ("categorical", categorical, list(schema.categorical)),
        ]
    )


def transform(preprocessor: Any, X: Any) -> Array:
    """Apply a fitted preprocessor, to float32 for the networks."""
    return np.asarray(preprocessor.transform(X), dtype=np.float32)
