"""Losses of binary and multi-label targets: a function of the signed margin for each label.

ℓ₊ and ℓ₋ of `BinaryLoss` are members of the family, which a two-class softmax of the
logits (0, z) would be given too, or functions of the user's own.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

from crossentropy._arrays import Array, clip, namespace
from crossentropy._errors import InputError, closest
from crossentropy.elements import Curve, Side
from crossentropy.elements._contract import FOCAL, GENERALIZED, POLY

from ._base import Loss
from ._binary_base import BinaryLoss
from ._check import at_least, between
from ._family import CrossEntropy, Focal, Poly
from ._margins import _MarginLoss
from ._robust import GeneralizedCrossEntropy
from ._scalar_rule import ScalarRule, _by_autograd
from ._sum import Sum


class _OfFamily(BinaryLoss):
    """A member of the family for each label, times a factor."""

    def member(self, positive: bool) -> Loss:
        """The loss of a label, a function of its log-probability."""
        raise NotImplementedError

    def factor(self, positive: bool) -> float:
        """What multiplies the loss of a label."""
        return 1.0

    @functools.cached_property
    def curve(self) -> Curve | None:
        mine, theirs = _curve_of(self.member(True)), _curve_of(self.member(False))
        if mine is None or theirs is None or mine.kind != theirs.kind:
            return None
        return Curve(mine.kind, mine.a, theirs.a, theirs.c, self.factor(True), self.factor(False))

    def value(self, side: Side) -> Array:
        row: Any = side  # which has what members read of one
        return self._weighted(self.member(side.positive).value(row), side)

    def pull(self, side: Side) -> Array:
        row: Any = side
        return self._weighted(self.member(side.positive).slope(row) * side.prob_rest, side)

    def _weighted(self, values: Array, side: Side) -> Array:
        factor = self.factor(side.positive)
        if factor == 0:  # silences an infinite loss
            return namespace(values).zeros_like(values)
        return values if factor == 1 else factor * values


@dataclass(frozen=True)
class BinaryCrossEntropy(_OfFamily):
    """Binary cross entropy, −y log σ(z) − (1 − y) log σ(−z).

    Examples
    --------
    >>> import numpy as np
    >>> BinaryCrossEntropy().loss(np.array([0.5]), np.array([0.0])) / np.log(2)  # in bits
    array([1.])
    """

    name: ClassVar[str] = "binary_cross_entropy"

    def member(self, positive: bool) -> Loss:
        return CrossEntropy()


@dataclass(frozen=True)
class Binary(_OfFamily):
    """A loss of the family for both labels: that of a two-class softmax of the logits (0, z).

    Parameters
    ----------
    of
        A function of the target's log-probability alone, such as `Poly`, `Focal` or
        `GeneralizedCrossEntropy`, or a sum of such.

    Raises
    ------
    ValueError
        If the loss reads more of a row than that.

    Examples
    --------
    >>> import numpy as np
    >>> from crossentropy.losses import Poly
    >>> Binary(Poly(epsilon=2)).loss(np.array([1]), np.array([0.0]))
    array([1.69314718])
    """

    of: Loss

    def __post_init__(self) -> None:
        if not _reads_log_prob_only(self.of):
            raise InputError(
                f"{self.of!r} is no function of the target's log-probability alone, so it has no "
                "binary version; give a function of the signed margin"
            )

    @property
    def name(self) -> str:
        return f"binary_{self.of.name}"

    def member(self, positive: bool) -> Loss:
        return self.of


@dataclass(frozen=True)
class SigmoidFocal(_OfFamily):
    """Sigmoid focal loss, −α y (1 − p)^γ log p − (1 − α)(1 − y) p^γ log(1 − p) with p = σ(z).

    Labels that are already right count less. For targets between 0 and 1, where libraries
    differ, it is this: the expectation over the label.

    Parameters
    ----------
    alpha
        α in [0, 1], the weight of positives against 1 − α of negatives, or None for neither. The
        default .25 is the paper's choice.
    gamma
        γ ≥ 0; 0 is (weighted) binary cross entropy. The default 2 is the paper's choice. The
        gradient is finite for all.

    References
    ----------
    Lin, Goyal, Girshick, He, Dollár: Focal loss for dense object detection. ICCV 2017,
    arXiv 1708.02002.

    Examples
    --------
    >>> import numpy as np
    >>> SigmoidFocal().loss(np.array([1, 0]), np.array([0.0, 0.0]))
    array([0.0433217, 0.1299651])
    """

    alpha: float | None = 0.25
    gamma: float = 2.0

    name: ClassVar[str] = "sigmoid_focal"

    def __post_init__(self) -> None:
        at_least(0, gamma=self.gamma)
        if self.alpha is not None:
            between(0, 1, alpha=self.alpha)

    def member(self, positive: bool) -> Loss:
        return Focal(self.gamma)

    def factor(self, positive: bool) -> float:
        if self.alpha is None:
            return 1.0
        return self.alpha if positive else 1 - self.alpha


@dataclass(frozen=True)
class Asymmetric(_OfFamily):
    """Asymmetric loss, −y (1 − p)^γ₊ log p − (1 − y) s^γ₋ log(1 − s) with s = max(p − clip, 0).

    For many labels of which few are positive: easy negatives fade faster, and those with
    p = σ(z) of at most `clip` count for nothing.

    Parameters
    ----------
    gamma_pos, gamma_neg
        γ₊ and γ₋ ≥ 0. The defaults 1 and 4 are the paper's choice.
    clip
        In [0, 1): the shift of negatives' probabilities. The default .05 is the paper's choice.

    References
    ----------
    Ridnik et al.: Asymmetric loss for multi-label classification. ICCV 2021, arXiv 2009.14119.

    Examples
    --------
    >>> import numpy as np
    >>> Asymmetric().loss(np.array([1, 0, 0]), np.array([0.0, 0.0, -3.0]))
    array([0.34657359, 0.02451505, 0.        ])
    """

    gamma_pos: float = 1.0
    gamma_neg: float = 4.0
    clip: float = 0.05

    name: ClassVar[str] = "asymmetric"

    def __post_init__(self) -> None:
        at_least(0, gamma_pos=self.gamma_pos, gamma_neg=self.gamma_neg)
        if not 0 <= self.clip < 1:
            raise InputError(f"clip must lie in [0, 1), got {self.clip}")

    def member(self, positive: bool) -> Loss:
        if positive:
            return Focal(self.gamma_pos)
        return _ShiftedFocal(self.gamma_neg, self.clip) if self.clip else Focal(self.gamma_neg)


_NEARLY_NONE = 1e-100  # stands in for a probability of 0, where its powers are wanted


@dataclass(frozen=True)
class _ShiftedFocal(Loss):
    """−s^γ log(1 − s) with s = max(1 − p − clip, 0), p the label's probability."""

    gamma: float
    clip: float

    name: ClassVar[str] = "shifted_focal"

    def value(self, side: Any) -> Array:
        xp, shifted = namespace(side.prob), self._shifted(side)
        value = shifted**self.gamma * self._nll(shifted, side)
        return xp.where(shifted <= _NEARLY_NONE, 0.0, value)

    def slope(self, side: Any) -> Array:
        xp, shifted = namespace(side.prob), self._shifted(side)
        ratio = self._nll(shifted, side) / shifted
        slope = side.prob * shifted**self.gamma * (self.gamma * ratio + 1 / (1 - shifted))
        return xp.where(shifted <= _NEARLY_NONE, 0.0, slope)

    def _shifted(self, side: Any) -> Array:
        return clip(side.prob_rest - self.clip, min=_NEARLY_NONE)

    def _nll(self, shifted: Array, side: Any) -> Array:
        """−log(1 − s), by the form that is accurate, whose other has a finite derivative, too."""
        xp = namespace(shifted)
        small = -xp.log1p(-clip(shifted, max=0.5))
        return xp.where(shifted < 0.5, small, -xp.log(side.prob + self.clip))


