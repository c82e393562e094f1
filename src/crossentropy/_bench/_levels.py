"""What each instruction-set level of the native kernels costs over the best."""

from __future__ import annotations

from collections.abc import Iterator

from crossentropy import rows

from ._cases import FLAT, WIDE, batch, ours, size, step
from ._effort import Effort
from ._harness import Run, interleaved
from ._tables import Figure, Table


def tables(effort: Effort) -> Iterator[Table]:
    """One table."""
    levels = [name for name in rows.available_paths() if name != "reference"]
    shapes = (FLAT,) if effort.quick else (WIDE, FLAT)
    with rows.using(rows.path()):  # each run takes its own
        medians = [
            interleaved({level: _at(level, shape) for level in levels}, effort) for shape in shapes
        ]
    yield Table(
        "Levels of the native kernels, float32, forward + backward",
        ["level", *(f"time / {levels[0]} at {size(shape)}" for shape in shapes)],
        [
            (level, [Figure(median[level] / median[levels[0]]) for median in medians])
            for level in levels
        ],
    )


def _at(level: str, shape: tuple[int, ...]) -> Run:
    logits, target = batch(shape)
    loss = ours()

    def run() -> None:
        rows.use(level)
        step(loss, logits, target)

    return run
