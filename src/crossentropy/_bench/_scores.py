"""Scores of predictions, beside scikit-learn, torchmetrics, relplot and uncertainty-calibration."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import log_loss as sklearn_log_loss

from crossentropy import scores

from ._cases import size
from ._effort import Effort
from ._harness import Run, interleaved, peak_bytes
from ._tables import Figure, Table, Target, at_least, at_most

Array = NDArray[Any]
Shape = tuple[int, int]

_WIDE, _FLAT = (100_000, 1000), (1_000_000, 10)
_TENTH = (100_000, 10)  # of the flat ones: uncertainty-calibration takes 24 s for all
_PROMISED = ((_WIDE, "float32", at_least(40)), (_FLAT, "float64", at_least(10)))
_NOT_INSTALLED = "not installed"


def tables(effort: Effort) -> Iterator[Table]:
    """Log loss, then calibration errors."""
    yield Table(
        "Log loss from logits",
        [
            "N × C, type",
            "scikit-learn / ours",
            "scikit-learn / ours, from probabilities",
            "relative error",
            "scikit-learn's",
            "peak / logits",
        ],
        [
            (f"{size(shape)}, {dtype}", _of_log_loss(shape, dtype, target, effort))
            for shape, dtype, target in _PROMISED
        ],
        "Above 1: as many times faster. scikit-learn is given the probabilities, ready made. "
        "Errors are against float64, which has no clipping.",
    )
    yield Table(
        "Calibration errors, float32 probabilities",
        ["error, N × C", "peer", "peer / ours"],
        [_row(*case, effort) for case in _cases()],
        "Above 1: as many times faster, checks of the probabilities included. "
        "uncertainty-calibration's time grows with the rows, so a tenth of 1000000 × 10 stands "
        "for all of it. relplot is given the confidences, ready made; ours finds them.",
    )


def _of_log_loss(shape: Shape, dtype: str, target: Target, effort: Effort) -> list[Figure]:
    y, logits = _predictions(shape, dtype)
    proba = _softmax(logits)
    runs: dict[str, Run] = {
        "ours": functools.partial(scores.log_loss, y, logits, input="logits"),
        "ours, proba": functools.partial(scores.log_loss, y, proba, input="proba"),
        "peer": functools.partial(sklearn_log_loss, y, proba),
    }
    median = interleaved(runs, effort._replace(least=1 if effort.quick else 3))
    truth = _true_log_loss(y, logits)
    peak = peak_bytes(functools.partial(_fresh, shape, dtype)) / logits.nbytes
    return [
        Figure(median["peer"] / median["ours"], target),
        Figure(median["peer"] / median["ours, proba"]),
        Figure(abs(scores.log_loss(y, logits, input="logits") / truth - 1), at_most(1e-6)),
        Figure(abs(sklearn_log_loss(y, proba) / truth - 1)),
        Figure(peak, at_most(0.05) if shape == _WIDE else None),
    ]


def _true_log_loss(y: Array, logits: Array) -> float:
    """In float64, a tenth of the rows at a time."""
    total = 0.0
    for part in np.array_split(np.arange(len(y)), 10):
        wide = logits[part].astype(np.float64)
        total += float(np.log(np.exp(wide).sum(axis=1)).sum())
        total -= float(wide[np.arange(len(part)), y[part]].sum())
    return total / len(y)


def _fresh(shape: Shape, dtype: str) -> Run:
    """The log loss, in a process that has allocated what it allocates once."""
    functools.partial(scores.log_loss, *_predictions((64, 10)), input="logits")()
    return functools.partial(scores.log_loss, *_predictions(shape, dtype), input="logits")


Peer = Callable[[Any, Array, Array], object]


def _cases() -> list[tuple[str, Shape, str, Peer, Target | None]]:
    """Kind, shape, the peer's module, its call, and what was promised."""
    return [
        ("ece", _FLAT, "torchmetrics", _torchmetrics, None),
        ("ece", _WIDE, "torchmetrics", _torchmetrics, None),
        ("smooth", _FLAT, "relplot", _relplot, at_least(5)),
        ("classwise", _TENTH, "calibration", _uncertainty_calibration, at_least(20)),
    ]


def _row(
    kind: str, shape: Shape, module: str, peer: Peer, target: Target | None, effort: Effort
) -> tuple[str, list[Figure]]:
    name = {"calibration": "uncertainty-calibration"}.get(module, module)
    try:
        package = importlib.import_module(module)
    except ImportError:
        return f"{kind}, {size(shape)}", [
            Figure(None, note=name),
            Figure(None, note=_NOT_INSTALLED),
        ]
    y, logits = _predictions(shape)
    proba = _softmax(logits)
    runs: dict[str, Run] = {
        "ours": functools.partial(
            scores.calibration_error,
            y,
            proba,
            input="proba",
            kind=kind,  # type: ignore[arg-type] # one of its literals
        ),
        "peer": functools.partial(peer, package, y, proba),
    }
    median = interleaved(runs, effort._replace(least=1))
    ratio = Figure(median["peer"] / median["ours"], target)
    return f"{kind}, {size(shape)}", [Figure(None, note=name), ratio]


def _torchmetrics(package: Any, y: Array, proba: Array) -> object:
    error = package.functional.classification.multiclass_calibration_error
    return error(torch.from_numpy(proba), torch.from_numpy(y), proba.shape[1], n_bins=15)


def _relplot(package: Any, y: Array, proba: Array) -> object:
    return package.smECE(*_confidences(y, proba))


_cached: dict[int, tuple[Array, Array]] = {}


def _confidences(y: Array, proba: Array) -> tuple[Array, Array]:
    """Found once, so that the peer's time is its own."""
    if id(proba) not in _cached:
        right = (proba.argmax(axis=1) == y).astype(np.float64)
        _cached[id(proba)] = (proba.max(axis=1).astype(np.float64), right)
    return _cached[id(proba)]


def _uncertainty_calibration(package: Any, y: Array, proba: Array) -> object:
    return package.get_calibration_error(proba, y, mode="marginal")


def _predictions(shape: Shape, dtype: str = "float32") -> tuple[Array, Array]:
    """Labels of which half are the top ones, all classes among them, and logits."""
    rng = np.random.default_rng(0)
    logits = rng.standard_normal(shape, dtype=np.float32)
    logits *= 2
    y = np.where(rng.random(shape[0]) < 0.5, logits.argmax(axis=1), rng.integers(shape[1]))
    y[: shape[1]] = np.arange(shape[1])[: shape[0]]
    return y, logits.astype(dtype, copy=False)


def _softmax(logits: Array) -> Array:
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    proba: Array = odds / odds.sum(axis=1, keepdims=True)
    return proba
