"""The family's robust half: losses that a wrong label cannot pull without end.

Functions of u = log p of the target; `_normalized` has the one that sees all classes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from crossentropy._arrays import Array, clip, namespace
from crossentropy.rows import RowStatistics, RuleKind, RuleTerm

from ._base import Loss
from ._check import at_least, between


@dataclass(frozen=True)
class GeneralizedCrossEntropy(Loss):
    """Generalized cross entropy, (1 − p^q)/q: between cross entropy and absolute error.

    a = b = p^q: a row that the model finds impossible, as wrong labels are, pulls little.

    Parameters
    ----------
    q
        In [0, 1]; 0 is cross entropy, 1 half the absolute error. The default .7 is the
        paper's choice for noisy labels.

    References
    ----------
    Zhang, Sabuncu: Generalized cross entropy loss for training deep neural networks with
    noisy labels. NeurIPS 2018, arXiv 1805.07836.

    Examples
    --------
    >>> import numpy as np
    >>> GeneralizedCrossEntropy(q=1).loss(np.array([1]), np.array([[0.0, 0.0]]))
    array([0.5])
    """

    q: float = 0.7

    name: ClassVar[str] = "generalized_cross_entropy"

    def __post_init__(self) -> None:
        between(0, 1, q=self.q)

    @property
    def kernel_rule(self) -> tuple[RuleTerm, ...]:
        return _deformed_rule(self.q)

    def value(self, row: RowStatistics) -> Array:
        return _deformed(row.log_prob, self.q)

    def slope(self, row: RowStatistics) -> Array:
        return _exponential(row.log_prob, self.q)

    def curvature(self, row: RowStatistics) -> Array:
        return -self.q * self.slope(row)


@dataclass(frozen=True)
class TruncatedGeneralizedCrossEntropy(Loss):
    """Generalized cross entropy that gives up on rows with p ≤ k: there it is (1 − k^q)/q.

    a = b = p^q where p > k, else 0. A model that knows nothing yet has p ≤ k everywhere and
    learns nothing, so this is for one that has been trained with another loss before.

    Parameters
    ----------
    q
        As in `GeneralizedCrossEntropy`; the default is the paper's.
    k
        In [0, 1]; 0 truncates nothing. The default .5 is the paper's.

    References
    ----------
    Zhang, Sabuncu: Generalized cross entropy loss for training deep neural networks with
    noisy labels. NeurIPS 2018, arXiv 1805.07836.

    Examples
    --------
    >>> import numpy as np
    >>> loss = TruncatedGeneralizedCrossEntropy(q=1)
    >>> loss.loss(np.array([0, 0]), np.log([[0.1, 0.9], [0.8, 0.2]]))
    array([0.5, 0.2])
    """

    q: float = 0.7
    k: float = 0.5

    name: ClassVar[str] = "truncated_generalized_cross_entropy"

    def __post_init__(self) -> None:
        between(0, 1, q=self.q, k=self.k)

    @property
    def kernel_rule(self) -> tuple[RuleTerm, ...]:
        return _deformed_rule(self.q, self.k)

    def value(self, row: RowStatistics) -> Array:
        least = math.log(self.k) if self.k else -math.inf
        return _deformed(clip(row.log_prob, min=least), self.q)

    def slope(self, row: RowStatistics) -> Array:
        slope = _exponential(row.log_prob, self.q)
        return namespace(row.prob).where(row.prob <= self.k, 0.0, slope)

    def curvature(self, row: RowStatistics) -> Array:
        return -self.q * self.slope(row)


@dataclass(frozen=True)
class CompSum(Loss):
    """Comp-sum loss, (p^(τ − 1) − 1)/(1 − τ): a scale from sum-exponential to absolute error.

    a = b = p^(τ − 1), bounded by 1e300. τ = 0 is the sum-exponential loss, 1 cross entropy,
    1 < τ < 2 the generalized one with q = τ − 1, 2 half the absolute error.

    Parameters
    ----------
    tau
        τ ≥ 0: robust to wrong labels above 1, ever harder on them below. The default 1.5, half
        way between cross entropy and absolute error, is ours.

    References
    ----------
    Mao, Mohri, Zhong: Cross-entropy loss functions: theoretical analysis and applications.
    ICML 2023, arXiv 2304.07288.

    Examples
    --------
    >>> import numpy as np
    >>> CompSum(tau=0).loss(np.array([1]), np.array([[0.0, 0.0]]))
    array([1.])
    """

    tau: float = 1.5

    name: ClassVar[str] = "comp_sum"

    def __post_init__(self) -> None:
        at_least(0, tau=self.tau)

    @property
    def kernel_rule(self) -> tuple[RuleTerm, ...]:
        return _deformed_rule(self.tau - 1)

    def value(self, row: RowStatistics) -> Array:
        return _deformed(row.log_prob, self.tau - 1)

    def slope(self, row: RowStatistics) -> Array:
        return _exponential(row.log_prob, self.tau - 1)

    def curvature(self, row: RowStatistics) -> Array:
        return (1 - self.tau) * self.slope(row)


@dataclass(frozen=True)
class MeanAbsoluteError(Loss):
    """Mean absolute error between one-hot target and probabilities, 2(1 − p).

    a = b = 2p: robust to wrong labels, slow to learn from right ones.

    References
    ----------
    Ghosh, Kumar, Sastry: Robust loss functions under label noise for deep neural networks.
    AAAI 2017, arXiv 1712.09482.

    Examples
    --------
    >>> import numpy as np
    >>> MeanAbsoluteError().loss(np.array([1]), np.array([[0.0, 0.0]]))
    array([1.])
    """

    name: ClassVar[str] = "mean_absolute_error"

    @property
    def kernel_rule(self) -> tuple[RuleTerm, ...]:
        return (RuleTerm(RuleKind.PROB_REST, 2.0),)

    def value(self, row: RowStatistics) -> Array:
        return 2 * row.prob_rest

    def slope(self, row: RowStatistics) -> Array:
        return 2 * row.prob

    def curvature(self, row: RowStatistics) -> Array:
        return -2 * row.prob


@dataclass(frozen=True)
class ReverseCrossEntropy(Loss):
    """Reverse cross entropy, −A(1 − p) with A = log 1e-4.

    The cross entropy of the one-hot target relative to the probabilities, in which the log of
    the target's zeros is A. a = b = −Ap: as the absolute error up to a factor.

    References
    ----------
    Wang et al.: Symmetric cross entropy for robust learning with noisy labels. ICCV 2019,
    arXiv 1908.06112.

    Examples
    --------
    >>> import numpy as np
    >>> ReverseCrossEntropy().loss(np.array([1]), np.array([[0.0, 0.0]]))
    array([4.60517019])
    """

    name: ClassVar[str] = "reverse_cross_entropy"

    @property
    def kernel_rule(self) -> tuple[RuleTerm, ...]:
        return (RuleTerm(RuleKind.PROB_REST, _REVERSE),)

    def value(self, row: RowStatistics) -> Array:
        return _REVERSE * row.prob_rest

    def slope(self, row: RowStatistics) -> Array:
        return _REVERSE * row.prob

    def curvature(self, row: RowStatistics) -> Array:
        return -_REVERSE * row.prob


@dataclass(frozen=True)
class SymmetricCrossEntropy(Loss):
    """Symmetric cross entropy, α(−log p) + β(−A)(1 − p) with A = log 1e-4.

    Cross entropy and its reverse, in which the log of the one-hot target's zeros is A.
    a = b = α − βAp.

    Parameters
    ----------
    alpha, beta
        Weights of the two parts, ≥ 0. The defaults .1 and 1 are the paper's for CIFAR-10;
        it takes 6 and .1 for CIFAR-100.

    References
    ----------
    Wang et al.: Symmetric cross entropy for robust learning with noisy labels. ICCV 2019,
    arXiv 1908.06112.

    Examples
    --------
    >>> import numpy as np
    >>> SymmetricCrossEntropy(alpha=1, beta=0).loss(np.array([1]), np.array([[0.0, 0.0]]))
    array([0.69314718])
    """

    alpha: float = 0.1
    beta: float = 1.0

    name: ClassVar[str] = "symmetric_cross_entropy"

    def __post_init__(self) -> None:
        at_least(0, alpha=self.alpha, beta=self.beta)

    @property
    def kernel_rule(self) -> tuple[RuleTerm, ...]:
        reverse = RuleTerm(RuleKind.PROB_REST, self.beta * _REVERSE)
        return (RuleTerm(RuleKind.LOG_PROB, self.alpha), reverse) if self.alpha else (reverse,)

    def value(self, row: RowStatistics) -> Array:
        reverse = (self.beta * _REVERSE) * row.prob_rest
        return reverse - self.alpha * row.log_prob if self.alpha else reverse

    def slope(self, row: RowStatistics) -> Array:
        return self.alpha + (self.beta * _REVERSE) * row.prob

    def curvature(self, row: RowStatistics) -> Array:
        return (-self.beta * _REVERSE) * row.prob


_REVERSE = -math.log(1e-4)
_LOG_MOST = math.log(1e300)


def _deformed_rule(q: float, least: float = 0.0) -> tuple[RuleTerm, ...]:
    """(1 − p^q)/q for the kernels."""
    if q == 0 and least == 0:
        return (RuleTerm(RuleKind.LOG_PROB),)
    return (RuleTerm(RuleKind.DEFORMED, parameter=q, least=least),)


def _deformed(u: Array, q: float) -> Array:
    """(1 − e^(q·u))/q, which is −u in the limit of q = 0."""
    if q == 0:
        return -u
    xp = namespace(u)
    if q > 0:
        return xp.expm1(q * u) * (-1 / q)
    exponent = q * u
    value = xp.expm1(clip(exponent, max=_LOG_MOST)) * (-1 / q)
    return xp.where(exponent > _LOG_MOST, math.inf, value)


def _exponential(u: Array, q: float) -> Array | float:
    """e^(q·u), the slope of the above, bounded so that no gradient is inf·0."""
    if q == 0:
        return 1.0
    xp = namespace(u)
    return xp.exp(q * u if q > 0 else clip(q * u, max=_LOG_MOST))
