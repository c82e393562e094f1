"""The loss: what a member of the family defines, and what it gets for it on arrays.

A function f(u) of u = log p_y defines `value`, `slope` and `curvature`, a line or two of
array code each. What depends on more of the row defines `value`, `terms` and `hessian`
instead. From these the base class makes per-row losses, gradients and Hessian diagonals on
any array library; `crossentropy.torch` makes the training loss from the same.
"""

from __future__ import annotations

import dataclasses
import numbers
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from crossentropy import rows
from crossentropy._arrays import Array, namespace
from crossentropy.rows import RowStatistics, RuleTerm, Slopes

from . import _check
from ._objective import Objective, Terms

if TYPE_CHECKING:
    from ._sum import Sum


@dataclasses.dataclass(frozen=True)
class Loss(ABC):
    """A cross-entropy variant: a scalar rule over a few statistics of each row of logits.

    Most are a function f(u) of the log-probability u of the target. Since
    ∂u/∂z = onehot(y) − softmax(z), their gradient is ``slope(u) · (softmax(z) − onehot(y))``:
    a = b = −f′(u).

    Losses add up and take factors of at least 0: ``0.1 * CrossEntropy() + ReverseCrossEntropy()``.
    """

    __array_ufunc__ = None  # NumPy's numbers leave factor * loss to the loss

    @property
    @abstractmethod
    def name(self) -> str:
        """The loss in snake case."""

    @property
    def scale(self) -> float:
        """What multiplies the logits before the rule sees them: 1 but for losses on cosines."""
        return 1.0

    @property
    def needs_weighted(self) -> bool:
        """Whether the rule reads `RowStatistics.weighted_nll`, of weights 1."""
        return False

    @property
    def needs_logits(self) -> bool:
        """Whether the rule reads the logits of a row (`rows.logits_of`), not its statistics alone.

        Such a loss has a `row_gradient` in place of `terms`. It runs as array code everywhere,
        and takes memory of the logits' size.
        """
        return False

    @property
    def kernel_rule(self) -> tuple[RuleTerm, ...] | None:
        """The loss as a sum of rules that the native kernels know; None where it is no such sum.

        They then compute value, slope and gradient in one go; everywhere else, and to check
        them, the array code below does.
        """
        return None

    @abstractmethod
    def value(self, row: RowStatistics) -> Array:
        """F by row, in nats, by operations that automatic differentiation can follow twice."""

    def slope(self, row: RowStatistics) -> Array:
        """−f′(u) by row: 1 for cross entropy."""
        raise NotImplementedError(f"{self!r} is no function of log_prob alone; see its terms")

    def curvature(self, row: RowStatistics) -> Array:
        """f″(u) by row: 0 for cross entropy."""
        raise NotImplementedError(f"{self!r} is no function of log_prob alone; see its hessian")

    @property
    def label(self) -> str:
        """The loss in words with its parameters, as `generalized cross entropy (q = 0.7)`."""
        words = self.name.replace("_", " ")
        fields = ((f.name, getattr(self, f.name)) for f in dataclasses.fields(self))
        numeric = [(name, value) for name, value in fields if isinstance(value, numbers.Real)]
        parameters = ", ".join(f"{name} = {value:g}" for name, value in numeric)
        return f"{words} ({parameters})" if parameters else words

    def terms(self, row: RowStatistics) -> Terms:
        """Value and slopes in the statistics (z_y, L, S)."""
        slope = self.slope(row)
        return Terms(self.value(row), Slopes(slope, slope))

    def row_gradient(self, row: RowStatistics) -> Array:
        """Gradient by row, (N, C) float64, in the logits that the rule sees.

        It is what `terms` come to, but for a loss that `needs_logits`.
        """
        return _gradient(row, self.terms(row).slopes)

    def hessian(self, row: RowStatistics, residual: Array) -> Array:
        """Diagonal of the Hessian by row, (N, C), in the logits that the rule sees.

        Parameters
        ----------
        row
            The statistics.
        residual
            (N, C), softmax(z) − onehot(y). For f(u) the diagonal is
            −f′·p_j(1 − p_j) + f″·(p_j − [j = y])², and p(1 − p) = |residual|·(1 − |residual|).
        """
        size = namespace(residual).abs(residual)
        slope, curvature = (by_row(x, row) for x in (self.slope(row), self.curvature(row)))
        return slope * size * (1 - size) + curvature * size**2

    def __add__(self, other: object) -> Sum:
        if not isinstance(other, Loss):
            return NotImplemented
        return _sum(self).plus(_sum(other))

    def __radd__(self, other: object) -> Loss:  # of sum(), which starts from 0
        return self if isinstance(other, int) and other == 0 else NotImplemented

    def __mul__(self, factor: object) -> Sum:
        if not isinstance(factor, numbers.Real):
            return NotImplemented
        return _sum(self).times(float(factor))

    __rmul__ = __mul__

    def loss(
        self,
        y_true: Array,
        logits: Array,
        *,
        sample_weight: Array | None = None,
        class_weight: Array | None = None,
        n_threads: int = 1,
        out: Array | None = None,
    ) -> Array:
        """Loss of each row.

        Parameters
        ----------
        y_true
            (N,) class indices in [0, C).
        logits
            (N, C) raw scores of any array library.
        sample_weight
            (N,), multiplies each row's loss.
        class_weight
            (C,), multiplies it by the weight of the row's class.
        n_threads
            At most so many threads work on the rows.
        out
            (N,) float64, written to and returned; made where None.

        Returns
        -------
        array
            (N,) float64, in nats.

        Raises
        ------
        IndexError
            If a label is out of range.
        TypeError, ValueError
            If types or shapes do not fit; `out` is as it was then.

        Examples
        --------
        >>> import numpy as np
        >>> from crossentropy.losses import CrossEntropy
        >>> CrossEntropy().loss(np.array([0]), np.array([[0.0, 0.0]]))
        array([0.69314718])
        """
        call = _Call.of(self, y_true, logits, sample_weight, class_weight, n_threads)
        call.check_outputs(loss=out)
        row = call.statistics()
        return _written(call.objective.value(row, call.sample_weight), out, row)

    def loss_gradient(
        self,
        y_true: Array,
        logits: Array,
        *,
        sample_weight: Array | None = None,
        class_weight: Array | None = None,
        n_threads: int = 1,
        loss_out: Array | None = None,
        gradient_out: Array | None = None,
    ) -> tuple[Array, Array]:
        """Loss of each row, (N,), and its gradient in the logits, (N, C) of their type.

        `gradient_out` may be the logits themselves, which it then replaces. See `loss`.
        """
        call = _Call.of(self, y_true, logits, sample_weight, class_weight, n_threads)
        call.check_outputs(loss=loss_out, gradient=gradient_out)
        row = call.statistics()
        value, gradient = call.value_gradient(row, gradient_out)
        return _written(value, loss_out, row), gradient

    def gradient_hessian(
        self,
        y_true: Array,
        logits: Array,
        *,
        sample_weight: Array | None = None,
        class_weight: Array | None = None,
        n_threads: int = 1,
        gradient_out: Array | None = None,
        hessian_out: Array | None = None,
    ) -> tuple[Array, Array]:
        """Gradient and diagonal of the Hessian in the logits, (N, C) each. See `loss`.

        The diagonal is negative in places where a loss is not convex. It is computed in float64
        and rounded to the logits' type once.

        Raises
        ------
        NotImplementedError
            For a user's rule, which has no second derivatives.
        """
        call = _Call.of(self, y_true, logits, sample_weight, class_weight, n_threads)
        call.check_outputs(gradient=gradient_out, hessian=hessian_out)
        row = call.statistics()
        hessian = call.weighted(self.hessian(row, _residual(row)) * self.scale**2, row)
        _, gradient = call.value_gradient(row, gradient_out)
        return gradient, _written(hessian, hessian_out, row)


