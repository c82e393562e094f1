"""Options that several commands read alike."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from typing import Any

import click


def names(*values: str) -> tuple[str, ...]:
    """Split values at commas; a name that holds one is quoted as in a CSV file."""
    return tuple(name.strip() for row in csv.reader(values) for name in row if name.strip())


def split(context: click.Context, parameter: click.Parameter, values: Sequence[str]) -> Any:
    """`names`, as click calls it for an option that may be repeated."""
    return names(*values)


def predictions(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options that say what a file of predictions holds."""
    for option in reversed(
        (
            click.option(
                "--input",
                "kind",
                type=click.Choice(["logits", "proba"]),
                help="What the predictions are; default: what their columns are called.",
            ),
            click.option(
                "--target",
                default="y_true",
                show_default=True,
                metavar="COLUMN",
                help="The true labels.",
            ),
            click.option(
                "--columns",
                multiple=True,
                callback=split,
                metavar="COLUMNS",
                help="Predictions, one column for each class (NPZ: one array); default: p_… or "
                "logit_….",
            ),
            click.option(
                "--classes",
                multiple=True,
                callback=split,
                metavar="LABELS",
                help="The label of each prediction column; default: what follows p_ or logit_.",
            ),
            click.option("--weights", metavar="COLUMN", help="Column of row weights."),
            click.option("--seed", type=click.IntRange(0), default=0, show_default=True),
        )
    ):
        command = option(command)
    return command
