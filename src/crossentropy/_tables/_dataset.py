"""A data set: features, labels, and perhaps weights and groups, checked."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from crossentropy._errors import InputError, closest
from crossentropy._optional import require
from crossentropy._tables import _columns
from crossentropy._tables._files import read_arrays, read_table

if TYPE_CHECKING:
    import pandas as pd

# Columns by name: a table, or the arrays of an NPZ file.
Source: TypeAlias = "pd.DataFrame | dict[str, NDArray[Any]]"

#: The real classification sets inside scikit-learn that need no download.
SAMPLES = {
    "breast_cancer": "load_breast_cancer",
    "digits": "load_digits",
    "iris": "load_iris",
    "wine": "load_wine",
}


@dataclass(frozen=True)
class Dataset:
    """Features and labels, row by row.

    Attributes
    ----------
    X
        Numeric and categorical columns, or one array of floating-point numbers.
    y
        The labels: strings, integers or booleans.
    sample_weight
        What each row counts, if told.
    groups
        What each row belongs to, if told.
    name
        What to call it, the file's or the sample's name.
    """

    X: pd.DataFrame | NDArray[Any]
    y: NDArray[Any]
    sample_weight: NDArray[np.float64] | None
    groups: NDArray[Any] | None
    name: str


def load_sample(name: str) -> Dataset:
    """Load a real data set that ships inside scikit-learn.

    Parameters
    ----------
    name
        One of `SAMPLES`.
    """
    if name not in SAMPLES:
        raise InputError(f"there is no sample {name!r}: {closest(name, SAMPLES)}")
    bunch = getattr(require("sklearn.datasets", "cli"), SAMPLES[name])(as_frame=True)
    y = np.asarray(bunch.target_names)[bunch.target]
    return Dataset(bunch.data, y, None, None, name)


def load_dataset(
    path: str | Path,
    *,
    target: str | None = None,
    drop: Collection[str] = (),
    weights: str | None = None,
    groups: str | None = None,
    like: Dataset | None = None,
) -> Dataset:
    """Read and check a data set from a table or an NPZ file.

    Parameters
    ----------
    path
        CSV, TSV, Parquet, Arrow or Feather, or NPZ.
    target
        The column (in NPZ the array, by default y) of the labels.
    drop
        Columns to leave out.
    weights, groups
        The columns (in NPZ the arrays) of row weights and groups.
    like
        A data set read before: take its features, in its order and of its types.

    Raises
    ------
    InputError
        If anything is not as it should be, with what to do about it.
    """
    path = Path(path)
    names, text = (None, set[str]()) if like is None else _schema(like)
    if like is not None and target is not None and like.y.dtype.kind == "U":
        text.add(target)
    source = _read(path, text)
    target = target or ("y" if isinstance(source, dict) else None)
    with _naming(path):
        if target is None:
            raise InputError(f"say with --target what holds the labels: {closest('', source)}")
        roles = [name for name in (target, weights, groups) if name is not None]
        _check_names(source, roles, drop)
        if like is None:
            X = _training_features(source, {*roles, *drop})
        else:
            X = _known_features(source, names, text)

        def rows(name: str) -> Any:
            return _one_per_row(source[name], name, len(X))

        return Dataset(
            X=X,
            y=_columns.labels(rows(target), target),
            sample_weight=None if weights is None else _columns.weights(rows(weights), weights),
            groups=None if groups is None else _columns.groups(rows(groups), groups),
            name=path.name,
        )


def load_features(
    path: str | Path, *, names: Sequence[str] | None, text: Collection[str] = ()
) -> pd.DataFrame | NDArray[Any]:
    """Read the features that a trained model wants.

    Parameters
    ----------
    path
        A table, or NPZ with an array X.
    names
        The features' columns; None if the model was trained on an array.
    text
        Those of them that are categorical.

    Raises
    ------
    InputError
        If a column is absent or holds what the model cannot take.
    """
    path = Path(path)
    source = _read(path, text)
    with _naming(path):
        return _known_features(source, names, text)


@contextlib.contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Begin what is said about the columns of a file with its name."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{path.name!r}: {error}") from error


def _read(path: Path, text: Collection[str]) -> Source:
    return read_arrays(path) if path.suffix.lower() == ".npz" else read_table(path, text=text)


def _schema(data: Dataset) -> tuple[list[str] | None, set[str]]:
    """Return the features' names, None for an array, and which of them are categorical."""
    if isinstance(data.X, np.ndarray):
        return None, set()
    names = list(data.X.columns)
    return names, {name for name in names if _columns.is_text(data.X[name])}


def _check_names(source: Source, roles: Collection[str], drop: Collection[str]) -> None:
    if drop and isinstance(source, dict):
        raise InputError("an NPZ file holds arrays, so there is no column to drop")
    for name in (*roles, *drop):
        if name not in source:
            raise InputError(f"no column {name!r}: {closest(name, source)}")
    for name in roles:
        if (*roles, *drop).count(name) > 1:
            raise InputError(f"column {name!r} was given two uses; it can have only one")


def _training_features(source: Source, others: Collection[str]) -> pd.DataFrame | NDArray[Any]:
    if isinstance(source, dict):
        return _array(source)
    X = source[[name for name in source if name not in others]]
    if X.shape[1] == 0:
        raise InputError("no column is left to learn from; drop fewer")
    _columns.check_informative(X)
    return _columns.check_features(X)


def _known_features(
    source: Source, names: Sequence[str] | None, text: Collection[str]
) -> pd.DataFrame | NDArray[Any]:
    """Take the features that training had, in its order; text only where it had text."""
    if isinstance(source, dict) != (names is None):
        kinds = ("an array (NPZ)", "a table") if names is None else ("a table", "an array (NPZ)")
        raise InputError(
            f"this is {kinds[1]}, the training data was {kinds[0]}; give the same kind"
        )
    if isinstance(source, dict) or names is None:
        return _array(source)
    for name in names:
        if name not in source:
            raise InputError(f"no feature {name!r}: {closest(name, source)}")
        if _columns.is_text(source[name]) and name not in text:
            raise InputError(
                f"column {name!r} holds text such as "
                f"{source[name].dropna().iloc[0]!r} where the training data has numbers; "
                "leave missing values empty"
            )
    return _columns.check_features(source[list(names)])


def _array(arrays: Any) -> NDArray[Any]:
    if "X" not in arrays:
        raise InputError(f"no array 'X' of features: {closest('X', arrays)}")
    return _columns.check_array(arrays["X"], "X")


def _one_per_row(values: Any, name: str, rows: int) -> Any:
    if np.shape(values) != (rows,):
        raise InputError(
            f"array {name!r} has shape {np.shape(values)}; wanted one value for each of {rows} rows"
        )
    return values
