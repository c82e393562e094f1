"""Label noise beside cleanlab: the time it takes, and the errors of real labels it finds."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from crossentropy.diagnosis import label_noise

from ._cases import size
from ._effort import Effort
from ._harness import interleaved
from ._tables import Figure, Table, at_least

if TYPE_CHECKING:
    from crossentropy._predictions import Array

_FOLDER = "CROSSENTROPY_PREDICTIONS"
_REAL = "label-errors-cifar10"
_LISTED = 244
_WANTED = 50
_SHAPES: tuple[tuple[tuple[int, int], type], ...] = (
    ((1_000_000, 10), np.float64),
    ((100_000, 1000), np.float32),
)
_QUICK: tuple[tuple[tuple[int, int], type], ...] = (((20_000, 10), np.float64),)
_FILTERS = (
    "low_normalized_margin",
    "low_self_confidence",
    "prune_by_noise_rate",
    "prune_by_class",
    "both",
    "confident_learning",
    "predicted_neq_given",
)
_OURS = ("normalized_margin", "self_confidence", "noise_rate")


def tables(effort: Effort) -> Iterator[Table]:
    """Time, then errors found."""
    peer = _cleanlab()
    yield _times(peer, effort)
    yield _found(peer)


def _times(peer: Any, effort: Effort) -> Table:
    shapes = _QUICK if effort.quick else _SHAPES
    return Table(
        "Label noise from probabilities",
        ["N × C", "cleanlab / ours"],
        [
            (f"{size(shape)} {np.dtype(dtype).name}", [_ratio(shape, dtype, peer, effort)])
            for shape, dtype in shapes
        ],
        "Above 1: as many times longer than `label_noise` takes cleanlab's find_label_issues, by "
        "its default filter and in one process.",
    )


def _ratio(shape: tuple[int, int], dtype: type, peer: Any, effort: Effort) -> Figure:
    if peer is None:
        return Figure(None, note="not installed")
    labels, proba = _made_up(shape, dtype)
    median = interleaved(
        {
            "ours": lambda: label_noise(labels, proba, input="proba", out_of_sample=True),
            "cleanlab": lambda: peer(labels, proba, n_jobs=1),
        },
        effort._replace(least=3),
    )
    return Figure(median["cleanlab"] / median["ours"], at_least(1))


def _found(peer: Any) -> Table:
    real = _real()
    labels, proba, wrong = real or _flipped()
    listed = _LISTED if real else int(wrong.sum())
    rows = []
    for rank in _OURS:
        noise = label_noise(
            labels,
            proba,
            input="proba",
            out_of_sample=True,
            rank=rank,  # type: ignore[arg-type] # one of its literals
            n_rows=listed,
        )
        target = at_least(_WANTED) if real and rank == _OURS[0] else None
        rows.append((f"ours, {rank}", _counts(noise.suspicious.row, wrong, target)))
    for name in _FILTERS if peer is not None else ():
        flagged = np.flatnonzero(peer(labels, proba, filter_by=name, n_jobs=1))
        rows.append((f"cleanlab, {name}", _counts(flagged, wrong, None)))
    source = (
        f"{_REAL}: labels that fewer than three of five people chose"
        if real
        else f"made-up labels, for {_FOLDER} names no folder with {_REAL}"
    )
    return Table(
        f"Wrong labels found, of {int(wrong.sum())}",
        ["by", "found", "rows listed"],
        rows,
        f"{source}. cleanlab's filters choose how many rows they list; ours list {listed}.",
    )


def _counts(rows: Array, wrong: Array, target: Any) -> list[Figure]:
    return [Figure(float(wrong[rows].sum()), target), Figure(float(len(rows)))]


def _cleanlab() -> Any:
    """Their function, or None."""
    try:
        from cleanlab.filter import find_label_issues
    except ImportError:
        return None
    return find_label_issues


def _real() -> tuple[Array, Array, Array] | None:
    """Given labels, cross-validated probabilities, and which labels people found wrong."""
    folder = os.environ.get(_FOLDER)
    stem = Path(folder or ".") / _REAL
    if folder is None or not stem.with_suffix(".votes.json").exists():
        return None
    labels = np.load(stem.with_suffix(".labels.npy")).astype(np.int64)
    wrong = np.zeros(len(labels), dtype=bool)
    for vote in json.loads(stem.with_suffix(".votes.json").read_text(encoding="utf-8")):
        wrong[vote["id"]] = vote["mturk"]["given"] < 3
    return labels, np.load(stem.with_suffix(".probs.npy")), wrong


def _made_up(shape: tuple[int, int], dtype: type) -> tuple[Array, Array]:
    """Labels that come with their probabilities."""
    rng = np.random.default_rng(0)
    labels = rng.integers(shape[1], size=shape[0])
    proba = rng.standard_normal(shape, dtype=np.float32)
    proba[np.arange(shape[0]), labels] += 2 + np.log(shape[1])
    np.exp(proba, out=proba)
    proba /= proba.sum(axis=1, keepdims=True)
    return labels, proba.astype(dtype)


def _flipped() -> tuple[Array, Array, Array]:
    """Labels of which one in a hundred was changed after the predictions."""
    labels, proba = _made_up((10_000, 10), np.float64)
    rng = np.random.default_rng(1)
    wrong = rng.random(len(labels)) < 0.01
    return np.where(wrong, (labels + rng.integers(1, 10, len(labels))) % 10, labels), proba, wrong
