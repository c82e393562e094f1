"""Sums over the rows of an evaluation: all that it keeps, and all that its result is made of.

Everything is added, so the sums of two sets of rows are the sums of theirs: in any order, to
rounding, and over any network that adds arrays. Numbers of rows are int64; what is weighted is
float64, in which a sum of ones is exact up to 2^53.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from crossentropy import rows
from crossentropy._errors import InputError
from crossentropy._predictions import Columns, reject_row

from ._bins import Bins, classwise, equal_width
from ._row_scores import LOGITS_RULE

if TYPE_CHECKING:
    from crossentropy._predictions import Array

    from ._row_scores import RowScores

CELLS = 15 * 1024  # of confidence, so that 15 bins, as 5, 10, 12, 20 or 30, are made of whole cells
CLASSWISE_BINS = 15


@dataclass
class Sums:
    """Sums over rows of weight w.

    Attributes
    ----------
    rows
        (C,) int64: rows of each class whose weight is not 0.
    infinite
        (C,) int64: those of them whose loss is infinite, which `loss` leaves out.
    support, predicted, hits
        (C,): w of the rows of each class, of those predicted to be, and of those that both are.
    infinite_weight
        (C,): w of the rows that `infinite` counts.
    loss, brier
        (C,): w times loss and Brier score of the rows of each class.
    spread
        (6,): w², and w² times loss, loss², Brier score, its square, and whether the row is a hit:
        from these come the errors of the means.
    grid
        (cells, 4): the columns are `Bins` of the top label's probability.
    confusion
        (C, C): w by class and prediction; None where it is not kept.
    classwise
        (4, C, bins): `Bins` of every class's probability; None where they are not kept.
    """

    rows: Array
    infinite: Array
    infinite_weight: Array
    support: Array
    predicted: Array
    hits: Array
    loss: Array
    brier: Array
    spread: Array
    grid: Array
    confusion: Array | None
    classwise: Array | None

    @classmethod
    def zeros(cls, classes: int, *, confusion: bool, classwise: bool) -> Sums:
        """The sums over no rows."""
        counts = {name: np.zeros(classes, np.int64) for name in ("rows", "infinite")}
        by_class = ("infinite_weight", "support", "predicted", "hits", "loss", "brier")
        return cls(
            **counts,
            **{name: np.zeros(classes) for name in by_class},
            spread=np.zeros(6),
            grid=np.zeros((CELLS, 4)),
            confusion=np.zeros((classes, classes)) if confusion else None,
            classwise=np.zeros((4, classes, CLASSWISE_BINS)) if classwise else None,
        )

    def like(self) -> Sums:
        """Sums over no rows, of the same shape."""
        return Sums.of(
            {k: None if own is None else np.zeros_like(own) for k, own in self.arrays().items()}
        )

    @classmethod
    def of(cls, arrays: Mapping[str, Array | None]) -> Sums:
        """Sums of these arrays, by name, which become theirs."""
        return cls(**arrays)  # type: ignore[arg-type] # the two that may be None are

    def arrays(self) -> dict[str, Array | None]:
        """All of them, by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def merge(self, other: Sums) -> None:
        """Add the sums over other rows."""
        for name, own in self.arrays().items():
            if own is not None:
                own += getattr(other, name)

    def add_logits(
        self, values: Array | Columns, codes: Array, weight: Array | None, n_threads: int
    ) -> bool:
        """Add rows of logits, if there are native kernels for it.

        Raises
        ------
        InputError
            With the first row that is no prediction; rows before it may have been added, if there
            are more than `rows.scored_at_once`.
        """
        own = [array for name, array in self.arrays().items() if name != "classwise"]
        bad = rows.score(_as_scored(values), codes, weight, own, n_threads=n_threads)
        if bad is not None and bad >= 0:
            row = np.asarray(values[bad : bad + 1])
            reject_row(np.ones(1, bool), row, LOGITS_RULE, bad)
        return bad is not None

    def add(self, scores: RowScores, codes: Array, weight: Array | None) -> None:
        """Add rows that have been checked and scored."""
        classes = len(self.rows)

        def by_class(of: Array, values: Array | None) -> Array:
            return np.bincount(of, values, minlength=classes)

        if weight is not None and not weight.all():
            counted = weight > 0  # so that nothing infinite is multiplied by 0
            scores = type(scores)(*(each[counted] for each in scores))
            codes, weight = codes[counted], weight[counted]
        correct = scores.predicted == codes
        loss = scores.loss
        if not np.isfinite(loss.sum()):
            infinite = np.isinf(loss)
            loss = np.where(infinite, 0.0, loss)
            self.infinite += by_class(codes[infinite], None)
            self.infinite_weight += by_class(
                codes[infinite], None if weight is None else weight[infinite]
            )
        count = by_class(codes, None)
        self.rows += count
        self.support += count if weight is None else by_class(codes, weight)
        self.predicted += by_class(scores.predicted, weight)
        self.hits += by_class(codes, _times(correct, weight))
        self.loss += by_class(codes, _times(loss, weight))
        self.brier += by_class(codes, _times(scores.brier, weight))
        self.spread += _spread(loss, scores.brier, correct, weight)
        self.grid += np.transpose(equal_width(scores.confidence, correct, weight, CELLS))
        if self.confusion is not None:
            flat = self.confusion.reshape(-1)
            np.add.at(flat, codes * classes + scores.predicted, 1.0 if weight is None else weight)

    def add_classwise(self, proba: Array, codes: Array, weight: Array | None) -> None:
        """Add the probabilities of rows, where bins of them are kept."""
        if self.classwise is not None:
            self.classwise += classwise(proba, codes, weight, CLASSWISE_BINS)

    def bins(self) -> Bins:
        """The grid, as the calibration errors take it."""
        return Bins(*self.grid.T)

    def equal_width(self, bins: int) -> Bins:
        """The grid's cells joined into bins of equal width; exact, since they are whole cells."""
        if bins < 1 or CELLS % bins:
            raise InputError(
                f"bins of equal width are made of {CELLS} cells, so their number must divide it "
                f"(such as 10, 15, 20 or 30); got {bins}"
            )
        return Bins(*self.grid.reshape(bins, -1, 4).sum(axis=1).T)


def _as_scored(values: Array | Columns) -> Array | Sequence[Array]:
    """Rows or columns that are contiguous."""
    if isinstance(values, Columns):
        return values.columns
    columns = values.flags.f_contiguous and not values.flags.c_contiguous
    return list(values.T) if columns else np.ascontiguousarray(values)


def _times(values: Array, weight: Array | None) -> Array:
    return values if weight is None else values * weight


def _spread(loss: Array, brier: Array, correct: Array, weight: Array | None) -> list[Any]:
    """What `Sums.spread` adds."""
    if weight is None:
        hits = np.count_nonzero(correct)
        return [len(loss), loss.sum(), _dot(loss, loss), brier.sum(), _dot(brier, brier), hits]
    square = weight * weight
    losses, briers = square * loss, square * brier
    return [
        square.sum(),
        losses.sum(),
        _dot(losses, loss),
        briers.sum(),
        _dot(briers, brier),
        square[correct].sum(),
    ]


def _dot(one: Array, other: Array) -> Any:
    """Sum of products; not by BLAS, whose threads would take longer to start."""
    return (one * other).sum()
