"""One call of the loss, checked and laid out: what every autograd route evaluates."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from crossentropy.losses import Objective
from crossentropy.rows import Rows, RowStatistics, Slopes, statistics

Pass = Callable[..., RowStatistics]


class Evaluation(NamedTuple):
    """A reduced loss, and all that its gradient needs beside the logits."""

    loss: Tensor
    statistics: RowStatistics
    slopes: Slopes  # of the reduced loss


class Problem(NamedTuple):
    """The options of one call, for logits (N, C) and class indices (N,)."""

    objective: Objective
    reduction: str
    temperature: float
    bias: Tensor | None
    sample_weight: Tensor | None
    normalizer: Tensor | float | None

    def rows(self, logits: Tensor, target: Tensor, threads: int = 1) -> Rows:
        """The rows as the passes take them."""
        return Rows(
            logits=logits,
            target=target,
            weight=self.objective.class_weight,
            temperature=self.temperature,
            bias=self.bias,
            ignore_index=self.objective.ignore_index,
            n_threads=threads,
        )

    def evaluate(
        self, logits: Tensor, target: Tensor, run: Pass = statistics, threads: int = 1
    ) -> Evaluation:
        """Statistics, rule and reduction, rounded to the logits' type once."""
        problem = self.rows(logits, target, threads)
        row = run(problem, weighted=self.objective.needs_weighted)
        return self.finish(row, logits.dtype)

    def finish(self, row: RowStatistics, dtype: torch.dtype) -> Evaluation:
        """Rule and reduction."""
        value, slopes = self.objective.terms(row, self.sample_weight)
        if self.reduction == "none":
            return Evaluation(value.to(dtype), row, slopes)
        total = value.sum()
        if self.reduction == "sum":
            return Evaluation(total.to(dtype), row, slopes)
        divisor = self.normalizer
        if divisor is None:
            divisor = self.objective.normalizer(row.rows.target, self.sample_weight)
        return Evaluation((total / divisor).to(dtype), row, slopes.scaled(1 / divisor))
