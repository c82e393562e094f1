"""The loss: what a member of the family defines, and what it gets for it on arrays.

A member defines `value`, `slope` and `curvature` in u = log p_y, three lines of array code
each. From these the base class makes per-row losses, gradients and Hessian diagonals on
any array library; `crossentropy.torch` makes the training loss from the same three.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from typing import ClassVar

from crossentropy import rows
from crossentropy._arrays import Array, namespace
from crossentropy.rows import RowStatistics, Slopes

from ._objective import Objective, Terms


@dataclasses.dataclass(frozen=True)
class Loss(ABC):
    """A cross-entropy variant f(u) of the log-probability u of the target.

    Since ∂u/∂z = onehot(y) − softmax(z), the gradient of every such loss is
    ``slope(u) · (softmax(z) − onehot(y))``: a = b = −f′(u).
    """

    name: ClassVar[str]

    @abstractmethod
    def value(self, row: RowStatistics) -> Array:
        """F by row, in nats."""

    @abstractmethod
    def slope(self, row: RowStatistics) -> Array:
        """−f′(u) by row: 1 for cross entropy."""

    @abstractmethod
    def curvature(self, row: RowStatistics) -> Array:
        """f″(u) by row: 0 for cross entropy."""

    @property
    def label(self) -> str:
        """The loss in words with its parameters, as `generalized cross entropy (q = 0.7)`."""
        words = self.name.replace("_", " ")
        parameters = ", ".join(f"{k} = {v:g}" for k, v in dataclasses.asdict(self).items())
        return f"{words} ({parameters})" if parameters else words

    def terms(self, row: RowStatistics) -> Terms:
        """Value and slopes in the statistics (z_y, L, S)."""
        slope = self.slope(row)
        return Terms(self.value(row), Slopes(slope, slope))

    def loss(
        self,
        y_true: Array,
        logits: Array,
        *,
        sample_weight: Array | None = None,
        class_weight: Array | None = None,
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

        Returns
        -------
        array
            (N,) float64, in nats.

        Raises
        ------
        IndexError
            If a label is out of range.
        TypeError, ValueError
            If types or shapes do not fit.

        Examples
        --------
        >>> import numpy as np
        >>> from crossentropy.losses import CrossEntropy
        >>> CrossEntropy().loss(np.array([0]), np.array([[0.0, 0.0]]))
        array([0.69314718])
        """
        return self._evaluate(y_true, logits, sample_weight, class_weight)[2].value

    def loss_gradient(
        self,
        y_true: Array,
        logits: Array,
        *,
        sample_weight: Array | None = None,
        class_weight: Array | None = None,
    ) -> tuple[Array, Array]:
        """Loss of each row, (N,), and its gradient in the logits, (N, C). See `loss`."""
        problem, statistics, terms = self._evaluate(y_true, logits, sample_weight, class_weight)
        return terms.value, rows.gradient(problem, statistics, terms.slopes)

    def gradient_hessian(
        self,
        y_true: Array,
        logits: Array,
        *,
        sample_weight: Array | None = None,
        class_weight: Array | None = None,
    ) -> tuple[Array, Array]:
        """Gradient and diagonal of the Hessian in the logits, (N, C) each. See `loss`.

        The diagonal is −f′·p_j(1 − p_j) + f″·([j = y] − p_j)²; it is negative in places where
        a loss is not convex.
        """
        problem, statistics, terms = self._evaluate(y_true, logits, sample_weight, class_weight)
        gradient = rows.gradient(problem, statistics, terms.slopes)
        # with a = b = 1 the gradient is p − onehot(y), and p(1 − p) = |p − onehot|·(1 − |…|)
        residual = rows.gradient(problem, statistics, Slopes(1.0, 1.0))
        xp = namespace(residual)
        size = xp.abs(residual)
        slope = terms.slopes.a + xp.zeros_like(statistics.log_prob)
        curvature = self.curvature(statistics) + xp.zeros_like(statistics.log_prob)
        weights = self._objective(problem, class_weight).row_weights(problem.target, sample_weight)
        if weights is not None:
            curvature = weights * curvature
        slope, curvature = (xp.astype(x, size.dtype, copy=False) for x in (slope, curvature))
        return gradient, slope[:, None] * size * (1 - size) + curvature[:, None] * size**2

    def _evaluate(
        self, y_true: Array, logits: Array, sample_weight: Array | None, class_weight: Array | None
    ) -> tuple[rows.Rows, RowStatistics, Terms]:
        problem = rows.make(logits, y_true)
        statistics = rows.statistics(problem)
        objective = self._objective(problem, class_weight)
        return problem, statistics, objective.terms(statistics, sample_weight)

    def _objective(self, problem: rows.Rows, class_weight: Array | None) -> Objective:
        return Objective(self, classes=problem.logits.shape[1], class_weight=class_weight)
