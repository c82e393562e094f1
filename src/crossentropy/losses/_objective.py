"""What a training run minimises by row: a loss with its weights, smoothing and z-loss."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

from crossentropy._arrays import Array, device_of, namespace
from crossentropy.rows import NOTHING, RowStatistics, Slopes


class Terms(NamedTuple):
    """A loss and its slopes by row: (N,) float64 arrays, or numbers that hold for all rows."""

    value: Array
    slopes: Slopes


class Rule(Protocol):
    """What an objective needs of a loss."""

    def terms(self, row: RowStatistics) -> Terms:
        """Value and slopes by row."""
        ...


class Objective(NamedTuple):
    """``ω_y·((1 − ε)·f + λ·L²) + (ε/C)·Σ_j ω_j (−log p_j)``, times the row's own weight.

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
    """

    loss: Rule
    classes: int
    class_weight: Array | None = None
    label_smoothing: float = 0.0
    z_loss: float = 0.0
    ignore_index: int = NOTHING

    @property
    def needs_weighted(self) -> bool:
        """Whether the statistics must hold −Σ w log p, with w = ω."""
        return self.label_smoothing != 0

    def row_weights(self, target: Array, sample_weight: Array | None = None) -> Array | None:
        """ω_y times the row's own weight, 0 for ignored rows: (N,) float64, None for all ones."""
        if self.class_weight is None and sample_weight is None:
            return None
        xp = namespace(target)
        weights = self._class_weights(target)
        own = _float64(sample_weight, target, xp)
        if weights is None or own is None:
            weights = own if weights is None else weights
            return xp.where(target == self.ignore_index, 0.0, weights)
        return weights * own

    def normalizer(self, target: Array, sample_weight: Array | None = None) -> Array:
        """What a mean divides by: the weights' sum, or the number of rows that count."""
        xp = namespace(target)
        weights = self.row_weights(target, sample_weight)
        if weights is not None:
            return xp.sum(weights)
        return xp.sum(xp.astype(target != self.ignore_index, xp.float64))

    def terms(self, row: RowStatistics, sample_weight: Array | None = None) -> Terms:
        """Value and slopes of every row."""
        target = row.rows.target
        value, slopes = self.loss.terms(row)
        if self.label_smoothing:
            value = value * (1 - self.label_smoothing)
            slopes = slopes.scaled(1 - self.label_smoothing)
        if self.z_loss:
            value = value + self.z_loss * row.lse**2
            slopes = slopes._replace(a=slopes.a + 2 * self.z_loss * row.lse)
        weights = self._class_weights(target)
        if weights is not None:
            value, slopes = _scaled(weights, Terms(value, slopes))
        if self.label_smoothing:
            value, slopes = self._smoothed(row, target, Terms(value, slopes))
        own = _float64(sample_weight, target, namespace(target))
        return Terms(value, slopes) if own is None else _scaled(own, Terms(value, slopes))

    def _smoothed(self, row: RowStatistics, target: Array, terms: Terms) -> Terms:
        xp = namespace(target)
        share = self.label_smoothing / self.classes
        weights = _float64(self.class_weight, target, xp)
        total = float(self.classes) if weights is None else xp.sum(weights)
        a, b, _ = terms.slopes
        return Terms(
            terms.value + share * row.weighted_nll,
            Slopes(a + share * total + xp.zeros_like(row.log_prob), b, share),
        )

    def _class_weights(self, target: Array) -> Array | None:
        """ω_y of every row, 0 for ignored rows."""
        if self.class_weight is None:
            return None
        xp = namespace(target)
        ignored = target == self.ignore_index
        weights = _float64(self.class_weight, target, xp)
        picked = xp.take(weights, xp.where(ignored, xp.zeros_like(target), target), axis=0)
        return xp.where(ignored, 0.0, picked)


def _float64(values: Array | None, like: Array, xp: Any) -> Array | None:
    if values is None:
        return None
    return xp.astype(xp.asarray(values, device=device_of(like)), xp.float64, copy=False)


def _scaled(weights: Array, terms: Terms) -> Terms:
    """Terms times the rows' weights; a weight of 0 silences even an infinite loss."""
    xp = namespace(weights)
    value = xp.where(weights == 0, 0.0, weights * terms.value)
    return Terms(value, terms.slopes.scaled(weights))
