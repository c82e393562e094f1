"""Normalised cross entropy, which sees all classes, and the sums that make it learn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from crossentropy._arrays import Array, clip, namespace
from crossentropy.rows import RowStatistics, RuleKind, RuleTerm, Slopes

from ._base import Loss, by_row
from ._objective import Terms
from ._robust import ReverseCrossEntropy
from ._sum import Sum


@dataclass(frozen=True)
class NormalizedCrossEntropy(Loss):
    """Normalised cross entropy, −log p_y / Σ_j −log p_j: the target's share of all classes'.

    With n = −log p_y, D = Σ_j −log p_j and C classes: a = 1/D − C n/D², b = 1/D, c = −n/D².
    It lies in [0, 1]; a row with p = 0 has 1. Bounded losses are robust to wrong labels and
    slow to learn, which `active_passive` mends. A class whose logit is −∞ makes D infinite and
    the loss of all other rows 0, so leave such classes out. A single class has loss 0.

    References
    ----------
    Ma et al.: Normalized loss functions for deep learning with noisy labels. ICML 2020,
    arXiv 2006.13554.

    Examples
    --------
    >>> import numpy as np
    >>> NormalizedCrossEntropy().loss(np.array([1]), np.array([[0.0, 0.0]]))
    array([0.5])
    """

    name: ClassVar[str] = "normalized_cross_entropy"

    @property
    def needs_weighted(self) -> bool:
        return True

    @property
    def kernel_rule(self) -> tuple[RuleTerm, ...]:
        return (RuleTerm(RuleKind.NORMALIZED),)

    def value(self, row: RowStatistics) -> Array:
        nll, total = self._parts(row)
        return nll / total

    def terms(self, row: RowStatistics) -> Terms:
        nll, total = self._parts(row)
        share, b = nll / total, 1 / total
        c = -share * b
        return Terms(share, Slopes(b + row.rows.classes * c, b, c))

    def hessian(self, row: RowStatistics, residual: Array) -> Array:
        """a·p_j(1 − p_j) + 2r(fr + [j = y] − p_j)/D² with r = C p_j − 1.

        f is n/D, in which n has the gradient p − onehot(y) and the Hessian p(1 − p), D the
        gradient r and C times that Hessian.
        """
        xp = namespace(residual)
        size = xp.abs(residual)
        pull = row.rows.classes * xp.where(residual < 0, 1 - size, size) - 1
        share, (a, b, _) = self.terms(row)
        share, a, b = (by_row(x, row) for x in (share, a, b))
        return a * size * (1 - size) + 2 * b**2 * pull * (share * pull - residual)

    @staticmethod
    def _parts(row: RowStatistics) -> tuple[Array, Array]:
        """N and D, bounded where they are infinite; of two classes or more D > 1."""
        return clip(-row.log_prob, max=_MOST), clip(row.weighted_nll, min=1.0, max=_MOST)


def active_passive(alpha: float = 1.0, beta: float = 1.0, passive: Loss | None = None) -> Sum:
    """An active-passive loss, α·normalised cross entropy + β·passive.

    The active part learns the target's probability, the passive one unlearns the others'; both
    are robust to wrong labels, and together they fit as well.

    Parameters
    ----------
    alpha, beta
        Factors of at least 0. The defaults are the paper's for CIFAR-10; for CIFAR-100 it
        takes 10 and .1.
    passive
        `ReverseCrossEntropy` where None; the paper's other choice is `MeanAbsoluteError`.

    Returns
    -------
    Sum
        ``alpha * NormalizedCrossEntropy() + beta * passive``

    References
    ----------
    Ma et al.: Normalized loss functions for deep learning with noisy labels. ICML 2020,
    arXiv 2006.13554.

    Examples
    --------
    >>> active_passive(10, 0.1)
    10 * NormalizedCrossEntropy() + 0.1 * ReverseCrossEntropy()
    """
    passive = ReverseCrossEntropy() if passive is None else passive
    return alpha * NormalizedCrossEntropy() + beta * passive


_MOST = 1e300  # stands in for what is infinite