@dataclasses.dataclass(frozen=True)
class _Call:
    """One call of an array method, checked."""

    rows: rows.Rows
    objective: Objective
    sample_weight: Array | None

    @classmethod
    def of(
        cls,
        loss: Loss,
        y_true: Array,
        logits: Array,
        sample_weight: Array | None,
        class_weight: Array | None,
        n_threads: int,
    ) -> _Call:
        problem = rows.make(logits, y_true, temperature=1 / loss.scale, n_threads=n_threads)
        if logits.ndim != 2:
            raise ValueError(f"logits must have shape (N, C), got {tuple(logits.shape)}")
        _check.shape("sample_weight", sample_weight, tuple(problem.target.shape))
        _check.shape("class_weight", class_weight, (problem.classes,))
        return cls(problem, Objective(loss, problem.classes, class_weight), sample_weight)

    def check_outputs(self, **outputs: Array | None) -> None:
        """Raise ValueError before anything is written; losses are float64, the rest as logits."""
        logits = self.rows.logits
        for name, out in outputs.items():
            if name == "loss":
                double = namespace(logits).float64
                _check.output("the output of losses", out, logits, logits.shape[:1], double)
            else:
                _check.output(f"the output of the {name}", out, logits, logits.shape, logits.dtype)

    def statistics(self) -> RowStatistics:
        return rows.statistics(self.rows, weighted=self.objective.needs_weighted)

    def value_gradient(self, row: RowStatistics, out: Array | None) -> tuple[Array, Array]:
        """Value and gradient of every row; `out` may be the logits."""
        loss = self.objective.loss
        if not loss.needs_logits:
            value, slopes = self.objective.terms(row, self.sample_weight)
            return value, rows.gradient(self.rows, row, slopes, out=out)
        value = self.objective.value(row, self.sample_weight)
        gradient = loss.row_gradient(row) * loss.scale
        return value, _written(self.weighted(gradient, row), out, row)

    def weighted(self, values: Array, row: RowStatistics) -> Array:
        """(N, C) times the rows' weights, of the logits' type."""
        weights = self.objective.row_weights(row, self.sample_weight)
        if weights is not None:
            values = values * by_row(weights, row)
        return namespace(values).astype(values, self.rows.logits.dtype, copy=False)


def by_row(values: Array | float, row: RowStatistics) -> Array:
    """(N,), or a number for all rows, to broadcast over classes."""
    return (values + namespace(row.table).zeros_like(row.log_prob))[:, None]


def _residual(row: RowStatistics) -> Array:
    """softmax(z) − onehot(y), (N, C): the gradient of cross entropy, in float64."""
    return _gradient(row, Slopes(1.0, 1.0))


def _gradient(row: RowStatistics, slopes: Slopes) -> Array:
    """What slopes come to in the logits that the rule sees, (N, C) float64."""
    given = row.rows
    logits = namespace(given.logits).astype(given.logits, row.table.dtype, copy=False)
    # a gradient in the logits is divided by the temperature, one in the rule's logits is not
    slopes = slopes.scaled(given.temperature)
    return rows.gradient(given._replace(logits=logits), row, slopes)


def _sum(loss: Loss) -> Sum:
    from ._sum import Sum

    return loss if isinstance(loss, Sum) else Sum(((1.0, loss),))


def _written(values: Array, out: Array | None, row: RowStatistics) -> Array:
    if out is None:
        return values
    out[...] = values
    return out
