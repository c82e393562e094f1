"""How much memory a training step takes above its logits."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator

import torch
from torch.nn import functional

from crossentropy import rows

from ._cases import WIDE, Loss, batch, in_place, ours, size, training
from ._effort import Effort
from ._harness import Run, peak_bytes
from ._tables import Figure, Table


def tables(effort: Effort) -> Iterator[Table]:
    """One table."""
    peaks = {name: measure() for name, measure in _measurements(effort).items()}
    yield Table(
        f"Peak memory at {size(WIDE)}, float32 unless said, forward + backward",
        ["loss", "peak / logits"],
        [(name, [Figure(peak)]) for name, peak in peaks.items()],
        "Above what the logits take themselves; a fresh gradient is 1. Logits of 16 bits are "
        "compared with their own size.",
    )


def _measurements(effort: Effort) -> dict[str, Callable[[], float]]:
    peers = {"ours": ours(), "F.cross_entropy": functional.cross_entropy}
    plain: dict[str, Callable[[], float]] = {
        name: functools.partial(peak, loss) for name, loss in peers.items()
    }
    if effort.quick:
        return plain
    return {
        **plain,
        "ours, in place": _peak_in_place,
        **{
            f"{name}, bfloat16": functools.partial(peak, loss, torch.bfloat16)
            for name, loss in peers.items()
        },
    }


def peak(loss: Loss, dtype: torch.dtype = torch.float32, path: str | None = None) -> float:
    """Peak memory of a training step at `WIDE`, over the size of its logits."""
    return _over_logits(functools.partial(_fresh, loss, dtype, path), dtype)


def _peak_in_place() -> float:
    return _over_logits(_fresh_in_place, torch.float32)


def _over_logits(setup: Callable[[], Run], dtype: torch.dtype) -> float:
    return peak_bytes(setup) / (math.prod(WIDE) * dtype.itemsize)


def _fresh(loss: Loss, dtype: torch.dtype, path: str | None) -> Run:
    """A training step, in a process that has allocated what it allocates once."""
    if path is not None:
        rows.use(path)
    training(loss, *batch((8, 16), dtype))()
    return training(loss, *batch(WIDE, dtype))


def _fresh_in_place() -> Run:
    in_place(*batch((8, 16)))()
    return in_place(*batch(WIDE))
