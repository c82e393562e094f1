"""The family near cross entropy: functions of u = log p of the target that stay close to −u.

Written in u, p and q = 1 − p, which the row passes hand out accurate however close p is to
0 or 1. A loss added to one of the three modules of the family, and as a row of the test
table, reaches arrays, PyTorch, the command line and the documentation through the registry.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from crossentropy._arrays import Array, clip
from crossentropy._errors import InputError
from crossentropy.rows import RowStatistics, RuleKind, RuleTerm, Slopes

from ._base import Loss
from ._check import at_least
from ._objective import Terms


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

    @property
    def kernel_rule(self) -> tuple[RuleTerm, ...]:
        return (RuleTerm(RuleKind.LOG_PROB),)

    def value(self, row: RowStatistics) -> Array:
        return -row.log_prob

    def slope(self, row: RowStatistics) -> Array:
        return 1.0

    def curvature(self, row: RowStatistics) -> Array:
        return 0.0


@dataclass(frozen=True)
class Focal(Loss):
    """Focal loss, −(1 − p)^γ log p: rows that are already right count less.

    a = b = q^(γ−1) (q − γ p log p) with q = 1 − p.

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

    @property
    def kernel_rule(self) -> tuple[RuleTerm, ...]:
        return (RuleTerm(RuleKind.FOCAL, parameter=self.gamma),)

    def value(self, row: RowStatistics) -> Array:
        u, q = _bounded(row), row.prob_rest
        if self.gamma % 1:  # whose derivatives are not finite where q is 0, and u is 0 as well
            q = clip(q, min=_LEAST)
        # the first term is 0 unless u is −∞ or nearly so, and q is 1 there
        return (u - row.log_prob) - q**self.gamma * u

    def slope(self, row: RowStatistics) -> Array:
        return self.terms(row).slopes.a

    def terms(self, row: RowStatistics) -> Terms:
        q, pu = row.prob_rest, row.prob * _bounded(row)
        if self.gamma >= 1:
            power = _power(q, self.gamma - 1)  # serves both; q^γ and the slope follow from it
            focus, slope = power * q, power * (q - self.gamma * pu)
        else:
            focus = q**self.gamma
            slope = focus * (1 - self.gamma * pu / clip(q, min=_LEAST))
        return Terms(-focus * row.log_prob, Slopes(slope, slope))

    def curvature(self, row: RowStatistics) -> Array:
        p, u = row.prob, _bounded(row)
        q = clip(row.prob_rest, min=_LEAST)  # in every Hessian times q²
        inner = 2 + u - (self.gamma - 1) * p * u / q
        return self.gamma * p * q ** (self.gamma - 1) * inner


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

    @property
    def kernel_rule(self) -> tuple[RuleTerm, ...]:
        return RuleTerm(RuleKind.LOG_PROB), RuleTerm(RuleKind.PROB_REST, self.epsilon)

    def value(self, row: RowStatistics) -> Array:
        return self.epsilon * row.prob_rest - row.log_prob

    def slope(self, row: RowStatistics) -> Array:
        return 1 + self.epsilon * row.prob

    def curvature(self, row: RowStatistics) -> Array:
        return -self.epsilon * row.prob


@dataclass(frozen=True)
class TaylorCrossEntropy(Loss):
    """Taylor cross entropy, Σ_{i ≤ T} (1 − p)^i / i: the series of −log p, cut off.

    a = b = 1 − (1 − p)^T, which is p·Σ_{i < T} (1 − p)^i.

    Parameters
    ----------
    degree
        T ≥ 1; 1 is half the absolute error, T → ∞ cross entropy. The paper takes 2 to 6, of
        which the default is the most robust.

    References
    ----------
    Feng, Shu, Lin, Lv, Li, An: Can cross entropy loss be robust to label noise? IJCAI 2020.

    Examples
    --------
    >>> import numpy as np
    >>> TaylorCrossEntropy(degree=2).loss(np.array([1]), np.array([[0.0, 0.0]]))
    array([0.625])
    """

    degree: int = 2

    name: ClassVar[str] = "taylor_cross_entropy"

    def __post_init__(self) -> None:
        at_least(1, degree=self.degree)
        if self.degree % 1:
            raise InputError(f"degree must be a whole number, got {self.degree}")
        object.__setattr__(self, "degree", int(self.degree))

    @property
    def kernel_rule(self) -> tuple[RuleTerm, ...]:
        return (RuleTerm(RuleKind.TAYLOR, parameter=self.degree),)

    def value(self, row: RowStatistics) -> Array:
        q = row.prob_rest
        return q * _polynomial(q, [1 / i for i in range(1, self.degree + 1)])

    def slope(self, row: RowStatistics) -> Array:
        return row.prob * _polynomial(row.prob_rest, [1.0] * self.degree)

    def curvature(self, row: RowStatistics) -> Array:
        return -self.degree * row.prob * _power(row.prob_rest, self.degree - 1)


_LEAST = 1e-300  # stands in for 0 where its powers are wanted


def _bounded(row: RowStatistics) -> Array:
    """u, of which −1000 stands in for less: p is 0 from −746 on, and p·u never 0·∞."""
    return clip(row.log_prob, min=-1000.0)


def _power(q: Array, exponent: float) -> Array:
    """q^exponent, at no cost where that is q."""
    return q if exponent == 1 else q**exponent


def _polynomial(q: Array, coefficients: list[float]) -> Array | float:
    """Σ_i c_i q^i by Horner's rule."""
    total: Array | float = coefficients[-1]
    for coefficient in coefficients[-2::-1]:
        total = total * q + coefficient
    return total
