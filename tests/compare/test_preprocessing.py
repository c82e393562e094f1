"""Tables become numbers by what the fit rows hold, and nothing else."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from crossentropy._compare._preprocessing import Schema, make_preprocessor, take, transform


def test_columns_are_told_apart_by_type(mixed):
    schema = Schema.of(mixed[0])
    assert schema.numeric == ("number", "count", "since", "empty")
    assert schema.categorical == ("colour", "grade", "member")
    assert schema.width == 7


def test_mixed_columns_become_finite_numbers(mixed):
    X, _ = mixed
    schema = Schema.of(X)
    tidy = schema.tidy(X)
    fitted = make_preprocessor(schema).fit(take(tidy, np.arange(80)))
    values = transform(fitted, tidy)
    # four numbers, gap indicators of two, three colours and a gap, two grades, two booleans
    assert values.shape == (120, 4 + 2 + 4 + 2 + 2)
    assert values.dtype == np.float32
    assert np.isfinite(values).all()


def test_what_the_fit_rows_lack_is_ignored():
    fit = pd.DataFrame({"n": [1.0, 3.0, 2.0], "c": ["a", "b", "a"]})
    new = pd.DataFrame({"c": ["z", None], "n": [2.0, np.nan], "more": [0, 0]})
    schema = Schema.of(fit)
    fitted = make_preprocessor(schema).fit(schema.tidy(fit))
    np.testing.assert_array_equal(transform(fitted, schema.tidy(new)), np.zeros((2, 3)))


def test_arrays_are_numbers():
    X = np.array([[1.0, np.nan], [3.0, 4.0], [5.0, 4.0]])
    schema = Schema.of(X)
    values = transform(make_preprocessor(schema).fit(schema.tidy(X)), X)
    np.testing.assert_allclose(values[:, 0], [-np.sqrt(1.5), 0, np.sqrt(1.5)], rtol=1e-6)
    assert values.shape == (3, 3)  # with the indicator of the gap


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (
            pd.DataFrame({"n": [1.0, np.inf], "c": ["a", "b"]}),
            "column 'n' of X is infinite in row 1",
        ),
        (pd.DataFrame({"n": ["one", "2"], "c": ["a", "b"]}), "column 'n' should hold numbers"),
        (pd.DataFrame({"n": [1.0, 2.0]}), "lacks the column 'c'"),
        (np.zeros((2, 2)), "must be a table with the columns n, c"),
    ],
)
def test_tables_that_do_not_fit_the_schema(frame, message):
    schema = Schema.of(pd.DataFrame({"n": [1.0], "c": ["a"]}))
    with pytest.raises(ValueError, match=message):
        schema.tidy(frame)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.array([[0.0, 1.0], [-np.inf, 0.0]]), "column 0 of X is infinite in row 1"),
        (np.array([["a", "b"]]), "must be numeric or a pandas DataFrame"),
        (np.zeros((2, 3)), r"shape \(n_rows, 2\), got \(2, 3\)"),
    ],
)
def test_arrays_that_do_not_fit_the_schema(array, message):
    with pytest.raises(ValueError, match=message):
        Schema(width=2).tidy(array)


def test_two_columns_of_one_name():
    with pytest.raises(ValueError, match="two columns named 'a'"):
        Schema.of(pd.DataFrame(np.zeros((2, 2)), columns=["a", "a"]))
