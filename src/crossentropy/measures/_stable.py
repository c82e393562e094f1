"""Exponentials and their logarithms without overflow, cancellation or NaN in derivatives.

The logsumexp of a row is m + log1p(S): m is its greatest entry, S the sum of exp(z − m) over the
others. So the logarithm of a probability close to one keeps all its digits, where lse − z has
none left: for the logits 40 and 0 it is −4.2e-18, not 0.
"""

from __future__ import annotations

from typing import Any

from crossentropy._arrays import Array, device_of, namespace

from ._arguments import as_floating, constant, quiet


def logsumexp(z: Array, *, axis: int = -1, keepdims: bool = False) -> Array:
    r"""Logarithm of a sum of exponentials, :math:`\log \sum_j e^{z_j}`.

    Parameters
    ----------
    z : array
        Any numbers; minus infinity stands for nothing.
    axis : int, default -1
        What is summed over.
    keepdims : bool, default False
        Whether to keep that axis, of length 1.

    Returns
    -------
    array
        In the library, on the device and of the dtype of `z`; minus infinity where all of a row
        is.

    References
    ----------
    P. Blanchard, D. J. Higham, N. J. Higham, "Accurately computing the log-sum-exp and softmax
    functions", IMA Journal of Numerical Analysis 41, 2021.

    Examples
    --------
    >>> import numpy as np
    >>> logsumexp(np.array([[1000.0, 1000.0], [0.0, -np.inf]])).round(3)
    array([1000.693,    0.   ])
    """
    z, dtype = as_floating(z)
    xp = namespace(z)
    with quiet(z):
        top, greatest = _greatest(xp, z, axis)
        shift = xp.where(xp.isfinite(greatest), greatest, constant(0.0, greatest))
        total = greatest + _log_rest(xp, z - shift, top, axis)
    if not keepdims:
        total = xp.squeeze(total, axis=axis)
    return xp.astype(total, dtype, copy=False)


def log_softmax(z: Array, *, axis: int = -1) -> Array:
    r"""Logarithm of the softmax, :math:`z_j - \log \sum_k e^{z_k}`, to all digits.

    Parameters
    ----------
    z : array
        Logits; minus infinity is the logit of probability zero.
    axis : int, default -1
        The axis of the classes.

    Returns
    -------
    array
        Log-probabilities in nats, in the library, on the device and of the dtype of `z`. NaN
        where a row holds plus infinity, or nothing but minus infinity.

    Examples
    --------
    >>> import numpy as np
    >>> log_softmax(np.array([40.0, 0.0]))
    array([-4.24835426e-18, -4.00000000e+01])
    """
    z, dtype = as_floating(z)
    xp = namespace(z)
    with quiet(z):
        top, greatest = _greatest(xp, z, axis)
        below = z - greatest
        return xp.astype(below - _log_rest(xp, below, top, axis), dtype, copy=False)


def softmax(z: Array, *, axis: int = -1) -> Array:
    r"""Probabilities of logits, :math:`e^{z_j} / \sum_k e^{z_k}`.

    Parameters
    ----------
    z : array
        Logits; minus infinity is the logit of probability zero.
    axis : int, default -1
        The axis of the classes.

    Returns
    -------
    array
        Probabilities, in the library, on the device and of the dtype of `z`.

    Examples
    --------
    >>> import numpy as np
    >>> softmax(np.array([1000.0, 1000.0, -np.inf]))
    array([0.5, 0.5, 0. ])
    """
    z, dtype = as_floating(z)
    xp = namespace(z)
    with quiet(z):
        odds = xp.exp(z - xp.max(z, axis=axis, keepdims=True))
        return xp.astype(odds / xp.sum(odds, axis=axis, keepdims=True), dtype, copy=False)


def sigmoid(z: Array) -> Array:
    r"""Probability of a logit, :math:`1 / (1 + e^{-z})`.

    Parameters
    ----------
    z : array
        Logits.

    Returns
    -------
    array
        Probabilities, in the library, on the device and of the dtype of `z`.

    Examples
    --------
    >>> import numpy as np
    >>> sigmoid(np.array([-1000.0, 0.0, np.inf]))
    array([0. , 0.5, 1. ])
    """
    z, dtype = as_floating(z)
    xp = namespace(z)
    with quiet(z):
        odds = xp.exp(-_distance(xp, z))
        return xp.astype(xp.where(z >= 0, constant(1.0, z), odds) / (1 + odds), dtype, copy=False)


def log_sigmoid(z: Array) -> Array:
    r"""Logarithm of the sigmoid, :math:`-\log(1 + e^{-z})`.

    Parameters
    ----------
    z : array
        Logits; ``log_sigmoid(-z)`` is the logarithm of the other side's probability.

    Returns
    -------
    array
        Log-probabilities in nats, in the library, on the device and of the dtype of `z`.

    Examples
    --------
    >>> import numpy as np
    >>> log_sigmoid(np.array([-1000.0, 0.0, 40.0]))
    array([-1.00000000e+03, -6.93147181e-01, -4.24835426e-18])
    """
    z, dtype = as_floating(z)
    xp = namespace(z)
    with quiet(z):
        least = xp.where(z >= 0, constant(0.0, z), z)
        return xp.astype(least - xp.log1p(xp.exp(-_distance(xp, z))), dtype, copy=False)


def _distance(xp: Any, z: Array) -> Array:
    """|z|, whose derivative at 0 is 1 as that of the branch z ≥ 0."""
    return xp.where(z >= 0, z, -z)


def _greatest(xp: Any, z: Array, axis: int) -> tuple[Array, Array]:
    """Where the (first) greatest entry of every row is, and the entry, which derivatives reach."""
    axis = axis % z.ndim
    shape = [1] * z.ndim
    shape[axis] = z.shape[axis]
    index = xp.reshape(xp.arange(z.shape[axis], device=device_of(z)), tuple(shape))
    top = index == xp.argmax(z, axis=axis, keepdims=True)
    own = xp.where(top, z, constant(0.0, z))
    return top, xp.sum(own, axis=axis, keepdims=True)


def _log_rest(xp: Any, below: Array, top: Array, axis: int) -> Array:
    """log1p of the sum of exp(z − m) over all but the greatest."""
    rest = xp.where(top, constant(0.0, below), xp.exp(below))
    return xp.log1p(xp.sum(rest, axis=axis, keepdims=True))
