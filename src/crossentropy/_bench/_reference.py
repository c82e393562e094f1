"""The path in array code, which devices other than the CPU take, beside torch's own loss."""

from __future__ import annotations

from collections.abc import Iterator

from torch.nn import functional

from crossentropy import rows

from ._cases import MIDDLE, WIDE, batch, compiled, ours, size, training
from ._effort import Effort
from ._harness import interleaved
from ._memory import peak
from ._tables import Figure, Table, at_most


def tables(effort: Effort) -> Iterator[Table]:
    """One table."""
    shape = MIDDLE if effort.quick else WIDE
    with rows.using("reference"):
        median = _median(shape, effort)
    peaks = {} if effort.quick else _peaks()
    bounds = {"ours": at_most(1.3), "ours, compiled": at_most(1.3)}
    yield Table(
        f"The reference path at {size(shape)}, float32, forward + backward, on this CPU",
        ["loss", "time / compiled F.cross_entropy", "peak memory / logits"],
        [
            (name, [Figure(seconds / median["compiled"], bounds.get(name)), _peak(peaks, name)])
            for name, seconds in median.items()
            if name != "compiled"
        ],
    )


def _median(shape: tuple[int, ...], effort: Effort) -> dict[str, float]:
    logits, target = batch(shape)
    runs = {
        "ours": training(ours(), logits, target),
        "eager": training(functional.cross_entropy, logits, target),
        "compiled": training(compiled(), logits, target),
    }
    runs["ours, compiled"] = training(compiled(ours()), logits, target)
    return interleaved(runs, effort)


def _peaks() -> dict[str, float]:
    return {"ours": peak(ours(), path="reference"), "eager": peak(functional.cross_entropy)}


def _peak(peaks: dict[str, float], name: str) -> Figure:
    return Figure(peaks.get(name), note="" if name in peaks else "–")
