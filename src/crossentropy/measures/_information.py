"""One distribution: how surprising its outcomes are, one by one and on average."""

from __future__ import annotations

import math
from typing import Any

from crossentropy._arrays import Array, clip
from crossentropy._errors import InputError

from ._arguments import (
    Axis,
    Input,
    as_arrays,
    check_axes,
    check_inputs,
    constant,
    is_number,
    nats_per_unit,
    quiet,
    reject_entry,
)
from ._binary import BinaryLogs, check_probabilities
from ._distribution import Distribution
from ._divergences import cross
from ._rows import Options, measure
from ._stable import log_softmax, logsumexp


def information(
    p: Array,
    *,
    axis: int = -1,
    base: float = 2,
    input: Input = "proba",
    validate: bool = True,
) -> Array:
    r"""Information content :math:`-\log_b p`, or surprisal, of every outcome.

    Parameters
    ----------
    p : array
        Probabilities of any shape; they need not sum to one.
    axis : int, default -1
        The axis along which logits become probabilities; of no use to other input.
    base : float, default 2
        Base of the logarithm: 2 gives bits, ``math.e`` nats.
    input : {"proba", "log_proba", "logits"}, default "proba"
        What `p` holds; log-probabilities are natural logarithms.
    validate : bool, default True
        Whether to check that probabilities lie in [0, 1].

    Returns
    -------
    array
        In the shape, library and dtype of `p`; infinite for the impossible.

    Raises
    ------
    InputError
        If a probability lies outside [0, 1]; a ``ValueError``.

    References
    ----------
    C. E. Shannon, "A mathematical theory of communication", Bell System Technical Journal 27,
    1948.

    Examples
    --------
    >>> information([1.0, 0.5, 0.125, 0.0])
    array([ 0.,  1.,  3., inf])
    """
    unit = nats_per_unit(base)
    (kind,) = check_inputs(input, 1)
    xp, (values,), dtype, _ = as_arrays(p)
    with quiet(values):
        if kind == "logits":
            (along,) = check_axes(axis, values.ndim)
            log_proba = log_softmax(values, axis=along)
            if validate:
                reject_entry(log_proba != log_proba, values, "logits must be below infinity")
        else:
            if validate:
                check_probabilities(values, kind)
            log_proba = xp.log(values) if kind == "proba" else values
        return xp.astype(-log_proba / unit + 0.0, dtype, copy=False)


def entropy(
    p: Array,
    *,
    axis: Axis = -1,
    base: float = 2,
    keepdims: bool = False,
    weights: Array | None = None,
    input: Input = "proba",
    normalize: bool = False,
    validate: bool = True,
) -> Array:
    r"""Shannon entropy :math:`H(P) = -\sum_i p_i \log_b p_i`.

    The mean information of an outcome: 0 for a certain one, and greatest, :math:`\log_b n`,
    where all n are equally likely. Over several axes it is the joint entropy.

    Parameters
    ----------
    p : array
        Distributions along `axis`.
    axis, base, keepdims, weights, normalize, validate
        As for `cross_entropy`. With `weights` it is Guiasu's weighted entropy.
    input : {"proba", "log_proba", "logits"}, default "proba"
        What `p` holds; log-probabilities are natural logarithms.

    Returns
    -------
    array
        One number for each row, in the library, on the device and of the dtype of `p`. Where a
        probability is 0 the derivative is infinite; automatic differentiation gives the large
        one at the smallest normal number.

    Raises
    ------
    InputError
        If a row is no distribution; a ``ValueError``.

    See Also
    --------
    entropy_from_samples : estimates where the distribution is not known.

    References
    ----------
    C. E. Shannon, "A mathematical theory of communication", Bell System Technical Journal 27,
    1948; S. Guiasu, "Weighted entropy", Reports on Mathematical Physics 2, 1971.

    Examples
    --------
    >>> entropy([[0.25, 0.25, 0.25, 0.25], [0.5, 0.5, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0]])
    array([2., 1., 0.])
    >>> entropy([3, 1, 0, 0], normalize=True).round(3).item()
    0.811
    """
    options = Options(input, axis, base, keepdims, normalize, validate)
    return measure(_entropy, p, options=options, weights=weights)


def binary_entropy(
    p: Array, *, base: float = 2, input: Input = "proba", validate: bool = True
) -> Array:
    r"""Entropy of a yes or no, :math:`-p \log_b p - (1 - p) \log_b (1 - p)`.

    Parameters
    ----------
    p : array
        Probabilities of yes, of any shape.
    base : float, default 2
        Base of the logarithm: 2 gives bits, ``math.e`` nats.
    input : {"proba", "log_proba", "logits"}, default "proba"
        What `p` holds: probabilities, their natural logarithms, or logits log(p/(1 − p)).
    validate : bool, default True
        Whether to check that probabilities lie in [0, 1].

    Returns
    -------
    array
        In the shape, library and dtype of `p`.

    Raises
    ------
    InputError
        If a probability lies outside [0, 1]; a ``ValueError``.

    Examples
    --------
    >>> binary_entropy([0.0, 0.11, 0.5]).round(3)
    array([0. , 0.5, 1. ])
    """
    unit = nats_per_unit(base)
    (kind,) = check_inputs(input, 1)
    xp, (values,), dtype, _ = as_arrays(p)
    with quiet(values):
        if validate:
            check_probabilities(values, kind)
        logs = BinaryLogs(xp, values, kind)
        yes, no = logs.shares()
        nats = -(yes * logs.log_yes(yes) + no * logs.log_no(no))
        return xp.astype(nats / unit + 0.0, dtype, copy=False)


