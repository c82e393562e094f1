"""Small tables to study, and studies small enough to run in a second."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_digits, load_iris

from crossentropy._compare import compare
from crossentropy._compare._arguments import make_study
from crossentropy._compare._plan import Study

QUICK: dict[str, Any] = {
    "losses": ["focal"],
    "head": "linear",
    "folds": 3,
    "repeats": 1,
    "epochs": 3,
    "jobs": 1,
    "yardsticks": False,
}


@pytest.fixture(scope="session")
def iris() -> tuple[Any, Any]:
    return load_iris(return_X_y=True)


@pytest.fixture(scope="session")
def digits() -> tuple[Any, Any]:
    return load_digits(return_X_y=True)


@pytest.fixture(scope="session")
def mixed() -> tuple[pd.DataFrame, Any]:
    """Numbers, text, booleans, dates and gaps; the label depends on two of them."""
    rng = np.random.default_rng(0)
    rows = 120
    number, colour = rng.normal(size=rows), rng.choice(["red", "green", "blue"], rows)
    y = np.where(number + (colour == "red") + 0.3 * rng.normal(size=rows) > 0.3, "yes", "no")
    frame = pd.DataFrame(
        {
            "number": np.where(rng.random(rows) < 0.1, np.nan, number),
            "count": rng.integers(0, 9, rows),
            "colour": np.where(rng.random(rows) < 0.1, None, colour),
            "grade": pd.Categorical(rng.choice(["low", "high"], rows)),
            "member": rng.random(rows) < 0.5,
            "since": pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 900, rows), "D"),
            "empty": np.full(rows, np.nan),
        }
    )
    return frame, y


@pytest.fixture(scope="session")
def quick(iris: tuple[Any, Any]) -> Any:
    """A result of plain cross entropy against focal loss."""
    return compare(*iris, **QUICK)


def a_study(X: Any, y: Any, **options: Any) -> Study:
    """The checked arguments of a quick study."""
    said: dict[str, Any] = {
        **QUICK,
        "model": None,
        "deploy_prior": None,
        "sample_weight": None,
        "groups": None,
        "test": None,
        "seed": 0,
        "label_noise": 0.0,
        "long_tail": None,
        "clean_validation": False,
    }
    said = said | options
    del said["jobs"]
    return make_study(X, y, **said)
