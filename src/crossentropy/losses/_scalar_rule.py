"""A user's own loss: a function of row statistics, run like any member of the family."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Any, NamedTuple, NoReturn

from crossentropy._arrays import Array, is_torch, namespace
from crossentropy._errors import InputError, closest
from crossentropy.rows import NOTHING, RowStatistics, Slopes

from ._base import Loss
from ._objective import Terms, added


@dataclass(frozen=True, repr=False)
class ScalarRule(Loss):
    """A loss of your own: a function of statistics of the row, such as log p of the target.

    Parameters
    ----------
    function
        Takes the statistics `of`, an (N,) float64 array each and in their order, and returns the
        (N,) losses in nats, by operations of the arrays' library, row by row.
    derivative
        Takes the same and returns the derivative of `function` in its argument, (N,), or a
        tuple of one for each argument. None derives them automatically, for PyTorch tensors.
    of
        The statistics: ``"log_prob"``, log p of the target; ``"margin"``, log p − log(1 − p),
        +∞ for a certain row; ``"lse"``, the logsumexp; ``"weighted_sum"``, the sum of the
        row's logits.
    name
        What the loss is called; the function's name where None.

    Raises
    ------
    ValueError
        If a statistic is unknown or none is named; in use, if a function does not return one
        number for each row.
    TypeError
        In use, if derivatives are wanted of arrays that are not PyTorch's, and not given.

    Examples
    --------
    The focal loss with γ = 1:

    >>> import numpy as np
    >>> from crossentropy.losses import ScalarRule
    >>> rule = ScalarRule(
    ...     lambda u: (np.exp(u) - 1) * u,
    ...     derivative=lambda u: np.exp(u) * (u + 1) - 1,
    ... )
    >>> value, gradient = rule.loss_gradient(np.array([1]), np.array([[0.0, 0.0]]))
    >>> value, gradient
    (array([0.34657359]), array([[ 0.4232868, -0.4232868]]))
    """

    function: Callable[..., Array]
    derivative: Callable[..., Any] | None = None
    of: Sequence[str] = field(default=("log_prob",), kw_only=True)
    name: str = field(default="", kw_only=True)

    def __post_init__(self) -> None:
        of = (self.of,) if isinstance(self.of, str) else tuple(self.of)
        for statistic in of:
            if statistic not in _STATISTICS:
                raise InputError(
                    f"unknown statistic {statistic!r}; {closest(statistic, _STATISTICS)}"
                )
        if not of:
            raise InputError(f"of= must name a statistic; there are {', '.join(_STATISTICS)}")
        name = self.name or getattr(self.function, "__name__", type(self.function).__name__)
        object.__setattr__(self, "of", of)
        object.__setattr__(self, "name", name)

    @property
    def needs_weighted(self) -> bool:
        return "weighted_sum" in self.of

    def __repr__(self) -> str:
        return f"ScalarRule({self.name}, of={self.of!r})"

    def value(self, row: RowStatistics) -> Array:
        return self._counted(self.function(*self._arguments(row)), row)

    def terms(self, row: RowStatistics) -> Terms:
        arguments = self._arguments(row)
        if self.derivative is None:
            value, derivatives = _by_autograd(
                lambda *given: self._checked(self.function(*given), row), arguments
            )
        else:
            value, derivatives = self.function(*arguments), self.derivative(*arguments)
        parts = derivatives if isinstance(derivatives, tuple) else (derivatives,)
        if len(parts) != len(self.of):
            raise InputError(f"derivative= must return {len(self.of)} arrays, got {len(parts)}")
        slopes = (
            _STATISTICS[name].slopes(self._counted(part, row), row)
            for name, part in zip(self.of, parts, strict=True)
        )
        return Terms(self._counted(value, row), reduce(added, slopes))

    def hessian(self, row: RowStatistics, residual: Array) -> NoReturn:
        raise NotImplementedError(
            f"{self!r} has no second derivatives; subclass crossentropy.losses.Loss and define "
            "value, slope and curvature"
        )

    def _arguments(self, row: RowStatistics) -> list[Array]:
        return [_STATISTICS[name].read(row) for name in self.of]

    def _counted(self, values: Array, row: RowStatistics) -> Array:
        """What a function returned, and 0 for ignored rows."""
        values = self._checked(values, row)
        if row.rows.ignore_index == NOTHING:
            return values
        return namespace(values).where(row.rows.target == row.rows.ignore_index, 0.0, values)

    def _checked(self, values: Array, row: RowStatistics) -> Array:
        shape = tuple(row.rows.target.shape)
        if tuple(getattr(values, "shape", (None,))) != shape:
            raise InputError(
                f"the functions of {self!r} must return one number for each row, shape {shape}, "
                f"got {getattr(values, 'shape', type(values).__name__)}"
            )
        return values


class _Statistic(NamedTuple):
    """How a rule reads a statistic, and the slopes that its derivative there makes."""

    read: Callable[[RowStatistics], Array]
    slopes: Callable[[Array, RowStatistics], Slopes]


def _of_log_prob(derivative: Array, row: RowStatistics) -> Slopes:
    slope = -derivative
    return Slopes(slope, slope)


def _of_margin(derivative: Array, row: RowStatistics) -> Slopes:
    """By dΔ/du = 1/(1 − p); a certain row has no slope."""
    xp, rest = namespace(row.table), row.prob_rest
    certain = rest == 0
    slope = xp.where(certain, 0.0, -derivative / xp.where(certain, 1.0, rest))
    return Slopes(slope, slope)


def _of_lse(derivative: Array, row: RowStatistics) -> Slopes:
    return Slopes(derivative, 0.0)


def _of_weighted_sum(derivative: Array, row: RowStatistics) -> Slopes:
    return Slopes(0.0, 0.0, -derivative)


def _weighted_sum(row: RowStatistics) -> Array:
    return row.rows.classes * row.lse - row.weighted_nll


_STATISTICS = {
    "log_prob": _Statistic(lambda row: row.log_prob, _of_log_prob),
    "margin": _Statistic(lambda row: row.margin, _of_margin),
    "lse": _Statistic(lambda row: row.lse, _of_lse),
    "weighted_sum": _Statistic(_weighted_sum, _of_weighted_sum),
}


def _by_autograd(
    function: Callable[..., Array], arguments: list[Array]
) -> tuple[Array, tuple[Array, ...]]:
    """Value and derivatives of N independent rows, also where gradients are switched off."""
    if not is_torch(arguments[0]):
        raise TypeError(
            "derivatives of a rule are derived for PyTorch tensors only; give derivative=, the "
            f"function's derivative, for {type(arguments[0]).__name__}"
        )
    import torch

    if torch.compiler.is_compiling():  # which traces this, at twice the price, and not the other
        vjp: Any = torch.func.vjp
        value, pull_back = vjp(function, *(x.detach() for x in arguments))
        return value, pull_back(torch.ones_like(value))
    with torch.inference_mode(False), torch.enable_grad():
        leaves = [x.detach().clone().requires_grad_() for x in arguments]
        value = function(*leaves)
        ones = torch.ones_like(value)
        derivatives = torch.autograd.grad(value, leaves, ones, materialize_grads=True)
    return value.detach(), derivatives