def renyi_entropy(
    p: Array,
    order: float,
    *,
    axis: Axis = -1,
    base: float = 2,
    keepdims: bool = False,
    input: Input = "proba",
    normalize: bool = False,
    validate: bool = True,
) -> Array:
    r"""Rényi entropy :math:`\frac{1}{1 - \alpha} \log_b \sum_i p_i^\alpha`.

    Order 0 counts the possible outcomes (Hartley entropy), 1 is Shannon's entropy, 2 the
    collision entropy, infinity the min-entropy :math:`-\log_b \max p`. Never greater for a
    greater order.

    Parameters
    ----------
    p : array
        Distributions along `axis`.
    order : float
        The order α, at least 0; infinity is allowed. Near 1 nothing cancels.
    axis, base, keepdims, input, normalize, validate
        As for `entropy`.

    Returns
    -------
    array
        One number for each row.

    Raises
    ------
    InputError
        As for `entropy`, or for a negative order.

    References
    ----------
    A. Rényi, "On measures of entropy and information", Fourth Berkeley Symposium, 1961.

    Examples
    --------
    >>> p = [0.5, 0.25, 0.25]
    >>> [renyi_entropy(p, order).round(3).item() for order in (0, 1, 2, float("inf"))]
    [1.585, 1.5, 1.415, 1.0]
    """
    _check_order(order)

    def formula(p: Distribution) -> Array:
        if order == 1:
            return _entropy(p)
        xp = p.xp
        if order == 0:
            return xp.log(_support(p))
        if order == math.inf:
            return -xp.max(p.log_where(p), axis=-1)
        excess = _excess(p, order)
        half = constant(-0.5, excess)
        # Far below 1 the sum Σ pᵅ is what is small, and not its distance from 1.
        log_sum = xp.where(
            excess < half,
            logsumexp(order * _log(p)),
            xp.log1p(xp.where(excess < half, half, excess)),
        )
        return log_sum / (1 - order)

    options = Options(input, axis, base, keepdims, normalize, validate)
    return measure(formula, p, options=options)


def tsallis_entropy(
    p: Array,
    order: float,
    *,
    axis: Axis = -1,
    keepdims: bool = False,
    input: Input = "proba",
    normalize: bool = False,
    validate: bool = True,
) -> Array:
    r"""Tsallis entropy :math:`\frac{1}{q - 1} \left(1 - \sum_i p_i^q\right)`.

    Order 0 counts the possible outcomes less one, 1 is Shannon's entropy in nats, 2 the Gini
    impurity, infinity gives 0. It holds no logarithm, so it has no base.

    Parameters
    ----------
    p : array
        Distributions along `axis`.
    order : float
        The order q, at least 0; infinity is allowed. Near 1 nothing cancels.
    axis, keepdims, input, normalize, validate
        As for `entropy`.

    Returns
    -------
    array
        One number for each row.

    Raises
    ------
    InputError
        As for `entropy`, or for a negative order.

    References
    ----------
    C. Tsallis, "Possible generalization of Boltzmann-Gibbs statistics", Journal of Statistical
    Physics 52, 1988.

    Examples
    --------
    >>> tsallis_entropy([0.5, 0.25, 0.25], 2).item()
    0.625
    """
    _check_order(order)

    def formula(p: Distribution) -> Array:
        if order == 1:
            return _entropy(p)
        if order == 0:
            return _support(p) - 1
        if order == math.inf:
            return 0.0 * p.total
        return _excess(p, order) / (1 - order)

    options = Options(input, axis, math.e, keepdims, normalize, validate)
    return measure(formula, p, options=options)


# ---- in nats, along the last axis ---------------------------------------------------------------


def _entropy(p: Distribution, weight: Array | None = None) -> Array:
    return cross(p, p, weight)


def _check_order(order: float) -> None:
    if not (is_number(order) and order >= 0):
        raise InputError(f"order must be at least 0, got {order!r}")


def _support(p: Distribution) -> Array:
    """How many outcomes are possible; a small logarithm is possible even where its p is 0."""
    possible = p.given != -math.inf if p.logarithmic else p.given != 0
    return p.xp.sum(p.xp.astype(possible, p.given.dtype), axis=-1)


def _excess(p: Distribution, order: float) -> Array:
    """Σ p^α − 1 as a sum over p^α − p, whose terms all have one sign."""
    xp: Any = p.xp
    log_p = _log(p)
    exponent = (order - 1) * log_p
    bounded = clip(exponent, min=-1.0, max=1.0)
    near = p.proba * xp.expm1(bounded)
    power = xp.exp(order * log_p)
    if not p.logarithmic:
        power = xp.where(p.present, power, constant(0.0, power))
    terms = xp.where(exponent == bounded, near, power - p.proba)
    return xp.sum(terms, axis=-1)


def _log(p: Distribution) -> Array:
    """Log-probabilities; of what is 0 in the type as they are known, or large and finite."""
    return p.log if p.logarithmic else p.log_where(p)
