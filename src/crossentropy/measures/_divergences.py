"""Two distributions: what coding one as if it were the other costs, and how much too much."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from crossentropy._arrays import Array
from crossentropy._errors import InputError

from ._arguments import Axis, Input, constant, least_normal
from ._distribution import Distribution
from ._rows import Options, measure

_CLOSE = 1e-2  # nats, below which the plain sum of a divergence has lost two digits
_NEAR = 0.1  # |p − q| / (p + q) up to which the series is better
_SERIES = (15, 13, 11, 9, 7, 5, 3)  # (atanh v − v) / v³ = 1/3 + v²/5 + v⁴/7 + …


def cross_entropy(
    p: Array,
    q: Array,
    *,
    axis: Axis = -1,
    base: float = 2,
    keepdims: bool = False,
    weights: Array | None = None,
    input: Input | tuple[Input, Input] = "proba",
    normalize: bool = False,
    validate: bool = True,
) -> Array:
    r"""Cross entropy :math:`H(P, Q) = -\sum_i p_i \log_b q_i`.

    What outcomes drawn from P cost on average in a code, or under a model, made for Q. It is
    least where Q = P, and not symmetric.

    Parameters
    ----------
    p, q : array
        Distributions along `axis`; shapes are broadcast.
    axis : int or tuple of int, default -1
        The axis of the outcomes.
    base : float, default 2
        Base of the logarithm: 2 gives bits, ``math.e`` nats.
    keepdims : bool, default False
        Whether to keep `axis`, of length 1.
    weights : array, optional
        Weights of the outcomes, by which the terms of the sum are multiplied: one for each, or
        an array of the distributions' shape.
    input : {"proba", "log_proba", "logits"} or a pair of them, default "proba"
        What `p` and `q` hold. Log-probabilities are natural logarithms; from them and from
        logits nothing underflows.
    normalize : bool, default False
        Whether to divide distributions by their sums.
    validate : bool, default True
        Whether to check that distributions are nonnegative and sum to one (within 1e-6 in
        float64, 3.5e-4 in float32, 2e-2 in 16 bits). The check reads the values, so it waits
        for a GPU and cannot run under ``jax.jit``. ``torch.compile(fullgraph=True)`` also wants
        ``crossentropy.torch`` imported, or one call before: it cannot follow an import.

    Returns
    -------
    array
        One number for each row, in the library, on the device and of the dtype given. 0·log 0
        is 0; a positive probability where q is 0 costs infinity.

    Raises
    ------
    InputError
        If shapes do not fit, or a row is no distribution; a ``ValueError``.

    See Also
    --------
    categorical_cross_entropy : the mean over labelled examples.

    References
    ----------
    T. M. Cover, J. A. Thomas, "Elements of Information Theory", 2nd edition, 2006, section 5.4.

    Examples
    --------
    >>> import numpy as np
    >>> p, q = np.array([0.5, 0.25, 0.25]), np.array([0.25, 0.25, 0.5])
    >>> float(cross_entropy(p, q)), float(cross_entropy(p, p))
    (1.75, 1.5)
    >>> cross_entropy(p, np.zeros((2, 3)), input=("proba", "logits")).round(3)
    array([1.585, 1.585])
    """
    options = Options(input, axis, base, keepdims, normalize, validate)
    return measure(cross, p, q, options=options, weights=weights)


def kl_divergence(
    p: Array,
    q: Array,
    *,
    axis: Axis = -1,
    base: float = 2,
    keepdims: bool = False,
    weights: Array | None = None,
    input: Input | tuple[Input, Input] = "proba",
    normalize: bool = False,
    validate: bool = True,
) -> Array:
    r"""Kullback-Leibler divergence :math:`D(P \| Q) = \sum_i p_i \log_b (p_i / q_i)`.

    The part of the cross entropy that a better Q would save: H(P, Q) − H(P). It is never
    negative, 0 only where Q = P, and not symmetric.

    Computed as the sum of :math:`p \log(p / q) - p + q`, in which no term is negative. For
    distributions that is the same number, and where P and Q are nearly equal it is the one that
    keeps its digits. Derivatives are those of this form; they differ from those of the plain
    sum by a constant, which moves nothing on the simplex and vanishes in logits. With weights
    it is the plain weighted sum.

    Parameters
    ----------
    p, q, axis, base, keepdims, weights, input, normalize, validate
        As for `cross_entropy`.

    Returns
    -------
    array
        One number for each row; infinite where q is 0 and p is not.

    Raises
    ------
    InputError
        As for `cross_entropy`.

    References
    ----------
    S. Kullback, R. A. Leibler, "On information and sufficiency", Annals of Mathematical
    Statistics 22, 1951.

    Examples
    --------
    >>> kl_divergence([0.5, 0.25, 0.25], [0.25, 0.25, 0.5]).item()
    0.25
    >>> float(kl_divergence([0.5, 0.5], [1.0, 0.0]))
    inf
    """
    options = Options(input, axis, base, keepdims, normalize, validate)
    return measure(relative, p, q, options=options, weights=weights)


def js_divergence(
    p: Array,
    q: Array,
    *,
    axis: Axis = -1,
    base: float = 2,
    keepdims: bool = False,
    weights: tuple[float, float] | None = None,
    input: Input | tuple[Input, Input] = "proba",
    normalize: bool = False,
    validate: bool = True,
) -> Array:
    r"""Jensen-Shannon divergence :math:`\pi_1 D(P \| M) + \pi_2 D(Q \| M)`, M = π₁P + π₂Q.

    Symmetric for equal weights, always finite, and at most one bit. Its square root is a metric
    (and what scipy's ``jensenshannon`` returns).

    Parameters
    ----------
    p, q, axis, base, keepdims, input, normalize, validate
        As for `cross_entropy`.
    weights : pair of float, optional
        The weights π of the two distributions in the mixture, which sum to one; by default a
        half each.

    Returns
    -------
    array
        One number for each row.

    Raises
    ------
    InputError
        As for `cross_entropy`, or if the weights do not sum to one.

    References
    ----------
    J. Lin, "Divergence measures based on the Shannon entropy", IEEE Transactions on Information
    Theory 37, 1991.

    Examples
    --------
    >>> js_divergence([1.0, 0.0], [0.0, 1.0]).item()
    1.0
    """
    shares = (0.5, 0.5) if weights is None else tuple(float(share) for share in weights)
    if len(shares) != 2 or min(shares) < 0 or not math.isclose(sum(shares), 1):
        raise InputError(f"weights must be two shares that sum to one, got {weights!r}")

    def formula(p: Distribution, q: Distribution) -> Array:
        mixture = shares[0] * p.proba + shares[1] * q.proba
        return sum(
            share * p.xp.sum(_terms(p.xp, part.proba, mixture), axis=-1)
            for share, part in zip(shares, (p, q), strict=True)
        )

    options = Options(input, axis, base, keepdims, normalize, validate)
    return measure(formula, p, q, options=options)


# ---- in nats, along the last axis ---------------------------------------------------------------


def cross(p: Distribution, q: Distribution, weight: Array | None = None) -> Array:
    """−Σ p log q."""
    return -_weighted_sum(p.xp, p.proba * q.log_where(p), weight)


def relative(p: Distribution, q: Distribution, weight: Array | None = None) -> Array:
    """Σ p log(p/q), by terms that are not negative."""
    xp = p.xp
    if weight is not None:
        return _weighted_sum(xp, p.proba * (p.log_where(p) - q.log_where(p)), weight)
    if not isinstance(p.given, np.ndarray):
        return xp.sum(_terms_of(p, q), axis=-1)
    value = _plain(p, q)
    # What rounding may have spoilt, and where p/q is too large for the type, is done with care.
    again = ~(np.abs(value) >= _CLOSE) | np.isinf(value)
    if again.ndim == 0:
        return np.sum(_terms_of(p, q), axis=-1) if again else value
    if again.any():
        value[again] = np.sum(_terms_of(p[again], q[again]), axis=-1)
    return value


def _plain(p: Distribution, q: Distribution) -> Array:
    """The same by one logarithm of a quotient, which the sums correct to first order."""
    if p.logarithmic or q.logarithmic:
        log_ratio = p.log_where(p) - q.log_where(p)
    elif p.positive:
        log_ratio = np.log(p.proba / q.proba)
    elif q.positive:  # what is too small to change a p makes 0·log 0 of one that is 0
        log_ratio = np.log((p.proba + least_normal(p.proba)) / q.proba)
    else:
        log_ratio = np.log(np.where(p.present, p.proba / q.proba, 1))
    return np.sum(p.proba * log_ratio, axis=-1) + (q.total - p.total)


def _terms_of(p: Distribution, q: Distribution) -> Array:
    log_ratio = p.log_where(p) - q.log_where(p)
    # From logarithms the distance is known better than from their exponentials.
    v = p.xp.tanh(log_ratio / 2) if p.logarithmic and q.logarithmic else None
    return divergence_terms(p.xp, p.proba, q.proba, log_ratio, v)


def _terms(xp: Any, p: Array, q: Array) -> Array:
    """Terms of probabilities, of which q is not 0 where p is not."""
    one = constant(1.0, p)
    present = p != 0
    log_ratio = xp.log(xp.where(present, p, one)) - xp.log(xp.where(present, q, one))
    return divergence_terms(xp, p, q, log_ratio)


def divergence_terms(
    xp: Any, p: Array, q: Array, log_ratio: Array, v: Array | None = None
) -> Array:
    """P log(p/q) − p + q without cancellation.

    With v = (p − q)/(p + q), log(p/q) = 2 atanh v, so the term is (p − q)v + 2p(atanh v − v): near
    v = 0 the first part has all digits, and a series gives the second (Loader's deviance).
    """
    both = p + q
    if v is None:
        v = (p - q) / xp.where(both == 0, constant(1.0, both), both)
    near = xp.abs(v) < _NEAR
    v = xp.where(near, v, constant(0.0, v))
    square = v * v
    series = square * 0.0
    for odd in _SERIES:
        series = series * square + 1 / odd
    close = both * square + 2 * p * v * square * series
    return xp.where(near, close, p * log_ratio - (p - q))


def _weighted_sum(xp: Any, terms: Array, weight: Array | None) -> Array:
    if weight is not None:
        terms = xp.where(weight == 0, constant(0.0, terms), weight * terms)
    return xp.sum(terms, axis=-1)
