"""The training loss as a user calls it, beside torch's and jax's, forward and backward."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from torch.nn import functional

from ._cases import (
    FLAT,
    MIDDLE,
    SEGMENTATION,
    WIDE,
    batch,
    compiled,
    in_place,
    jax_training,
    ours,
    size,
    training,
)
from ._effort import Effort
from ._harness import Run, interleaved
from ._tables import Figure, Table, Target, at_least


class _Targets(NamedTuple):
    """How many times faster than each peer."""

    eager: float | None = None
    compiled: float | None = None
    jax: float | None = None
    in_place: float | None = None


_WIDE = _Targets(7, 3.5, 3.5, 9)
_CASES: dict[tuple[int, ...], _Targets] = {
    (32, 2): _Targets(1 / 1.5),
    (64, 10): _Targets(1 / 1.15),
    (256, 10): _Targets(1),
    (65536, 2): _Targets(4),
    (65536, 4): _Targets(4),
    (65536, 8): _Targets(4),
    FLAT: _Targets(8, None, 1.5),
    (65536, 12): _Targets(4),
    (65536, 16): _Targets(1),
    (65536, 32): _Targets(1),
    (65536, 64): _Targets(1),
    MIDDLE: _Targets(4, 2, 2),
    WIDE: _WIDE,
    (512, 128256): _WIDE,
    (256, 262144): _WIDE,
    SEGMENTATION: _Targets(6),
}
_QUICK = (FLAT, WIDE)


def tables(effort: Effort) -> Iterator[Table]:
    """One table."""
    shapes = _QUICK if effort.quick else _CASES
    yield Table(
        "Training loss, float32, forward + backward, gradient allocated",
        ["N × C", "eager / ours", "compiled / ours", "jax / ours", "eager / in place"],
        [(size(shape), _figures(shape, _CASES[shape], effort)) for shape in shapes],
        "Above 1: as many times faster than F.cross_entropy, the same under torch.compile, and "
        "optax's loss under jax.jit. In place: `inplace_backward=True`.",
    )


def _figures(shape: tuple[int, ...], targets: _Targets, effort: Effort) -> list[Figure]:
    runs = _runs(shape, targets)
    median = interleaved(runs, effort)

    def faster(peer: str, than: str, bound: float | None) -> Figure:
        missing = next((name for name in (peer, than) if name not in runs), None)
        if missing is not None:
            return Figure(None, note="not installed" if missing == "jax" else "–")
        target: Target | None = None if bound is None else at_least(bound)
        return Figure(median[peer] / median[than], target)

    return [
        faster("eager", "ours", targets.eager),
        faster("compiled", "ours", targets.compiled),
        faster("jax", "ours", targets.jax),
        faster("eager", "in place", targets.in_place),
    ]


def _runs(shape: tuple[int, ...], targets: _Targets) -> dict[str, Run]:
    logits, target = batch(shape)
    runs = {
        "ours": training(ours(), logits, target),
        "eager": training(functional.cross_entropy, logits, target),
        "compiled": training(compiled(), logits, target),
    }
    if targets.in_place is not None:
        runs["in place"] = in_place(logits, target)
    jax = jax_training(logits, target)
    return runs if jax is None else runs | {"jax": jax}
