"""Scores of more rows than memory holds: sums that are filled block by block and merged."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from crossentropy import rows
from crossentropy._arrays import is_torch, widened
from crossentropy._errors import InputError, RowError
from crossentropy._predictions import Columns, Input, softmax

from ._result import EvaluationResult, result_of
from ._row_scores import row_scores
from ._sums import Sums

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from crossentropy._predictions import Array

VERSION = 1  # of the state
BLOCK = 2**20  # predictions: enough that what a block costs beside its rows does not count
_MOST_CONFUSED = 1000  # classes of which a confusion matrix is kept by default: 8 MB


class Evaluation:
    r"""Scores of predictions that arrive block by block, in constant memory.

    Keeps sums only, which add up: evaluations of parts of the data merge into that of the whole,
    in any order, to rounding. Losses, Brier scores and counts are exact. Calibration errors come
    from a grid of 15,360 cells of the top label's probability, whose sums are exact too:

    - errors in bins of equal width are exact, as such bins are made of whole cells;
    - bins of equal mass begin at a cell's edge, at most 6.5e-5 from where they should; their
      error is off by at most twice the share of the rows that lie in the cells so cut;
    - KS and Kuiper look at the cumulated residuals at the cells' edges: KS is at most the
      greatest share of rows in one cell too small, Kuiper twice that;
    - the smooth error sees confidences to the width of a cell.

    Parameters
    ----------
    num_classes : int
        Columns of the predictions.
    input : {"logits", "proba"}
        What the predictions are: raw scores before the softmax, or probabilities.
    confusion : bool, optional
        Whether to keep the confusion matrix. By default up to 1,000 classes (8 MB).
    classwise : bool, default False
        Whether to keep bins of every class's probability, for the classwise error. Takes the
        memory of a block of probabilities, and several times the time.
    class_names : sequence of str, optional
        Names of the classes, for the result.
    n_threads : int, default 1
        Threads of the native kernels.

    Raises
    ------
    ValueError
        If there are fewer than two classes, or an option is none.

    References
    ----------
    J. Błasiok, P. Nakkiran, "Smooth ECE", ICLR 2024; I. Arrieta-Ibarra et al., "Metrics of
    calibration for probabilistic predictions", JMLR 23, 2022 (KS and Kuiper).

    Examples
    --------
    >>> evaluation = Evaluation(2, input="proba")
    >>> evaluation.update([0, 1], [[0.5, 0.5], [0.75, 0.25]])
    >>> other = Evaluation(2, input="logits")
    >>> other.update([1], [[0.0, 0.0]])
    >>> evaluation.merge(other)
    >>> result = evaluation.result(base=2)
    >>> result.rows, round(result.log_loss, 3), round(result.brier, 3)
    (3, 1.333, 0.708)
    """

    def __init__(
        self,
        num_classes: int,
        *,
        input: Input,
        confusion: bool | None = None,
        classwise: bool = False,
        class_names: Sequence[str] | None = None,
        n_threads: int = 1,
    ) -> None:
        if num_classes < 2:
            raise InputError(f"num_classes must be at least 2, got {num_classes}")
        if input not in ("logits", "proba"):
            raise InputError(f'input must be "logits" or "proba", got {input!r}')
        if class_names is not None and len(class_names) != num_classes:
            raise InputError(f"{num_classes} classes need as many names, got {len(class_names)}")
        if n_threads < 1:
            raise InputError(f"n_threads must be at least 1, got {n_threads}")
        self.num_classes = int(num_classes)
        self.input: Input = input
        self.class_names = None if class_names is None else tuple(map(str, class_names))
        self.n_threads = n_threads
        confusion = num_classes <= _MOST_CONFUSED if confusion is None else confusion
        self._sums = Sums.zeros(self.num_classes, confusion=confusion, classwise=classwise)

    @property
    def rows(self) -> int:
        """How many rows have been seen whose weight is not 0."""
        return int(self._sums.rows.sum())

    def update(
        self, y_true: ArrayLike, predictions: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> None:
        """Add rows; where this raises, nothing has been added.

        Parameters
        ----------
        y_true : array-like of shape (n_rows,)
            True classes, integers in [0, num_classes).
        predictions : array-like of shape (n_rows, num_classes)
            Logits or probabilities, as said at construction: a NumPy array, a PyTorch tensor of
            any device and type, or what NumPy makes an array of. Rows or columns may be
            contiguous; neither is copied.
        sample_weight : array-like of shape (n_rows,), optional
            Nonnegative weights; a row of weight 0 counts for nothing, but is checked.

        Raises
        ------
        ValueError
            If shapes, classes or weights do not fit, a logit is NaN or plus infinity, or a row of
            probabilities is negative, not finite or does not sum to one; with the first such row.
        """
        kept = is_torch(predictions) or isinstance(predictions, Columns)
        values: Any = predictions if kept else np.asarray(predictions)
        codes, weight = self._checked(y_true, values, sample_weight)
        # A few rows are added together or not at all; of more, some may turn out not to be right
        # after others were added.
        at_once = rows.scored_at_once(self.num_classes, self.n_threads)
        few = len(codes) <= min(at_once, _block(self.num_classes))
        sums = self._sums if few else self._sums.like()
        self._add(sums, codes, values, weight)
        if sums is not self._sums:
            self._sums.merge(sums)

    def _update_in_place(self, y_true: Array, predictions: Any, sample_weight: Any) -> None:
        """As `update`; but where this raises, some rows may have been added."""
        codes, weight = self._checked(y_true, predictions, sample_weight)
        self._add(self._sums, codes, predictions, weight)

    def merge(self, other: Evaluation) -> None:
        """Add what another evaluation has seen; which of the two is merged into does not matter.

        Parameters
        ----------
        other : Evaluation
            Of as many classes; its input may be the other one.

        Raises
        ------
        ValueError
            If it keeps other sums.
        """
        self._refuse_other_shapes(other._sums.arrays())
        self._sums.merge(other._sums)

    def result(
        self,
        *,
        base: float = math.e,
        bins: int = 15,
        level: float = 0.95,
        draws: int = 1000,
        seed: int = 0,
    ) -> EvaluationResult:
        """Scores of all rows so far.

        Parameters
        ----------
        base : float, default e
            Base of the logarithms: e gives nats, 2 gives bits.
        bins : int, default 15
            Bins of the calibration errors; divides 15,360, so that they are exact.
        level : float, default 0.95
            Of the confidence intervals.
        draws : int, default 1000
            Of the bootstrap behind the intervals of calibration errors.
        seed : int, default 0
            Of the draws.

        Returns
        -------
        EvaluationResult
            The scores.

        Raises
        ------
        ValueError
            If there are no rows yet, or an argument is out of its range.
        """
        if not (base > 0 and base != 1 and math.isfinite(base)):
            raise InputError(
                f"base must be positive and not 1 (2 for bits, e for nats), got {base}"
            )
        if not 0 < level < 1:
            raise InputError(f"level must lie between 0 and 1, got {level}")
        if draws < 1:
            raise InputError(f"draws must be at least 1, got {draws}")
        if not self._sums.support.any():
            raise InputError("there are no rows to score; call update first")
        return result_of(
            self._sums,
            base=base,
            bins=bins,
            level=level,
            draws=draws,
            seed=seed,
            class_names=self.class_names,
        )

    def state_dict(self) -> dict[str, Any]:
        """All that has been seen, as plain arrays that add up.

        The arrays of several evaluations may be added by whatever adds arrays, such as an
        all-reduce, and loaded into one. ``numpy.savez(path, **state)`` keeps them, as does JSON
        after ``tolist()``.

        Returns
        -------
        dict
            ``version``, and the arrays by name; ready for `load_state_dict`.
        """
        kept = {k: own.copy() for k, own in self._sums.arrays().items() if own is not None}
        return {"version": VERSION, **kept}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Replace all that has been seen.

        Parameters
        ----------
        state : mapping
            From `state_dict`; lists in the arrays' place will do.

        Raises
        ------
        ValueError
            If it is of another version, lacks arrays or has others, or they do not fit.
        """
        if (version := int(state.get("version", 0))) != VERSION:
            raise InputError(f"the state is of version {version}, wanted version {VERSION}")
        own = self._sums.arrays()
        unknown = sorted(set(state) - set(own) - {"version"})
        if unknown:
            raise InputError(f"the state holds {unknown[0]!r}, which is no sum of an evaluation")
        given = {name: None if name not in state else np.asarray(state[name]) for name in own}
        self._refuse_other_shapes(given)
        loaded = {
            name: None if array is None else array.astype(own[name].dtype)  # type: ignore[union-attr]
            for name, array in given.items()
        }
        for name, array in loaded.items():
            if array is not None and not (np.isfinite(array).all() and (array >= 0).all()):
                raise InputError(f"the state's {name!r} holds numbers that are no sums")
        self._sums = Sums.of(loaded)

    def _refuse_other_shapes(self, arrays: Mapping[str, Array | None]) -> None:
        for name, own in self._sums.arrays().items():
            other = arrays[name]
            mine, theirs = (None if each is None else each.shape for each in (own, other))
            if mine != theirs:
                raise InputError(
                    f"evaluations merge if they keep the same sums: {name!r} has shape {theirs}, "
                    f"wanted {mine}; make them with the same options"
                )

    def _checked(self, y_true: Any, values: Any, sample_weight: Any) -> tuple[Array, Array | None]:
        """Codes and weights that fit the predictions, whose values are not looked at."""
        if values.ndim != 2 or values.shape[1] != self.num_classes:
            raise InputError(
                f"predictions must have shape (n_rows, {self.num_classes}), got "
                f"{tuple(values.shape)}"
            )
        codes = _as_numpy(y_true)
        if codes.shape != tuple(values.shape[:1]):
            raise InputError(
                f"{len(values)} rows of predictions need y_true of shape ({len(values)},), "
                f"got {codes.shape}"
            )
        if len(codes) and codes.dtype.kind not in "iub":
            raise InputError(
                f"y_true must hold class indices, got {codes.dtype}; encode labels as the numbers "
                "of their columns"
            )
        codes = codes.astype(np.int64, copy=False)
        counts = codes.view(np.uint64)  # where what is negative is large
        if len(codes) and counts.max() >= self.num_classes:
            row = int((counts >= self.num_classes).argmax())
            raise RowError(
                f"y_true must lie in [0, {self.num_classes - 1}]", row, str(int(codes[row]))
            )
        return codes, None if sample_weight is None else _weights(sample_weight, len(codes))

    def _add(self, sums: Sums, codes: Array, values: Any, weight: Array | None) -> None:
        for block in _blocks(len(codes), self.num_classes):
            part = None if weight is None else weight[block]
            try:
                self._add_block(sums, codes[block], _as_floats(values[block]), part)
            except RowError as error:
                raise RowError(error.rule, block.start + error.row, error.shown) from None

    def _add_block(
        self, sums: Sums, codes: Array, values: Array | Columns, weight: Array | None
    ) -> None:
        logits = self.input == "logits"
        if not (logits and sums.add_logits(values, codes, weight, self.n_threads)):
            scores = row_scores(np.asarray(values), codes, self.input, self.n_threads)
            sums.add(scores, codes, weight)
        if sums.classwise is not None:
            proba = np.asarray(values)
            sums.add_classwise(softmax(proba) if logits else proba, codes, weight)


def _block(classes: int) -> int:
    return max(1, BLOCK // classes)


def _blocks(count: int, classes: int) -> Iterator[slice]:
    size = _block(classes)
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))


def _weights(sample_weight: Any, count: int) -> Array:
    weight = _as_numpy(sample_weight).astype(np.float64, copy=False)
    if weight.shape != (count,):
        raise InputError(f"sample_weight must have shape ({count},), got {weight.shape}")
    bad = ~(np.isfinite(weight) & (weight >= 0))
    if bad.any():
        row = int(bad.argmax())
        raise RowError("sample_weight must be finite and nonnegative", row, str(weight[row]))
    return weight


def _as_numpy(array: Any) -> Array:
    """An array, or a tensor of any device, without its history."""
    return np.asarray(widened(array.detach().cpu()) if is_torch(array) else array)


def _as_floats(array: Any) -> Array | Columns:
    """The same as float32, or float64 where that is not enough."""
    if isinstance(array, Columns):
        return array
    values = _as_numpy(array)
    if values.dtype in (np.float32, np.float64):
        return values
    return values.astype(np.float32 if values.dtype == np.float16 else np.float64)
