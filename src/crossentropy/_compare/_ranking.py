"""What the page and the terminal read from the results of a comparison."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, TypeAlias

from crossentropy._page.numbers import to_float

Results: TypeAlias = Mapping[str, Any]  # what `CompareResult.to_dict` returns
ResultRow: TypeAlias = Mapping[str, Any]  # one of its rows


def ranked(results: Results) -> list[ResultRow]:
    """Return the rows by log loss after temperature, the lowest first, no number last."""

    def key(row: ResultRow) -> tuple[bool, float]:
        loss = mean(row, "log_loss")
        return math.isnan(loss), loss

    return sorted(results["rows"], key=key)


def mean(row: ResultRow, metric: str) -> float:
    """Return the mean of a score over the splits."""
    return to_float(row["scores"][metric]["mean"])


def baseline(results: Results) -> ResultRow:
    """Return the row of plain cross entropy."""
    return next(row for row in results["rows"] if row["kind"] == "baseline")


def best(results: Results) -> ResultRow:
    """Return the winner or, where no one won, the trained candidate with the lowest loss."""
    trained = [row for row in ranked(results) if row["kind"] != "yardstick"]
    return next((row for row in trained if row["name"] == results["winner"]), trained[0])


def label(row: ResultRow) -> str:
    """Return the label, its parameters kept on one line."""
    return str(row["label"]).replace(" = ", "\u00a0=\u00a0")
