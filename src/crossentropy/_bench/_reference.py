"""The path in array code, which devices other than the CPU take, beside torch's own loss."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from torch.nn import functional

from crossentropy import rows

from ._cases import WIDE, batch, compiled, ours, size, training
from ._effort import Effort
from ._harness import interleaved
from ._memory import peak
from ._tables import Figure, Table, at_most


def tables(effort: Effort) -> Iterator[Table]:
    """One table."""
    with path("reference"):
        median = _median(effort)
    peaks = {
        "ours": peak(ours(), path="reference"),
        "eager": peak(functional.cross_entropy),
    }
    bounds = {"ours": at_most(1.3), "ours, compiled": at_most(1.3)}
    yield Table(
        f"The reference path at {size(WIDE)}, float32, forward + backward, on this CPU",
        ["loss", "time / compiled F.cross_entropy", "peak memory / logits"],
        [
            (name, [Figure(seconds / median["compiled"], bounds.get(name)), _peak(peaks, name)])
            for name, seconds in median.items()
            if name != "compiled"
        ],
    )


@contextlib.contextmanager
def path(name: str) -> Iterator[None]:
    """Take a path for a while."""
    before = rows.path()
    rows.use(name)
    try:
        yield
    finally:
        rows.use(before)


def _median(effort: Effort) -> dict[str, float]:
    logits, target = batch(WIDE)
    runs = {
        "ours": training(ours(), logits, target),
        "eager": training(functional.cross_entropy, logits, target),
        "compiled": training(compiled(), logits, target),
    }
    runs["ours, compiled"] = training(compiled(ours()), logits, target)
    return interleaved(runs, effort)


def _peak(peaks: dict[str, float], name: str) -> Figure:
    return Figure(peaks.get(name), note="" if name in peaks else "–")
