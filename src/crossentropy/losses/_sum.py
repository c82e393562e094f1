"""Weighted sums of losses, as `0.1 * CrossEntropy() + ReverseCrossEntropy()` makes them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce

from crossentropy._arrays import Array, namespace
from crossentropy._errors import InputError
from crossentropy.rows import RowStatistics, RuleTerm, Slopes

from ._base import Loss
from ._check import at_least
from ._objective import Terms


@dataclass(frozen=True, repr=False)
class Sum(Loss):
    """Σ_i β_i f_i: value, slopes and Hessian are the same sum of the parts'.

    Parameters
    ----------
    parts
        Pairs (β_i, f_i) of a number of at least 0 and a loss. A part with 0 does not count.

    Raises
    ------
    ValueError
        If a factor is negative or not finite, or the parts scale the logits differently.

    Examples
    --------
    >>> from crossentropy.losses import CrossEntropy, MeanAbsoluteError
    >>> 0.1 * CrossEntropy() + MeanAbsoluteError()
    0.1 * CrossEntropy() + MeanAbsoluteError()
    """

    parts: tuple[tuple[float, Loss], ...]

    def __post_init__(self) -> None:
        if not self.parts:
            raise InputError("a sum of losses needs at least one loss, got none")
        for factor, _ in self.parts:
            at_least(0, factor=factor)
        if len({loss.scale for _, loss in self.parts}) > 1:
            scales = ", ".join(f"{loss!r}: {loss.scale:g}" for _, loss in self.parts)
            raise InputError(f"losses that add up must scale the logits alike, got {scales}")

    @property
    def name(self) -> str:
        return self._written(lambda loss: loss.name, "*").replace(" ", "")

    @property
    def label(self) -> str:
        return self._written(lambda loss: loss.label, "·")

    def __repr__(self) -> str:
        return self._written(repr, "*")

    @property
    def scale(self) -> float:
        return self.parts[0][1].scale

    @property
    def needs_weighted(self) -> bool:
        return any(loss.needs_weighted for _, loss in self._counting)

    @property
    def needs_logits(self) -> bool:
        return any(loss.needs_logits for _, loss in self._counting)

    @property
    def kernel_rule(self) -> tuple[RuleTerm, ...] | None:
        terms: list[RuleTerm] = []
        for factor, loss in self._counting:
            if loss.kernel_rule is None:
                return None
            terms += [term._replace(factor=factor * term.factor) for term in loss.kernel_rule]
        return tuple(terms) or None

    def plus(self, other: Sum) -> Sum:
        """All parts of both."""
        return Sum(self.parts + other.parts)

    def times(self, factor: float) -> Sum:
        """Every part times a number."""
        return Sum(tuple((factor * own, loss) for own, loss in self.parts))

    def value(self, row: RowStatistics) -> Array:
        return self._added(row, lambda loss: loss.value(row))

    def slope(self, row: RowStatistics) -> Array:
        return self._added(row, lambda loss: loss.slope(row))

    def curvature(self, row: RowStatistics) -> Array:
        return self._added(row, lambda loss: loss.curvature(row))

    def row_gradient(self, row: RowStatistics) -> Array:
        return self._added(row, lambda loss: loss.row_gradient(row))

    def hessian(self, row: RowStatistics, residual: Array) -> Array:
        nothing = namespace(residual).zeros_like(residual)
        return sum((b * loss.hessian(row, residual) for b, loss in self._counting), nothing)

    def terms(self, row: RowStatistics) -> Terms:
        parts = [loss.terms(row).scaled(factor) for factor, loss in self._counting]
        if not parts:
            return Terms(self.value(row), Slopes(0.0, 0.0))
        return reduce(Terms.plus, parts)

    @property
    def _counting(self) -> list[tuple[float, Loss]]:
        """The parts but those with 0, which would turn an infinite loss into NaN."""
        return [(factor, loss) for factor, loss in self.parts if factor]

    def _added(self, row: RowStatistics, of: Callable[[Loss], Array]) -> Array:
        parts = [of(loss) if factor == 1 else factor * of(loss) for factor, loss in self._counting]
        return (
            sum(parts[1:], parts[0]) if parts else namespace(row.log_prob).zeros_like(row.log_prob)
        )

    def _written(self, of: Callable[[Loss], str], times: str) -> str:
        parts = (of(x) if b == 1 else f"{b:g} {times} {of(x)}" for b, x in self.parts)
        return " + ".join(parts)