def _curve_of(loss: Loss) -> Curve | None:
    """A member of the family as the native kernel knows it."""
    if type(loss) is CrossEntropy:
        return Curve(POLY)
    if type(loss) is Poly:
        return Curve(POLY, loss.epsilon)
    if type(loss) is GeneralizedCrossEntropy:
        return Curve(GENERALIZED, loss.q) if loss.q else Curve(POLY)
    if type(loss) is Focal:
        return Curve(FOCAL, loss.gamma)
    if type(loss) is _ShiftedFocal:
        return Curve(FOCAL, loss.gamma, c=loss.clip)
    return None


def _reads_log_prob_only(loss: Loss) -> bool:
    if isinstance(loss, Sum):
        return all(_reads_log_prob_only(part) for _, part in loss.parts)
    return not (loss.needs_weighted or isinstance(loss, (_MarginLoss, ScalarRule)))


# ---- the user's own -----------------------------------------------------------------------------


@dataclass(frozen=True, repr=False)
class BinaryRule(BinaryLoss):
    """A loss of your own: a function ℓ of the signed margin, ``y·ℓ(z) + (1 − y)·ℓ(−z)``.

    Parameters
    ----------
    function
        Takes the margins, float64 of the logits' shape, and returns the losses, by operations
        of the arrays' library.
    derivative
        Takes the same and returns the derivative of `function`. None derives it automatically,
        for PyTorch tensors.
    name
        What the loss is called; the function's name where None.

    Raises
    ------
    ValueError
        In use, if a function does not return one number for each logit.
    TypeError
        In use, if the derivative is wanted of arrays that are not PyTorch's, and not given.

    Examples
    --------
    The squared hinge loss:

    >>> import numpy as np
    >>> rule = BinaryRule(
    ...     lambda m: np.maximum(1 - m, 0) ** 2,
    ...     derivative=lambda m: -2 * np.maximum(1 - m, 0),
    ... )
    >>> rule.loss_gradient(np.array([1, 0]), np.array([0.5, 0.5]))
    (array([0.25, 2.25]), array([-1.,  3.]))
    """

    function: Callable[[Array], Array]
    derivative: Callable[[Array], Array] | None = None
    name: str = field(default="", kw_only=True)

    def __post_init__(self) -> None:
        name = self.name or getattr(self.function, "__name__", type(self.function).__name__)
        object.__setattr__(self, "name", name)

    def __repr__(self) -> str:
        return f"BinaryRule({self.name})"

    def value(self, side: Side) -> Array:
        return self._checked(self.function(side.margin), side)

    def pull(self, side: Side) -> Array:
        if self.derivative is not None:
            return -self._checked(self.derivative(side.margin), side)
        _, (derivative,) = _by_autograd(
            lambda margin: self._checked(self.function(margin), side), [side.margin]
        )
        return -derivative

    def _checked(self, values: Array, side: Side) -> Array:
        shape = tuple(side.margin.shape)
        if tuple(getattr(values, "shape", (None,))) != shape:
            raise InputError(
                f"the functions of {self!r} must return one number for each logit, shape {shape}, "
                f"got {getattr(values, 'shape', type(values).__name__)}"
            )
        return values


