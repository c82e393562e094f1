"""Entropy and divergence of many rows beside scipy's, validation included, and their accuracy."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from crossentropy.measures import entropy, kl_divergence

from ._cases import size
from ._effort import Effort
from ._harness import Run, interleaved
from ._tables import Figure, Table, at_least, at_most

_SHAPE = (100_000, 100)
_STEPS = (1e-3, 1e-6, 1e-9)


def tables(effort: Effort) -> Iterator[Table]:
    """Two tables, where scipy is installed."""
    try:
        import scipy.special
        import scipy.stats
    except ImportError:
        return
    rows = 10_000 if effort.quick else _SHAPE[0]
    p, q = _rows(rows)
    sparse = np.where(p < 0.005, 0.0, p)
    sparse /= sparse.sum(axis=1, keepdims=True)
    special, stats = scipy.special, scipy.stats
    shape = size((rows, _SHAPE[1]))
    yield Table(
        f"Measures, {shape} float64: times of scipy over ours, with validation",
        ["measure", "scipy.stats.entropy / ours", "scipy.special / ours"],
        [
            _speed(
                "entropy",
                lambda: entropy(p),
                lambda: stats.entropy(p, axis=1, base=2),
                lambda: special.entr(p).sum(axis=1),
                effort,
                special_target=False,
            ),
            _speed(
                "KL divergence",
                lambda: kl_divergence(p, q),
                lambda: stats.entropy(p, q, axis=1, base=2),
                lambda: special.rel_entr(p, q).sum(axis=1),
                effort,
            ),
            _speed(
                "KL divergence, a third of p is 0",
                lambda: kl_divergence(sparse, q),
                lambda: stats.entropy(sparse, q, axis=1, base=2),
                lambda: special.rel_entr(sparse, q).sum(axis=1),
                effort,
            ),
        ],
        "scipy.special's entr and rel_entr with their sum, which check nothing.",
    )
    yield _accuracy(special, stats)


def _rows(count: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    rng = np.random.default_rng(0)
    p, q = rng.dirichlet(np.ones(_SHAPE[1]), (2, count))
    return p, q


def _speed(
    name: str, ours: Run, stats: Run, special: Run, effort: Effort, *, special_target: bool = True
) -> tuple[str, list[Figure]]:
    median = interleaved({"ours": ours, "stats": stats, "special": special}, effort)
    return name, [
        Figure(median["stats"] / median["ours"], at_least(1)),
        Figure(median["special"] / median["ours"], at_least(1) if special_target else None),
    ]


def _accuracy(special: Any, stats: Any) -> Table:
    return Table(
        "Greatest relative error of the divergence of nearly equal distributions",
        ["relative difference", "ours", "scipy.stats.entropy", "scipy.special.kl_div"],
        [(f"{step:.0e}", _errors(step, special, stats)) for step in _STEPS],
        "Of 100 rows × 100 outcomes in float64.",
    )


def _errors(step: float, special: Any, stats: Any) -> list[Figure]:
    q, direction = _rows(100)
    p = q + step * q * (direction - (q * direction).sum(axis=1, keepdims=True))
    truth = _by_series(p, q)
    found = {
        "ours": kl_divergence(p, q, base=np.e),
        "stats": stats.entropy(p, q, axis=1),
        "special": special.kl_div(p, q).sum(axis=1),
    }
    error = {name: float(np.max(np.abs(value / truth - 1))) for name, value in found.items()}
    return [Figure(error["ours"], at_most(1e-12)), Figure(error["stats"]), Figure(error["special"])]


def _by_series(p: np.ndarray[Any, Any], q: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Σ q((1 + d) log(1 + d) − d) = Σ q(d²/2 − d³/6 + d⁴/12 − …) for a small d = p/q − 1."""
    d = (p - q) / q
    terms: Any = sum((-d) ** k / (k * (k - 1)) for k in range(2, 9))
    total: np.ndarray[Any, Any] = np.sum(q * terms, axis=1)
    return total
