"""The family: every loss is a value, a slope and a curvature in u = log p of the target.

Written in u and q = 1 − p, both accurate however close p is to 0 or 1. A loss added here
and as a row of the test table reaches arrays, PyTorch, the command line and the
documentation through the registry.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from crossentropy._arrays import Array, namespace
from crossentropy.rows import RowStatistics

from ._base import Loss
from ._check import at_least, between


@dataclass(frozen=True)
class CrossEntropy(Loss):
    """Cross entropy, −log p: the negative log-likelihood.

    a = b = 1.

    Examples
    --------
    >>> import numpy as np
    >>> CrossEntropy().loss(np.array([1]), np.array([[0.0, 0.0]])) / np.log(2)  # in bits
    array([1.])
    """

    name: ClassVar[str] = "cross_entropy"

    def value(self, row: RowStatistics) -> Array:
        return -row.log_prob

    def slope(self, row: RowStatistics) -> Array:
        return 1.0

    def curvature(self, row: RowStatistics) -> Array:
        return 0.0


@dataclass(frozen=True)
class Focal(Loss):
    """Focal loss, −(1 − p)^γ log p: rows that are already right count less.

    a = b = q^γ (1 + γ p r) with q = 1 − p and r = −log(p)/q, finite for every γ ≥ 0.

    Parameters
    ----------
    gamma
        γ ≥ 0; 0 is cross entropy. The default 2 is the paper's choice.

    References
    ----------
    Lin, Goyal, Girshick, He, Dollár: Focal loss for dense object detection. ICCV 2017,
    arXiv 1708.02002.

    Examples
    --------
    >>> import numpy as np
    >>> Focal(gamma=2).loss(np.array([1]), np.array([[0.0, 0.0]]))
    array([0.1732868])
    """

    gamma: float = 2.0

    name: ClassVar[str] = "focal"

    def __post_init__(self) -> None:
        at_least(0, gamma=self.gamma)

    def value(self, row: RowStatistics) -> Array:
        return -_power(row.prob_rest, self.gamma) * row.log_prob

    def slope(self, row: RowStatistics) -> Array:
        return _power(row.prob_rest, self.gamma) * (1 + self.gamma * _prob_times_ratio(row))

    def curvature(self, row: RowStatistics) -> Array:
        xp = namespace(row.log_prob)
        p, q = row.prob, row.prob_rest
        pu = p * xp.where(p == 0, 0.0, row.log_prob)
        inner = 2 * p + pu + (self.gamma - 1) * p * _prob_times_ratio(row)
        # where q is 0 it is multiplied by q² in every Hessian
        return xp.where(q > 0, self.gamma * _power(q, self.gamma - 1) * inner, 0.0)


@dataclass(frozen=True)
class Poly(Loss):
    """Poly-1, −log p + ε(1 − p): cross entropy with its leading term reweighted.

    a = b = 1 + εp.

    Parameters
    ----------
    epsilon
        ε ≥ −1; 0 is cross entropy. The default 2 is the paper's choice for ImageNet.

    References
    ----------
    Leng et al.: PolyLoss, a polynomial expansion perspective of classification loss
    functions. ICLR 2022, arXiv 2204.12511.

    Examples
    --------
    >>> import numpy as np
    >>> Poly(epsilon=2).loss(np.array([1]), np.array([[0.0, 0.0]]))
    array([1.69314718])
    """

    epsilon: float = 2.0

    name: ClassVar[str] = "poly"

    def __post_init__(self) -> None:
        at_least(-1, epsilon=self.epsilon)

    def value(self, row: RowStatistics) -> Array:
        return -row.log_prob + self.epsilon * row.prob_rest

    def slope(self, row: RowStatistics) -> Array:
        return 1 + self.epsilon * row.prob

    def curvature(self, row: RowStatistics) -> Array:
        return -self.epsilon * row.prob


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

    def value(self, row: RowStatistics) -> Array:
        if self.q == 0:
            return -row.log_prob
        return -namespace(row.log_prob).expm1(self.q * row.log_prob) / self.q

    def slope(self, row: RowStatistics) -> Array:
        return 1.0 if self.q == 0 else namespace(row.log_prob).exp(self.q * row.log_prob)

    def curvature(self, row: RowStatistics) -> Array:
        return -self.q * self.slope(row)


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
    _reverse: ClassVar[float] = -math.log(1e-4)

    def __post_init__(self) -> None:
        at_least(0, alpha=self.alpha, beta=self.beta)

    def value(self, row: RowStatistics) -> Array:
        reverse = self.beta * self._reverse * row.prob_rest
        return reverse - self.alpha * row.log_prob if self.alpha else reverse

    def slope(self, row: RowStatistics) -> Array:
        return self.alpha + self.beta * self._reverse * row.prob

    def curvature(self, row: RowStatistics) -> Array:
        return -self.beta * self._reverse * row.prob


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

    def value(self, row: RowStatistics) -> Array:
        return 2 * row.prob_rest

    def slope(self, row: RowStatistics) -> Array:
        return 2 * row.prob

    def curvature(self, row: RowStatistics) -> Array:
        return -2 * row.prob


def _power(q: Array, exponent: float) -> Array:
    """q^exponent, whose derivative stays finite where q is 0; NaN stays NaN."""
    xp = namespace(q)
    if exponent == 0:
        return q * 0.0 + 1.0
    zero = q == 0
    return xp.where(zero, 0.0, xp.where(zero, 1.0, q) ** exponent)


def _prob_times_ratio(row: RowStatistics) -> Array:
    """p·r with r = −log(p)/(1 − p), which is 1 where p is 1; p·r is 0 where p is 0."""
    xp = namespace(row.log_prob)
    p, q = row.prob, row.prob_rest
    u = xp.where(p == 0, 0.0, row.log_prob)
    return p * xp.where(q == 0, 1.0, -u / xp.where(q == 0, 1.0, q))
