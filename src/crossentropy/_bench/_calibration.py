"""Fits of calibrators beside scikit-learn's and probmetrics', on drawn rows and on real ones."""

from __future__ import annotations

import importlib
import os
import statistics
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crossentropy.calibration import (
    Calibrator,
    TemperatureScaling,
    VectorScaling,
    select_calibrator,
)

from ._cases import size
from ._effort import Effort
from ._harness import Run
from ._tables import Figure, Table, at_least, at_most

Array = NDArray[Any]

_LONG = (1_000_000, 10)
_WIDE = (100_000, 1000)
_PREDICTIONS = Path(os.environ.get("CROSSENTROPY_PREDICTIONS", "../shared/data/predictions"))
_WIDE_RESNET = 0.4871991  # exact to these digits, of all its rows
_NONE = Figure(None, note="not installed")


def tables(effort: Effort) -> Iterator[Table]:
    """Temperatures, vectors, and what is found on real predictions where they are at hand."""
    shapes = [_LONG] if effort.quick else [_LONG, _WIDE]
    yield Table(
        "Temperature fits",
        ["N × C", "scikit-learn / ours", "probmetrics / ours", "distance from the optimum"],
        [(_named(shape), _temperature(shape, effort)) for shape in shapes],
        "Above 1: as many times faster than the peer. The distance is Newton's next step by plain "
        "array code in float64, relative to the temperature.",
    )
    yield Table(
        f"Structured vector scaling at {_named(_LONG)}",
        ["", "probmetrics / ours", "log loss, ours − theirs (nats)"],
        [("fit", _vector(_LONG, effort))],
        "Above 1: as many times faster than the peer.",
    )
    if _PREDICTIONS.is_dir():
        yield Table(
            "Real predictions",
            ["set", "log loss, ours / probmetrics'", "log loss (nats)", "error of β"],
            [
                ("label-errors-20news, halves", _newsgroups(effort)),
                ("netcal-wideresnet-cifar10", [Figure(None), Figure(None), _wide_resnet()]),
            ],
            "By `select_calibrator` on one half, the mean on the other over random halves, beside "
            "structured matrix scaling; and the temperature of all rows.",
        )


def _named(shape: tuple[int, int]) -> str:
    return f"{size(shape)}, {_dtype(shape).__name__}"


def _dtype(shape: tuple[int, int]) -> type[np.floating[Any]]:
    return np.float64 if shape == _LONG else np.float32


def _drawn(shape: tuple[int, int]) -> tuple[Array, Array]:
    """Logits of a model that is too sure of itself, and labels."""
    rng = np.random.default_rng(0)
    logits = 3 * rng.standard_normal(shape, dtype=np.float32)
    y = (logits / 1.7 + rng.gumbel(size=shape)).argmax(axis=1)
    return logits.astype(_dtype(shape)), y


def _temperature(shape: tuple[int, int], effort: Effort) -> list[Figure]:
    logits, y = _drawn(shape)
    runs: dict[str, Run] = {"ours": lambda: TemperatureScaling().fit(logits, y)}
    peer = getattr(importlib.import_module("sklearn.calibration"), "_TemperatureScaling", None)
    if peer is not None:
        runs["sklearn"] = lambda: peer().fit(logits, y)
    if shape == _LONG and (probmetrics := _probmetrics("temp-scaling")):
        runs["probmetrics"] = _theirs(probmetrics, _softmax(logits), y)
    median = _in_turn(runs, effort)
    beta = TemperatureScaling().fit(logits, y).beta_
    goals = {"sklearn": 10 if shape == _LONG else 8, "probmetrics": 40}
    ratios = [
        Figure(median[name] / median["ours"], at_least(goal)) if name in median else _NONE
        for name, goal in goals.items()
    ]
    if shape != _LONG:
        ratios[1] = Figure(None, note="takes too long")
    return [*ratios, Figure(_next_step(logits, y, beta), at_most(1e-6))]


