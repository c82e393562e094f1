"""The scalar rule on NumPy's views of the statistics, for eager tensors on the CPU.

A call of NumPy costs a third of torch's, which is what small batches wait for; and on large
ones it wakes none of torch's threads, which would spin where the kernels' next pass is to run.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from crossentropy import rows
from crossentropy.losses._registry import is_portable
from crossentropy.rows import RowStatistics, _memory

from ._problem import Evaluation, Problem

TYPES = (torch.float32, torch.float64)  # that NumPy and the small route share


def takes(problem: Problem, logits: Tensor) -> bool:
    """Whether kernels run, the rule is array code and all its numbers are at hand."""
    return (
        rows.path() != "reference"
        and _memory.memory_of(logits) is not None
        and is_portable(problem.objective.loss)
        and all(is_plain(value) and value.dtype in TYPES for value in problem.tensors())
    )


def is_plain(tensor: Tensor) -> bool:
    """Whether its numbers lie where it points, one after the other."""
    return _memory.torch_memory().are_plain(tensor)


def in_double(tensor: Tensor) -> Tensor:
    """The numbers of a plain tensor as float64."""
    return torch.from_numpy(np.asarray(tensor.numpy(), dtype=np.float64))


def evaluate(problem: Problem, row: RowStatistics) -> Evaluation:
    """`Problem.evaluate`, with slopes that are NumPy's."""
    loss, slopes = unrounded(problem, row)
    return Evaluation(loss.to(row.rows.logits.dtype), slopes)


def unrounded(problem: Problem, row: RowStatistics) -> Evaluation:
    """`Problem.unrounded`, likewise."""
    viewed = problem.as_numpy()
    seen = row.rows._replace(target=row.rows.target.numpy(), weight=viewed.weight)
    with np.errstate(all="ignore"):  # inf − inf and log 0 are ordinary here
        value, slopes = viewed.unrounded(RowStatistics(seen, row.table.numpy()))
    return Evaluation(torch.from_numpy(np.asarray(value)), slopes)
