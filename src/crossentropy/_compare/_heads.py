"""The networks that a study trains: deliberately small, the same for every loss."""

from __future__ import annotations

from torch import nn

HEADS = ("mlp", "linear")
HIDDEN = 128


def make_head(kind: str, inputs: int, classes: int) -> nn.Module:
    """Make a linear classifier, or one with a hidden layer of 128 ReLU units."""
    if kind == "linear":
        return nn.Linear(inputs, classes)
    return nn.Sequential(nn.Linear(inputs, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, classes))
