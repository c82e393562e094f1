"""Vector and matrix scaling with the penalties of structured matrix scaling."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from crossentropy import rows
from crossentropy._optional import require

from ._maps import LogitMap, affine, laplace
from ._temperature import fit_beta
from ._threads import over_blocks

if TYPE_CHECKING:
    from crossentropy._predictions import Array

_ROWS = 4096  # enough of them for a Hessian to walk by
_MOST = 2000  # numbers, up to which there is one
# Of the gradient, where the Hessian is about one: the loss is off by its square.
_TOLERANCE = {"float64": 1e-7, "float32": 2e-6}


def fit_structured(
    logits: Array,
    codes: Array,
    weight: Array | None = None,
    *,
    matrix: bool,
    regularization: float = 1.0,
    n_threads: int = 1,
) -> tuple[float, float, Array, Array]:
    """Fit softmax((I + diag v + M)·x + b) after a temperature and Laplace mixing.

    Minimises the mean log loss plus ``C/n (‖b‖² + ‖v‖²) + C(C − 1)/n ‖M‖²``, M without its
    diagonal, times `regularization`; M is zero unless `matrix`. The temperature has a pull of one
    row towards 1, so that separable rows have an optimum. Returns what a `LogitMap` is made of.
    """
    beta, _ = fit_beta(logits, codes, weight, regularization=1.0, n_threads=n_threads)
    mixing = laplace(len(codes))
    limits = require("threadpoolctl", "sklearn").threadpool_limits
    data = _Data.of(LogitMap(beta, mixing).tempered(_floating(logits), n_threads), codes, weight)
    shape = (_Matrix if matrix else _Vector)(data.x.shape[1], regularization / len(codes))
    with limits(1, "blas"):  # the blocks have the CPUs, and small products wait for no threads
        return beta, mixing, *_minimise(data, shape, n_threads)


def _floating(logits: Array) -> Array:
    return logits if logits.dtype in (np.float32, np.float64) else logits.astype(np.float64)


class _Data(NamedTuple):
    x: Array
    codes: Array
    share: Array  # of the mean, by row

    @classmethod
    def of(cls, x: Array, codes: Array, weight: Array | None) -> _Data:
        share = np.full(len(codes), 1 / len(codes)) if weight is None else weight / weight.sum()
        return cls(x, codes.astype(np.int64, copy=False), share)

    def some(self) -> _Data:
        """Rows enough for a Hessian."""
        part = np.s_[:: max(1, len(self.codes) // _ROWS)]
        share = self.share[part]
        return _Data(self.x[part], self.codes[part], share / (share.sum() or 1.0))


class _Vector:
    """v and b, in one vector, as their deviations from the identity."""

    def __init__(self, classes: int, unit: float) -> None:
        self.classes = classes
        self.penalty = np.full(2 * classes, classes * unit)

    def unpack(self, theta: Array) -> tuple[Array, Array]:
        return 1 + theta[: self.classes], theta[self.classes :]

    def gradient(self, g: Array, x: Array) -> Array:
        """From the gradient g in the calibrated logits."""
        return np.concatenate([np.einsum("ij,ij->j", g, x), np.einsum("ij->j", g)])

    def hessian(self, p: Array, x: Array, share: Array) -> Array:
        px, by_share = p * x, share[:, None]
        both = np.hstack([px, p])
        hessian: Array = -(both * by_share).T @ both
        diagonals = [[share @ (px * x), share @ px], [share @ px, share @ p]]
        index = np.arange(self.classes)
        for i in range(2):
            for j in range(2):
                hessian[index + i * self.classes, index + j * self.classes] += diagonals[i][j]
        return hessian

    def curvature(self, p: Array, x: Array, share: Array) -> Array:
        rest = p * (1 - p)
        return np.concatenate([share @ (rest * x * x), share @ rest])


class _Matrix:
    """I + diag v + M, and b as its last column, row after row."""

    def __init__(self, classes: int, unit: float) -> None:
        self.classes = classes
        penalty = np.full((classes, classes + 1), classes * (classes - 1) * unit)
        index = np.arange(classes)
        penalty[index, index] = penalty[:, -1] = classes * unit
        self.penalty = penalty.ravel()

    def unpack(self, theta: Array) -> tuple[Array, Array]:
        table = theta.reshape(self.classes, -1)
        return np.eye(self.classes) + table[:, :-1], table[:, -1]

    def gradient(self, g: Array, x: Array) -> Array:
        slope: Array = np.column_stack([g.T @ x, np.einsum("ij->j", g)]).ravel()
        return slope

    def hessian(self, p: Array, x: Array, share: Array) -> Array:
        ones = np.column_stack([x, np.ones(len(x))])
        size = self.classes + 1
        flat = (p[:, :, None] * ones[:, None, :]).reshape(len(x), -1)
        hessian: Array = -(flat * share[:, None]).T @ flat
        for j in range(self.classes):
            block = slice(j * size, (j + 1) * size)
            hessian[block, block] += (ones * (share * p[:, j])[:, None]).T @ ones
        return hessian

    def curvature(self, p: Array, x: Array, share: Array) -> Array:
        ones = np.column_stack([x, np.ones(len(x))])
        weights = p * (1 - p) * share[:, None]
        curvature: Array = (weights.T @ (ones * ones)).ravel()
        return curvature


def _minimise(data: _Data, shape: _Vector | _Matrix, n_threads: int) -> tuple[Array, Array]:
    """By L-BFGS, in coordinates in which some rows' Hessian at the start is the identity."""
    optimize = require("scipy.optimize", "sklearn")
    to_theta, to_u = _coordinates(data.some(), shape)

    def objective(u: Array) -> tuple[float, Array]:
        theta = to_theta(u)
        loss, slope = _loss(data, shape, theta, n_threads)
        penalty = shape.penalty * theta
        return loss + float(penalty @ theta), to_u(slope + 2 * penalty)

    found = optimize.minimize(
        objective,
        np.zeros(len(shape.penalty)),
        jac=True,
        method="L-BFGS-B",
        options={
            "gtol": _TOLERANCE[data.x.dtype.name],
            "ftol": 1e-15,
            "maxcor": 20,
            "maxiter": 1000,
            "maxfun": 2000,
        },
    )
    return shape.unpack(to_theta(found.x))