# ---- by name ------------------------------------------------------------------------------------

_PLAIN = BinaryCrossEntropy()
_NAMED: dict[str, BinaryLoss] = {x.name: x for x in (_PLAIN, SigmoidFocal(), Asymmetric())}


def as_binary_loss(loss: BinaryLoss | Loss | str | Callable[[Any], Any] | None) -> BinaryLoss:
    """The loss for what a `loss=` argument of a binary loss was given.

    Parameters
    ----------
    loss
        A binary loss; a member of the family that is a function of the log-probability, for both
        labels; the name of either; a function of the signed margin, as in `BinaryRule`; or None
        for binary cross entropy.

    Raises
    ------
    ValueError
        If there is no loss of that name, or it has no binary version.
    TypeError
        If it is none of these.

    Examples
    --------
    >>> as_binary_loss("sigmoid_focal"), as_binary_loss("poly")
    (SigmoidFocal(alpha=0.25, gamma=2.0), Binary(of=Poly(epsilon=2.0)))
    """
    if loss is None:
        return _PLAIN
    if isinstance(loss, BinaryLoss):
        return loss
    if isinstance(loss, Loss):
        return Binary(loss)
    if isinstance(loss, str):
        if loss in _NAMED:
            return _NAMED[loss]
        from ._registry import available, get

        if loss in available():
            return Binary(get(loss))
        raise InputError(f"unknown loss {loss!r}; {closest(loss, [*_NAMED, *available()])}")
    if callable(loss) and not inspect.isclass(loss):
        return BinaryRule(loss)
    raise TypeError(
        "loss must be a crossentropy loss, its name or a function of the signed margin, "
        f"got {loss!r}"
    )
