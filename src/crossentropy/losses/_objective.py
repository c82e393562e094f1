"""What a training run minimises by row: a loss with its weights, smoothing and z-loss."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

from crossentropy._arrays import Array, device_of, namespace
from crossentropy._errors import InputError
from crossentropy.rows import NOTHING, RowStatistics, RuleTerm, Slopes


class Terms(NamedTuple):
    """A loss and its slopes by row: (N,) float64 arrays, or numbers that hold for all rows."""

    value: Array
    slopes: Slopes

    def scaled(self, factor: float) -> Terms:
        """Times a number."""
        return self if factor == 1 else Terms(self.value * factor, self.slopes.scaled(factor))

    def plus(self, other: Terms) -> Terms:
        """The terms of the sum."""
        return Terms(self.value + other.value, added(self.slopes, other.slopes))


def added(mine: Slopes, theirs: Slopes) -> Slopes:
    """Slopes of a sum; a and b stay one array where they are in both."""
    a = mine.a + theirs.a
    b = a if mine.b is mine.a and theirs.b is theirs.a else mine.b + theirs.b
    parts = [c for c in (mine.c, theirs.c) if c is not None]
    return Slopes(a, b, sum(parts) if parts else None)


class Rule(Protocol):
    """What an objective needs of a loss; `Loss` says what each means."""

    @property
    def scale(self) -> float: ...

    @property
    def needs_weighted(self) -> bool: ...

    @property
    def needs_logits(self) -> bool: ...

    @property
    def kernel_rule(self) -> tuple[RuleTerm, ...] | None: ...

    def value(self, row: RowStatistics) -> Array: ...

    def terms(self, row: RowStatistics) -> Terms: ...

    def row_gradient(self, row: RowStatistics) -> Array: ...


class Objective(NamedTuple):
    """``ω_y·((1 − ε)·f + λ·L²) + ε·Σ_j π_j ω_j (−log p_j)``, times the row's own weight.

    With the plain cross entropy this is PyTorch's weighted, smoothed loss; with another
    member of the family the smoothed part stays a cross entropy.

    Attributes
    ----------
    loss
        f, a member of the family.
    classes
        C.
    class_weight
        ω, (C,), or None for ones.
    label_smoothing
        ε in [0, 1].
    z_loss
        λ, which keeps L near 0 (PaLM, arXiv 2204.02311).
    ignore_index
        Rows with this target weigh nothing.
    smoothing_prior
        π, (C,), the distribution that smoothed labels are drawn from; None is the uniform one.
    """

    loss: Rule
    classes: int
    class_weight: Array | None = None
    label_smoothing: float = 0.0
    z_loss: float = 0.0
    ignore_index: int = NOTHING
    smoothing_prior: Array | None = None

    @property
    def scale(self) -> float:
        """What multiplies the logits before the rule: `Rows.temperature` is divided by it."""
        return self.loss.scale

    @property
    def needs_weighted(self) -> bool:
        """Whether the statistics must hold −Σ w log p, with the w of `weight`."""
        return self.label_smoothing != 0 or self.loss.needs_weighted

    @property
    def weight(self) -> Array | None:
        """The w that `Rows.weight` must hold, (C,), or None for ones.

        Raises
        ------
        ValueError
            If smoothing asks for other w than the loss, for rows have one w only.
        """
        if not self.label_smoothing:
            return None
        weight = self.class_weight
        if self.smoothing_prior is not None:
            weight = self.smoothing_prior if weight is None else self.smoothing_prior * weight
        if weight is not None and self.loss.needs_weighted:
            raise InputError(
                f"{self.loss!r} does not combine with label smoothing by "
                f"{'class weights' if self.smoothing_prior is None else 'a prior'}: both need a "
                "weighted sum of the logits, and it has other weights; leave one of them out"
            )
        return weight

    def row_weights(self, row: RowStatistics, sample_weight: Array | None = None) -> Array | None:
        """ω_y times the row's own weight, 0 for ignored rows: (N,) float64, None for all ones."""
        by_class, own = self._factors(row, sample_weight)
        if own is None:
            return by_class
        if by_class is not None:
            return by_class * own
        target = row.rows.target
        return namespace(target).where(target == self.ignore_index, 0.0, own)

    def normalizer(self, row: RowStatistics, sample_weight: Array | None = None) -> Array:
        """What a mean divides by: the weights' sum, or the number of rows that count."""
        target = row.rows.target
        xp = namespace(target)
        weights = self.row_weights(row, sample_weight)
        if weights is not None:
            return xp.sum(weights)
        return xp.count_nonzero(target != self.ignore_index)

    def terms(self, row: RowStatistics, sample_weight: Array | None = None) -> Terms:
        """Value and slopes of every row."""
        value, slopes = self.loss.terms(row)
        factors = self._factors(row, sample_weight)
        return Terms(self._value(row, value, *factors), self._slopes(row, slopes, *factors))

    def value(self, row: RowStatistics, sample_weight: Array | None = None) -> Array:
        """Value of every row alone, which automatic differentiation may follow any times."""
        return self._value(row, self.loss.value(row), *self._factors(row, sample_weight))

    def _factors(
        self, row: RowStatistics, sample_weight: Array | None
    ) -> tuple[Array | None, Array | None]:
        """ω_y and the row's own weight; smoothing lies between the two."""
        target = row.rows.target
        own = _float64(sample_weight, target, namespace(target))
        return None if self.class_weight is None else row.of_class(self.class_weight), own

    def _value(
        self, row: RowStatistics, value: Array, by_class: Array | None, own: Array | None
    ) -> Array:
        if self.label_smoothing:
            value = value * (1 - self.label_smoothing)
        if self.z_loss:
            value = value + self.z_loss * row.lse**2
        value = _weighted(by_class, value)
        if self.label_smoothing:
            value = value + self.share * row.weighted_nll
        return _weighted(own, value)

    def _slopes(
        self, row: RowStatistics, slopes: Slopes, by_class: Array | None, own: Array | None
    ) -> Slopes:
        if self.label_smoothing:
            slopes = slopes.scaled(1 - self.label_smoothing)
        if self.z_loss:
            slopes = slopes._replace(a=slopes.a + 2 * self.z_loss * row.lse)
        if by_class is not None:
            slopes = slopes.scaled(by_class)
        if self.label_smoothing:
            push = self.share if slopes.c is None else slopes.c + self.share
            slopes = Slopes(slopes.a + self.share * _total(row), slopes.b, push)
        return slopes if own is None else slopes.scaled(own)

    @property
    def share(self) -> float:
        """What multiplies −Σ w log p."""
        uniform = self.smoothing_prior is None
        return self.label_smoothing / max(self.classes, 1) if uniform else self.label_smoothing


def _float64(values: Array | None, like: Array, xp: Any) -> Array | None:
    if values is None:
        return None
    return xp.astype(xp.asarray(values, device=device_of(like)), xp.float64, copy=False)


def _weighted(weights: Array | None, value: Array) -> Array:
    """Times the rows' weights, if any; a weight of 0 silences even an infinite loss."""
    if weights is None:
        return value
    return weights * namespace(weights).where(weights == 0, 0.0, value)


def _total(row: RowStatistics) -> Array | float:
    """W = Σ_j w_j."""
    weight = row.rows.weight
    if weight is None:
        return float(row.rows.classes)
    xp = namespace(weight)
    return xp.sum(xp.astype(weight, row.table.dtype, copy=False))
