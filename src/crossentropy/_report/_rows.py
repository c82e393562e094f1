"""Predictions read once: sums over every row, and as many rows as memory may hold."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from crossentropy._errors import InputError
from crossentropy._predictions import Input, check_predictions
from crossentropy._progress import progress
from crossentropy._tables import ahead
from crossentropy.scores import Evaluation
from crossentropy.scores._stream import Located, PredictionStream, open_predictions

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from crossentropy._predictions import Array

_NUMBERS = 20_000_000  # predictions held at most, 160 MB
_GROUPS = 100
_BLOCK = 2**16


@dataclass(frozen=True)
class Rows:
    """What was read.

    Attributes
    ----------
    name
        What to call the predictions.
    input
        What they are.
    labels
        The label of each column.
    evaluation
        The sums over all rows.
    groups
        The same, by group, in the groups' order.
    count
        Rows there are.
    codes, values, weight
        Those that are held: columns of their labels, predictions, weights.
    row
        Their numbers in the whole, ascending.
    """

    name: str
    input: Input
    labels: Array
    evaluation: Evaluation
    groups: dict[str, Evaluation] | None
    count: int
    codes: Array
    values: Array
    weight: Array | None
    row: Array

    @property
    def sampled(self) -> bool:
        """Whether some rows are not held."""
        return len(self.row) < self.count


class _Block(NamedTuple):
    codes: Array
    values: Array
    weight: Array | None
    beside: Any


def from_arrays(
    y_true: ArrayLike,
    logits_or_proba: ArrayLike,
    *,
    input: Input,
    labels: ArrayLike | None,
    sample_weight: ArrayLike | None,
    most: int,
    seed: int,
    name: str,
    groups: ArrayLike | None = None,
) -> Rows:
    """Rows of arrays, checked as scores check them."""
    data = check_predictions(
        y_true, logits_or_proba, input=input, labels=labels, sample_weight=sample_weight
    )
    beside = None if groups is None else np.asarray(groups)
    if beside is not None and beside.shape != data.codes.shape:
        raise InputError(f"groups must have shape {data.codes.shape}, got {beside.shape}")

    def blocks() -> Iterator[_Block]:
        for first in range(0, len(data.codes), _BLOCK):
            part = slice(first, first + _BLOCK)
            yield _Block(
                data.codes[part],
                data.values[part],
                None if data.weight is None else data.weight[part],
                None if beside is None else beside[part],
            )

    return _read(blocks(), name, input, data.labels, None, most, seed, beside is not None)


def from_file(
    path: str | Path,
    *,
    input: Input,
    target: str,
    columns: Sequence[str] | None,
    weights: str | None,
    labels: Sequence[str] | None,
    most: int,
    seed: int,
    group: str | None = None,
) -> Rows:
    """Rows of a file, read batch by batch; errors name the row and the column."""
    predictions: Any = columns
    if Path(path).suffix.lower() == ".npz" and columns is not None:
        if len(columns) > 1:
            raise InputError(
                f"predictions in NPZ are one array, got {len(columns)} names: {', '.join(columns)}"
            )
        predictions = columns[0]
    stream = open_predictions(path, input, target, predictions, weights, labels, group)
    names = np.asarray(stream.labels)
    return _read(stream.blocks, stream.name, input, names, stream, most, seed, group is not None)


def _read(
    blocks: Iterable[Any],
    name: str,
    input: Input,
    labels: Array,
    stream: PredictionStream | None,
    most: int,
    seed: int,
    grouped: bool,
) -> Rows:
    texts = list(map(str, labels))
    evaluation = Evaluation(len(texts), input=input, class_names=texts)
    groups: dict[str, Evaluation] = {}
    kept = _Sample(max(1, min(most, _NUMBERS // max(1, len(texts)))), seed)
    first = 0
    with progress(f"reading {name}") as moved:
        for block in blocks if stream is None else ahead(iter(blocks)):
            with _located(stream, first, block.values):
                evaluation.update(block.codes, block.values, block.weight)
            if grouped:
                _update_groups(groups, block, texts, input)
            kept.add(first, block)
            first += len(block.codes)
            moved(first, None if stream is None else stream.rows)
    if first == 0:
        raise InputError(f"{name!r} is empty: it has no row")
    if evaluation.rows == 0:
        raise InputError(f"{name!r}: every row has weight 0, so there is nothing to score")
    codes, values, weight, row = kept.rows()
    ordered = dict(sorted(groups.items())) if grouped else None
    return Rows(name, input, labels, evaluation, ordered, first, codes, values, weight, row)


def _located(stream: PredictionStream | None, first: int, values: Array) -> Any:
    return contextlib.nullcontext() if stream is None else Located(stream, first, values)


class _Sample:
    """A uniform sample of so many rows of a stream whose length is not known.

    Each row draws a key, the same for every file, and those of the least keys stay: of two files
    with the same rows the same are held.
    """

    def __init__(self, size: int, seed: int) -> None:
        self._size, self._rng = size, np.random.default_rng(seed)
        self._parts: list[tuple[Array, ...]] = []
        self._held = 0

    def add(self, first: int, block: Any) -> None:
        count = len(block.codes)
        weight = np.ones(count) if block.weight is None else np.asarray(block.weight, np.float64)
        values = np.asarray(block.values)
        if values.dtype not in (np.float32, np.float64):
            values = values.astype(np.float64)
        self._weighted = block.weight is not None
        codes, row = np.asarray(block.codes, np.int64), np.arange(first, first + count)
        self._parts.append((self._rng.random(count), codes, values, weight, row))
        self._held += count
        if self._held > 2 * self._size:
            self._thin()

    def rows(self) -> tuple[Array, Array, Array | None, Array]:
        self._thin()
        _, codes, values, weight, row = self._parts[0]
        return codes, values, weight if self._weighted else None, row

    def _thin(self) -> None:
        parts = [np.concatenate(arrays) for arrays in zip(*self._parts, strict=True)]
        if self._held > self._size:
            chosen = np.sort(np.argpartition(parts[0], self._size)[: self._size])
            parts = [array[chosen] for array in parts]
        self._parts, self._held = [tuple(parts)], len(parts[0])


def _update_groups(
    groups: dict[str, Evaluation], block: Any, labels: list[str], input: Input
) -> None:
    names = np.array(["(empty)" if name is None else str(name) for name in block.beside])
    for name in np.unique(names):
        if name not in groups:
            if len(groups) == _GROUPS:
                raise InputError(
                    f"the groups have more than {_GROUPS} distinct values; group by something "
                    "coarser"
                )
            groups[str(name)] = Evaluation(len(labels), input=input, confusion=False)
        own = np.flatnonzero(names == name)
        weight = None if block.weight is None else np.asarray(block.weight)[own]
        groups[str(name)].update(block.codes[own], np.asarray(block.values)[own], weight)
