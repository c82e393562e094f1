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
_PROMISED = {_WIDE: 40.0, _FLAT: 10.0}
_NOT_INSTALLED = "not installed"


def tables(effort: Effort) -> Iterator[Table]:
    """Log loss, then calibration errors."""
    yield Table(
        "Log loss from float32 logits",
        [
            "N × C",
            "scikit-learn / ours",
            "scikit-learn / ours, from probabilities",
            "relative error",
            "scikit-learn's",
            "peak / logits",
        ],
        [(size(shape), _of_log_loss(shape, effort)) for shape in (_WIDE, _FLAT)],
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


def _of_log_loss(shape: Shape, effort: Effort) -> list[Figure]:
    y, logits = _predictions(shape)
    proba = _softmax(logits)
    runs: dict[str, Run] = {
        "ours": functools.partial(scores.log_loss, y, logits, input="logits"),
        "ours, proba": functools.partial(scores.log_loss, y, proba, input="proba"),
        "peer": functools.partial(sklearn_log_loss, y, proba),
    }
    median = interleaved(runs, effort._replace(least=3))
    wide = logits.astype(np.float64)
    truth = float(np.mean(np.log(np.exp(wide).sum(axis=1)) - wide[np.arange(len(y)), y]))
    del wide
    peak = peak_bytes(functools.partial(_fresh, shape)) / logits.nbytes
    return [
        Figure(median["peer"] / median["ours"], at_least(_PROMISED[shape])),
        Figure(median["peer"] / median["ours, proba"]),
        Figure(abs(scores.log_loss(y, logits, input="logits") / truth - 1), at_most(1e-6)),
        Figure(abs(sklearn_log_loss(y, proba) / truth - 1)),
        Figure(peak, at_most(0.05) if shape == _WIDE else None),
    ]


def _fresh(shape: Shape) -> Run:
    """The log loss, in a process that has allocated what it allocates once."""
    functools.partial(scores.log_loss, *_predictions((64, 10)), input="logits")()
    return functools.partial(scores.log_loss, *_predictions(shape), input="logits")


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
            kind=kind,  # type: ignore[arg-type]
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


def _predictions(shape: Shape) -> tuple[Array, Array]:
    """Labels drawn from the softmax of float32 logits, all classes among them."""
    rng = np.random.default_rng(0)
    logits = 2 * rng.standard_normal(shape, dtype=np.float32)
    y = (logits + rng.gumbel(size=shape).astype(np.float32)).argmax(axis=1)
    y[: shape[1]] = np.arange(shape[1])[: shape[0]]
    return y, logits


def _softmax(logits: Array) -> Array:
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    proba: Array = odds / odds.sum(axis=1, keepdims=True)
    return proba