def _next_step(logits: Array, y: Array, beta: float) -> float:
    """Newton's, relative to where it starts."""
    gradient = curvature = 0.0
    for begin in range(0, len(y), 10_000):
        z, own = logits[begin : begin + 10_000].astype(np.float64), y[begin : begin + 10_000]
        p = _softmax(beta * z)
        mean = (p * z).sum(axis=1)
        gradient += float((mean - z[np.arange(len(own)), own]).sum())
        curvature += float((p * (z - mean[:, None]) ** 2).sum())
    return abs(gradient / curvature / beta)


def _vector(shape: tuple[int, int], effort: Effort) -> list[Figure]:
    peer = _probmetrics("svs")
    if peer is None:
        return [_NONE, _NONE]
    logits, y = _drawn(shape)
    proba = _softmax(logits)
    ours, theirs = VectorScaling(input="proba"), peer()
    runs: dict[str, Run] = {
        "ours": lambda: ours.fit(proba, y),
        "theirs": _theirs(lambda: theirs, proba, y),
    }
    median = _in_turn(runs, effort._replace(quick=True))  # theirs takes half a minute
    difference = _log_loss(ours.predict_proba(proba), y) - _log_loss(theirs.predict_proba(proba), y)
    return [
        Figure(median["theirs"] / median["ours"], at_least(10)),
        Figure(difference, at_most(1e-6)),
    ]


def _newsgroups(effort: Effort) -> list[Figure]:
    proba = np.load(_PREDICTIONS / "label-errors-20news.probs.npy").astype(np.float64)
    proba /= proba.sum(axis=1, keepdims=True)
    y = np.load(_PREDICTIONS / "label-errors-20news.labels.npy")
    peer = _probmetrics("sms")
    ours, theirs = [], []
    for seed in range(2 if effort.quick else 10):
        mixed = np.random.default_rng(seed).permutation(len(y))
        fit, judge = mixed[: len(y) // 2], mixed[len(y) // 2 :]
        found: Calibrator = select_calibrator(proba[fit], y[fit], input="proba").calibrator
        ours.append(_log_loss(found.predict_proba(proba[judge]), y[judge]))
        if peer is not None:
            fitted: Any = _theirs(peer, proba[fit], y[fit])()
            theirs.append(_log_loss(fitted.predict_proba(proba[judge]), y[judge]))
    ratio = Figure(statistics.mean(ours) / statistics.mean(theirs), at_most(1.02))
    return [ratio if theirs else _NONE, Figure(statistics.mean(ours)), Figure(None)]


def _wide_resnet() -> Figure:
    with np.load(_PREDICTIONS / "netcal-wideresnet-cifar10.npz") as file:
        proba, y = file["predictions"].astype(np.float64), file["ground_truth"]
    proba /= proba.sum(axis=1, keepdims=True)
    beta = TemperatureScaling(input="proba").fit(proba, y).beta_
    return Figure(abs(beta - _WIDE_RESNET), at_most(6e-8))


def _in_turn(runs: dict[str, Run], effort: Effort) -> dict[str, float]:
    """Median seconds of fits, some of which take many."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    runs["ours"]()
    for _ in range(1 if effort.quick else 3):
        for name, run in runs.items():
            for _ in range(3 if name == "ours" else 1):
                start = time.perf_counter()
                run()
                times[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def _probmetrics(name: str) -> Callable[[], Any] | None:
    """A maker of one of its calibrators, where it is installed."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            calibrators = importlib.import_module("probmetrics.calibrators")
    except ImportError:
        return None
    return lambda: calibrators.get_calibrator(name)


def _theirs(make: Callable[[], Any], proba: Array, y: Array) -> Run:
    def run() -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return make().fit(proba, y)

    return run


def _softmax(logits: Array) -> Array:
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    proba: Array = odds / odds.sum(axis=1, keepdims=True)
    return proba


def _log_loss(proba: Array, y: Array) -> float:
    return float(-np.log(proba[np.arange(len(y)), y]).mean())
