"""The family's losses for labels that are wrong in a known way.

Each pulls the softmax to a row w of its own, where cross entropy pulls it to the one-hot target:
the gradient of a row is W·softmax(z)_j − w_j with W = Σ_j w_j. Rows of weights are as many
numbers as logits, so these are losses that need the logits themselves (`Loss.needs_logits`):
array code in float64, which the few classes of a known transition matrix make cheap.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field
from typing import ClassVar, NoReturn

import numpy as np

from crossentropy import rows
from crossentropy._arrays import Array, clip, device_of, namespace
from crossentropy._errors import InputError
from crossentropy.rows import RowStatistics, _pure

from ._base import Loss
from ._check import between, transition_matrix


@dataclass(frozen=True)
class _Relabelled(Loss):
    """Σ_j w_j (−log p_j), or what else has the gradient W·softmax(z)_j − w_j."""

    @property
    def needs_logits(self) -> bool:
        return True

    @abstractmethod
    def _weights(self, row: RowStatistics, nll: Array) -> Array:
        """The w of every row, (N, C), from −log p of all classes."""

    def _value(self, row: RowStatistics, nll: Array) -> Array:
        xp = namespace(nll)
        w = self._weights(row, nll)
        return xp.sum(xp.where(w == 0, 0.0, w * nll), axis=1)

    def value(self, row: RowStatistics) -> Array:
        xp = namespace(row.table)
        with _pure.quiet(row.table):
            value = self._value(row, _nll(row))
        return xp.where(row.rows.target == row.rows.ignore_index, 0.0, value)

    def terms(self, row: RowStatistics) -> NoReturn:
        raise NotImplementedError(
            f"{self.name} reads all logits of a row and has no slopes in its statistics; see "
            "its row_gradient"
        )

    def row_gradient(self, row: RowStatistics) -> Array:
        """W·softmax(z)_j − w_j, of which the predicted class has what the others lack to 0.

        There alone p is near 1, and the difference would cancel.
        """
        xp = namespace(row.table)
        with _pure.quiet(row.table):
            nll = _nll(row)
            w = self._weights(row, nll)
            gradient = xp.sum(w, axis=1, keepdims=True) * xp.exp(-nll) - w
            predicted = _is(xp.argmin(nll, axis=1), nll)
            others = xp.where(predicted, 0.0, gradient)
            return xp.where(predicted, -xp.sum(others, axis=1, keepdims=True), others)

    def hessian(self, row: RowStatistics, residual: Array) -> Array:
        """W·p_j(1 − p_j), for w that do not depend on the logits."""
        xp = namespace(residual)
        size = xp.abs(residual)
        return xp.sum(self._weights_of(row), axis=1, keepdims=True) * size * (1 - size)

    def _weights_of(self, row: RowStatistics) -> Array:
        with _pure.quiet(row.table):
            return self._weights(row, _nll(row))


@dataclass(frozen=True)
class ForwardCorrection(_Relabelled):
    """Cross entropy of the observed labels, −log Σ_k p_k T[k, y]: the model learns the true ones.

    The probabilities p are of the true label, T turns them into those of the observed label y.
    Minimised over clean and wrong labels alike where p is the clean posterior. W = 1, and w_k =
    p_k T[k, y] / Σ_j p_j T[j, y] is the probability that class k is behind the label.

    Parameters
    ----------
    transition
        T, (C, C): T[i, j] is the probability that class i is labelled j, so rows sum to 1. Of
        labels that are replaced at random in 30 % of rows: .7 + .3/C on the diagonal, .3/C off it.

    Raises
    ------
    ValueError
        If T is not square, its entries are no probabilities, a row does not sum to 1 or a column
        is 0; in use, if the logits have another number of classes.

    References
    ----------
    Patrini, Rozza, Menon, Nock, Qu: Making deep neural networks robust to label noise: a loss
    correction approach. CVPR 2017, arXiv 1609.03683.

    Examples
    --------
    >>> import numpy as np
    >>> loss = ForwardCorrection([[0.9, 0.1], [0.3, 0.7]])
    >>> np.exp(-loss.loss(np.array([0, 1]), np.zeros((2, 2))))
    array([0.6, 0.4])
    """

    transition: Array
    _observed: Array = field(init=False, repr=False, compare=False)  # T's columns

    name: ClassVar[str] = "forward_correction"

    def __post_init__(self) -> None:
        matrix = transition_matrix(self.transition)
        object.__setattr__(self, "transition", _as_tuples(matrix))
        object.__setattr__(self, "_observed", matrix.T.copy())

    def _value(self, row: RowStatistics, nll: Array) -> Array:
        """−log1p(−Σ p_k (1 − T[k, y])) where that is accurate, else −log Σ p_k T[k, y]."""
        xp = namespace(nll)
        missed = xp.sum(xp.exp(-nll) * (1 - _of_target(self._observed, row)), axis=1)
        near = missed < 0.5
        small = -xp.log1p(-xp.where(near, missed, 0.0))
        joint, impossible = self._joint(row, nll)
        w = _pure.constant(_softmax(joint))
        endless = xp.sum(xp.where(w == 0, 0.0, w * nll), axis=1)  # ∞, and it has a gradient
        return xp.where(near, small, xp.where(impossible, endless, -_logsumexp(joint)))

    def hessian(self, row: RowStatistics, residual: Array) -> Array:
        """p_j(1 − p_j) − w_j(1 − w_j)."""
        w = self._weights_of(row)
        return super().hessian(row, residual) - w * (1 - w)

    def _weights(self, row: RowStatistics, nll: Array) -> Array:
        return _softmax(self._joint(row, nll)[0])

    def _joint(self, row: RowStatistics, nll: Array) -> tuple[Array, Array]:
        """log(p_k T[k, y]), and in which rows that is −∞ for all k: log T[k, y] stands there."""
        xp = namespace(nll)
        log = xp.log(_of_target(self._observed, row))
        joint = log - nll
        impossible = xp.all(joint == -xp.inf, axis=1)
        return xp.where(impossible[:, None], log, joint), impossible


@dataclass(frozen=True)
class BackwardCorrection(_Relabelled):
    """Unbiased cross entropy, Σ_k T⁻¹[y, k](−log p_k): its mean over wrong labels is the clean one.

    w is row y of T⁻¹. It has negative entries, so the loss of a row may be negative, and is not
    bounded below: −∞ where a class of negative weight has p = 0. T near a singular matrix makes
    the loss vary wildly from row to row.

    Parameters
    ----------
    transition
        T, (C, C): T[i, j] is the probability that class i is labelled j, so rows sum to 1.

    Raises
    ------
    ValueError
        If T is not square, its entries are no probabilities, a row does not sum to 1 or T has no
        inverse; in use, if the logits have another number of classes.

    References
    ----------
    Patrini, Rozza, Menon, Nock, Qu: Making deep neural networks robust to label noise: a loss
    correction approach. CVPR 2017, arXiv 1609.03683.

    Examples
    --------
    >>> import numpy as np
    >>> loss = BackwardCorrection([[0.9, 0.1], [0.3, 0.7]])
    >>> logits = np.log([[0.8, 0.2]] * 2)
    >>> observed = loss.loss(np.array([0, 1]), logits)
    >>> np.exp(-(0.9 * observed[0] + 0.1 * observed[1]))  # of class 0
    np.float64(0.8)
    """

    transition: Array
    _inverse: Array = field(init=False, repr=False, compare=False)

    name: ClassVar[str] = "backward_correction"

    def __post_init__(self) -> None:
        matrix = transition_matrix(self.transition)
        condition = np.linalg.cond(matrix)
        if not condition < _SINGULAR:
            raise InputError(
                "backward correction needs a transition matrix with an inverse, got one of "
                f"condition number {condition:.3g}: its labels do not tell the classes apart; "
                "ForwardCorrection takes it"
            )
        object.__setattr__(self, "transition", _as_tuples(matrix))
        object.__setattr__(self, "_inverse", np.linalg.inv(matrix))

    def _weights(self, row: RowStatistics, nll: Array) -> Array:
        return _of_target(self._inverse, row)


@dataclass(frozen=True)
class HardBootstrapping(_Relabelled):
    """Hard bootstrapping, −β log p_y − (1 − β) log max_k p_k: a label that the model may doubt.

    W = 1, and w is β for the label and 1 − β for the class that the model predicts, which counts
    as a constant: of equal logits, the first.

    Parameters
    ----------
    beta
        β in [0, 1]; 1 is cross entropy. The default .8 is the paper's choice.

    References
    ----------
    Reed, Lee, Anguelov, Szegedy, Erhan, Rabinovich: Training deep neural networks on noisy labels
    with bootstrapping. ICLR 2015 workshop, arXiv 1412.6596.

    Examples
    --------
    >>> import numpy as np
    >>> np.exp(-HardBootstrapping(beta=0.5).loss(np.array([1]), np.log([[0.8, 0.2]])))
    array([0.4])
    """

    beta: float = 0.8

    name: ClassVar[str] = "hard_bootstrapping"

    def __post_init__(self) -> None:
        between(0, 1, beta=self.beta)

    def _weights(self, row: RowStatistics, nll: Array) -> Array:
        xp = namespace(nll)
        nothing = xp.zeros_like(nll)
        given = xp.where(_is(row.rows.target, nll), self.beta, nothing)
        return given + xp.where(_is(xp.argmin(nll, axis=1), nll), 1 - self.beta, nothing)


_SINGULAR = 1e12  # an inverse has four digits left


def _as_tuples(matrix: Array) -> tuple[tuple[float, ...], ...]:
    """As a loss that is a value keeps it: hashable, and equal where its numbers are."""
    return tuple(tuple(line) for line in matrix.tolist())


def _of_target(matrix: Array, row: RowStatistics) -> Array:
    """Row y of a NumPy matrix for every row, (N, C); some row of it for ignored ones."""
    classes = row.rows.classes
    if matrix.shape[0] != classes:
        raise InputError(
            f"the transition matrix is of {matrix.shape[0]} classes, the logits have {classes}; "
            "give a row and a column for each class"
        )
    xp = namespace(row.table)
    values = xp.asarray(matrix, dtype=row.table.dtype, device=device_of(row.table))
    return xp.take(values, clip(row.rows.target, min=0, max=classes - 1), axis=0)


def _nll(row: RowStatistics) -> Array:
    """−log p of all classes, (N, C), accurate however near p is to 1; NaN of a row of −∞."""
    xp = namespace(row.table)
    z = rows.logits_of(row.rows)
    above = z - _pure.constant(xp.max(z, axis=1, keepdims=True))
    # Σ_j e^above − 1, whose greatest term is 0 and has a derivative
    greatest = _is(xp.argmax(z, axis=1), z)
    rest = xp.sum(xp.where(greatest, xp.expm1(above), xp.exp(above)), axis=1, keepdims=True)
    return xp.log1p(rest) - above


def _is(classes: Array, values: Array) -> Array:
    """Whether j is the class of the row, (N,) to (N, C)."""
    xp = namespace(values)
    every = xp.arange(values.shape[1], dtype=classes.dtype, device=device_of(values))
    return classes[:, None] == every


def _logsumexp(values: Array) -> Array:
    """By row, (N, C) to (N,)."""
    xp = namespace(values)
    shift = _pure.constant(xp.max(values, axis=1))
    return shift + xp.log(xp.sum(xp.exp(values - shift[:, None]), axis=1))


def _softmax(values: Array) -> Array:
    return namespace(values).exp(values - _logsumexp(values)[:, None])
