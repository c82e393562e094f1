"""Options that several commands read alike."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from typing import Any

import click


def names(*values: str) -> tuple[str, ...]:
    """Split values at commas; a name that holds one is quoted as in a CSV file."""
    return tuple(name.strip() for row in csv.reader(values) for name in row if name.strip())


def split(context: click.Context, parameter: click.Parameter, values: Sequence[str]) -> Any:
    """`names`, as click calls it for an option that may be repeated."""
    return names(*values)