def _coordinates(some: _Data, shape: _Vector | _Matrix) -> tuple[Any, Any]:
    """From the coordinates to the parameters, and from the slopes in these to those in the former.

    With the Hessian L·Lᵀ, θ = L⁻ᵀ·u.
    """
    x = some.x.astype(np.float64)
    p = np.exp(x)  # x are log-probabilities
    if len(shape.penalty) > _MOST:
        scale = 1 / np.sqrt(shape.curvature(p, x, some.share) + 2 * shape.penalty + 1e-12)
        return (lambda u: scale * u), (lambda slope: scale * slope)
    linalg = require("scipy.linalg", "sklearn")
    hessian = shape.hessian(p, x, some.share)
    ridge = 2 * shape.penalty + 1e-10 * hessian.diagonal().max()
    hessian[np.diag_indices_from(hessian)] += ridge
    lower = np.linalg.cholesky(hessian)
    return (
        lambda u: linalg.solve_triangular(lower, u, lower=True, trans="T"),
        lambda slope: linalg.solve_triangular(lower, slope, lower=True),
    )


def _loss(
    data: _Data, shape: _Vector | _Matrix, theta: Array, n_threads: int
) -> tuple[float, Array]:
    """Mean log loss and its gradient in the parameters."""
    weight, bias = (a.astype(data.x.dtype) for a in shape.unpack(theta))

    def work(part: slice) -> tuple[float, Array]:
        x, share = data.x[part], data.share[part]
        given = rows.Rows(affine(x, weight, bias), data.codes[part])
        found = rows.statistics(given)
        g = rows.gradient(given, found, rows.Slopes(share, share), out=given.logits)
        # no BLAS for a sum, whose threads would get in the way of these
        return -float((share * found.log_prob).sum()), shape.gradient(g, x)

    parts = over_blocks(work, data.x.shape, n_threads)
    return sum(loss for loss, _ in parts), np.sum([slope for _, slope in parts], axis=0)
