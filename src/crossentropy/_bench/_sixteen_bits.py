"""Logits of 16 bits: beside float32 logits, and beside torch on the same."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch.nn import functional

from ._cases import MIDDLE, WIDE, batch, ours, size, training
from ._effort import Effort
from ._harness import interleaved
from ._tables import Figure, Table, at_least, at_most

_DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16}


def tables(effort: Effort) -> Iterator[Table]:
    """One table."""
    shapes = (MIDDLE,) if effort.quick else (MIDDLE, WIDE)
    yield Table(
        "16 bits, forward + backward",
        ["N × C", *(f"{name}: {ratio}" for name in _DTYPES for ratio in _RATIOS)],
        [(size(shape), _figures(shape, effort)) for shape in shapes],
        "Our time over that of our float32, and F.cross_entropy's over ours in the same type.",
    )


_RATIOS = ("time / float32", "eager / ours")


def _figures(shape: tuple[int, ...], effort: Effort) -> list[Figure]:
    runs = {"float32": training(ours(), *batch(shape))}
    for name, dtype in _DTYPES.items():
        logits, target = batch(shape, dtype)
        runs[name] = training(ours(), logits, target)
        runs[f"eager {name}"] = training(functional.cross_entropy, logits, target)
    median = interleaved(runs, effort)
    figures = []
    for name in _DTYPES:
        figures.append(Figure(median[name] / median["float32"], at_most(0.8)))
        figures.append(Figure(median[f"eager {name}"] / median[name], at_least(6)))
    return figures
