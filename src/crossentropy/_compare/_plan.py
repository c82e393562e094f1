"""What a study is made of: the data, the candidates and the protocol."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from ._candidates import BASELINE, Candidate
from ._preprocessing import Schema
from ._yardsticks import YARDSTICKS

Array = NDArray[Any]
Kind = Literal["baseline", "loss", "corrected", "yardstick"]

CORRECTED = "_corrected"  # ends the name of a row whose prior is corrected


@dataclass(frozen=True)
class Protocol:
    """What `compare` was asked to do; its parameters of the same names."""

    folds: int
    repeats: int
    seed: int
    head: str
    epochs: int
    label_noise: float
    long_tail: float | None
    clean_validation: bool
    deploy_prior: Array | None
    yardsticks: bool


@dataclass(frozen=True)
class Study:
    """The data, the candidates and the protocol.

    Attributes
    ----------
    X
        A tidy table, or float32 inputs for the user's own network; test rows last.
    codes
        (N,) column numbers of the labels.
    classes
        (C,) labels.
    weight, groups
        (N,) or None; groups are needed for training rows only.
    schema
        Of X, or None where X goes to the user's network as it is.
    test_rows
        How many of the last rows are a test set of their own; 0 for folds.
    candidates
        What to compare, plain cross entropy first.
    factory
        The user's network by number of classes, or None for the head of the protocol.
    protocol
        How.
    """

    X: Any
    codes: Array
    classes: Array
    weight: Array | None
    groups: Array | None
    schema: Schema | None
    test_rows: int
    candidates: tuple[Candidate, ...]
    factory: Callable[[int], torch.nn.Module] | None
    protocol: Protocol

    @property
    def known_rows(self) -> Array:
        """Rows that may be trained on: all but the test set."""
        return np.arange(len(self.codes) - self.test_rows)


def row_kinds(study: Study) -> dict[str, tuple[str, Kind]]:
    """Label and kind of every row of the result, in the order of the table."""
    rows: dict[str, tuple[str, Kind]] = {}
    for candidate in study.candidates:
        baseline = candidate.name == BASELINE
        rows[candidate.name] = (candidate.label, "baseline" if baseline else "loss")
        if baseline or candidate.shifts_prior:
            step = "post-hoc prior correction" if baseline else "prior correction"
            rows[candidate.name + CORRECTED] = (f"{candidate.label} + {step}", "corrected")
    if study.protocol.yardsticks:
        rows |= {name: (label, "yardstick") for name, label in YARDSTICKS.items()}
    return rows
