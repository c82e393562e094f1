"""The family's margin losses: cross entropy that is met only some way past the boundary.

The margin is taken off the target's logit, in the unit of the logits before `scale`
multiplies them: −log softmax(scale·(z − m·onehot(y)))_y = softplus(scale·m − Δ), with Δ of
the scaled logits. The logits are meant to be cosines, of normalised features and weights.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from crossentropy._arrays import Array, clip, device_of, namespace
from crossentropy._errors import InputError
from crossentropy.rows import RowStatistics, RuleKind, RuleTerm, Slopes

from ._base import Loss
from ._check import at_least, positive
from ._objective import Terms


@dataclass(frozen=True)
class _MarginLoss(Loss):
    """softplus(s·m − Δ): a = b = 1/((1 − p) + p·exp(−s·m))."""

    @abstractmethod
    def _shift(self, row: RowStatistics) -> Array:
        """s·m by row, (N,) or a 0-d array."""

    def value(self, row: RowStatistics) -> Array:
        return _softplus(self._shift(row) - row.margin)

    def slope(self, row: RowStatistics) -> Array:
        return _slope(row, self._shift(row))

    def curvature(self, row: RowStatistics) -> Array:
        shift = self._shift(row)
        return row.prob * namespace(shift).expm1(-shift) * _slope(row, shift) ** 2

    def terms(self, row: RowStatistics) -> Terms:
        shift = self._shift(row)
        slope = _slope(row, shift)
        return Terms(_softplus(shift - row.margin), Slopes(slope, slope))


@dataclass(frozen=True)
class CosFace(_MarginLoss):
    """Large-margin cosine loss, −log softmax(s·(z − m·onehot(y)))_y, one margin for all.

    a = b = 1/((1 − p) + p·exp(−s·m)) with p of the scaled logits s·z.

    Parameters
    ----------
    margin
        m ≥ 0, in cosines; 0 is cross entropy of scaled logits.
    scale
        s > 0. The defaults are the paper's.

    Raises
    ------
    ValueError
        If s·m is above 500 nats, which no float can follow.

    References
    ----------
    Wang et al.: CosFace: large margin cosine loss for deep face recognition. CVPR 2018,
    arXiv 1801.09414.

    Examples
    --------
    >>> import numpy as np
    >>> CosFace(margin=0.5, scale=2).loss(np.array([1]), np.array([[0.0, 0.5]]))
    array([0.69314718])
    """

    margin: float = 0.35
    scale: float = 64.0

    name: ClassVar[str] = "cosface"

    def __post_init__(self) -> None:
        at_least(0, margin=self.margin)
        _check_scale(self.scale, self.margin)

    @property
    def kernel_rule(self) -> tuple[RuleTerm, ...]:
        return (RuleTerm(RuleKind.MARGIN, parameter=self.scale * self.margin),)

    def _shift(self, row: RowStatistics) -> Array:
        table = row.table
        shift = self.scale * self.margin
        return namespace(table).asarray(shift, dtype=table.dtype, device=device_of(table))


@dataclass(frozen=True)
class LDAM(_MarginLoss):
    """Label-distribution-aware margins: the rarer the target's class, the wider its margin.

    −log softmax(s·(z − m_y·onehot(y)))_y with m_j = max_margin·(min_k n_k / n_j)^¼ for n_j rows
    of class j. a = b = 1/((1 − p) + p·exp(−s·m_y)) with p of the scaled logits s·z.

    Parameters
    ----------
    class_counts
        (C,), the rows of each class in the training data, at least 1.
    max_margin
        Margin of the rarest class, ≥ 0, in cosines.
    scale
        s > 0. These defaults are the paper's.

    Raises
    ------
    ValueError
        If counts are below 1, or s·m above 500 nats; in use, if the logits have another number
        of classes.

    References
    ----------
    Cao, Wei, Gaidon, Arechiga, Ma: Learning imbalanced datasets with label-distribution-aware
    margin loss. NeurIPS 2019, arXiv 1906.07413.

    Examples
    --------
    >>> import numpy as np
    >>> loss = LDAM(class_counts=(160, 10), scale=1)
    >>> loss.margins
    (0.25, 0.5)
    >>> loss.loss(np.array([1]), np.array([[0.0, 0.5]]))
    array([0.69314718])
    """

    class_counts: Sequence[float]
    max_margin: float = 0.5
    scale: float = 30.0

    name: ClassVar[str] = "ldam"

    def __post_init__(self) -> None:
        counts = tuple(float(count) for count in self.class_counts)
        if not counts or not all(1 <= count < math.inf for count in counts):
            raise InputError(f"class_counts must be at least 1 for every class, got {counts}")
        at_least(0, max_margin=self.max_margin)
        _check_scale(self.scale, self.max_margin)
        object.__setattr__(self, "class_counts", counts)

    @property
    def margins(self) -> tuple[float, ...]:
        """m_j, (C,)."""
        least = min(self.class_counts)
        return tuple(self.max_margin * (least / count) ** 0.25 for count in self.class_counts)

    def _shift(self, row: RowStatistics) -> Array:
        if len(self.class_counts) != row.rows.classes:
            raise InputError(
                f"class_counts are of {len(self.class_counts)} classes, the logits have "
                f"{row.rows.classes}; give one count for each class"
            )
        return row.of_class([self.scale * margin for margin in self.margins])


def _softplus(x: Array) -> Array:
    """log(1 + e^x); beyond 500 it is x, and e^x soon no number."""
    xp = namespace(x)
    return xp.log1p(xp.exp(clip(x, max=500.0))) + clip(x - 500.0, min=0.0)


def _slope(row: RowStatistics, shift: Array) -> Array:
    return 1 / (row.prob_rest + row.prob * namespace(shift).exp(-shift))


def _check_scale(scale: float, margin: float) -> None:
    positive(scale=scale)
    if scale * margin > 500:
        raise InputError(f"scale times margin must be at most 500 nats, got {scale * margin:g}")
