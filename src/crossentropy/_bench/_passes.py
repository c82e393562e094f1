"""The two kernels into ready memory, over the least that any loss with a gradient must do."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from crossentropy import rows

from ._cases import WIDE, batch, size
from ._effort import Effort
from ._harness import interleaved
from ._tables import Figure, Table, at_most

_SHAPES = (WIDE, (512, 128256), (256, 262144))


def tables(effort: Effort) -> Iterator[Table]:
    """One table."""
    shapes = _SHAPES[:1] if effort.quick else _SHAPES
    yield Table(
        "Both passes into ready memory, float32",
        ["N × C", "passes / floor"],
        [(size(shape), [_over_floor(shape, effort)]) for shape in shapes],
        "The floor is reading the logits once and copying them once.",
    )


def _over_floor(shape: tuple[int, ...], effort: Effort) -> Figure:
    logits, target = batch(shape)
    plain, ready = logits.detach(), torch.empty(shape)
    problem = rows.make(plain, target, n_threads=torch.get_num_threads())
    slopes = rows.Slopes(1 / shape[0], 1 / shape[0])

    def passes() -> None:
        rows.gradient(problem, rows.statistics(problem), slopes, out=ready)

    median = interleaved(
        {"read": plain.sum, "copy": lambda: ready.copy_(plain), "passes": passes}, effort
    )
    return Figure(median["passes"] / (median["read"] + median["copy"]), at_most(1.3))
