"""Cross entropy with labels: the mean over examples that classifiers are trained on."""

from __future__ import annotations

import math
from typing import Any, Literal, TypeAlias

from crossentropy._arrays import Array, device_of, is_floating
from crossentropy._arrays import clip as bounded
from crossentropy._errors import InputError

from ._arguments import (
    Input,
    as_arrays,
    check_axes,
    check_inputs,
    constant,
    is_number,
    joined,
    nats_per_unit,
    quiet,
    reject_entry,
)
from ._binary import BinaryLogs, check_probabilities
from ._distribution import Distribution
from ._rows import Options, check_weights, measure

Reduction: TypeAlias = Literal["mean", "sum", "none"]


def binary_cross_entropy(
    y: Array,
    p: Array,
    *,
    base: float = 2,
    clip: float | None = None,
    weights: Array | None = None,
    input: Input = "proba",
    reduction: Reduction = "mean",
    validate: bool = True,
) -> Array:
    r"""Binary cross entropy :math:`-y \log_b p - (1 - y) \log_b (1 - p)`, mean over examples.

    Parameters
    ----------
    y : array
        What happened: 0 or 1, or a probability in between (a soft label).
    p : array
        What was predicted, the probability of 1; shapes are broadcast.
    base : float, default 2
        Base of the logarithm: 2 gives bits, ``math.e`` nats.
    clip : float, optional
        A floor: neither p nor 1 − p counts as less. By default there is none, and a label that
        was given probability zero costs infinity. A floor hides that; logits do not need one.
    weights : array, optional
        Weights of the examples.
    input : {"proba", "log_proba", "logits"}, default "proba"
        What `p` holds: probabilities, their natural logarithms, or logits log(p/(1 − p)).
    reduction : {"mean", "sum", "none"}, default "mean"
        The (weighted) mean, the sum, or every example's loss.
    validate : bool, default True
        Whether to check that `y` and probabilities lie in [0, 1].

    Returns
    -------
    array
        In the library, on the device and of the dtype given.

    Raises
    ------
    InputError
        If shapes do not fit, or something lies outside [0, 1]; a ``ValueError``.

    References
    ----------
    I. J. Good, "Rational decisions", Journal of the Royal Statistical Society B 14, 1952.

    Examples
    --------
    >>> import numpy as np
    >>> y, p = np.array([1, 0]), np.array([0.5, 0.75])
    >>> float(binary_cross_entropy(y, p))
    1.5
    >>> float(binary_cross_entropy(1, 0.0)), float(binary_cross_entropy(1, 0.0, clip=0.125))
    (inf, 3.0)
    """
    unit = nats_per_unit(base)
    (kind,) = check_inputs(input, 1)
    floor = _floor(clip)
    xp, (labels, values, *rest), dtype, _ = as_arrays(y, p, *_some(weights))
    with quiet(values):
        if validate:
            rule = "y must hold 0, 1 or probabilities in between"
            reject_entry(~((labels >= 0) & (labels <= 1)), labels, rule)
            check_probabilities(values, kind)
        logs = BinaryLogs(xp, values, kind)
        other = 1 - labels
        log_yes, log_no = (
            log if floor is None else bounded(log, min=floor)
            for log in (logs.log_yes(labels), logs.log_no(other))
        )
        loss = -(labels * log_yes + other * log_no) / unit + 0.0
        return _reduced(xp, loss, rest, reduction, dtype, validate)


def categorical_cross_entropy(
    y: Array,
    p: Array,
    *,
    axis: int = -1,
    base: float = 2,
    clip: float | None = None,
    weights: Array | None = None,
    input: Input = "proba",
    reduction: Reduction = "mean",
    validate: bool = True,
) -> Array:
    r"""Cross entropy with labels :math:`-\sum_k y_{ik} \log_b p_{ik}`, mean over examples.

    For class numbers that is :math:`-\log_b p_{i,y_i}`, the negative log-likelihood.

    Parameters
    ----------
    y : array
        What happened: class numbers, in the shape of `p` without `axis`; or, in the shape of
        `p`, one-hot rows or distributions.
    p : array
        What was predicted: distributions along `axis`.
    axis : int, default -1
        The axis of the classes.
    base : float, default 2
        Base of the logarithm: 2 gives bits, ``math.e`` nats.
    clip : float, optional
        A floor: no probability counts as less. By default there is none, and a label that was
        given probability zero costs infinity. A floor hides that; logits do not need one.
    weights : array, optional
        Weights of the examples, in the shape of `p` without `axis`.
    input : {"proba", "log_proba", "logits"}, default "proba"
        What `p` holds; log-probabilities are natural logarithms.
    reduction : {"mean", "sum", "none"}, default "mean"
        The (weighted) mean, the sum, or every example's loss.
    validate : bool, default True
        Whether to check labels and distributions.

    Returns
    -------
    array
        In the library, on the device and of the dtype of `p`.

    Raises
    ------
    InputError
        If shapes do not fit, a label is no class, or a row is no distribution.

    See Also
    --------
    crossentropy.scores.log_loss : labels of any type, and float64 results.

    References
    ----------
    I. J. Good, "Rational decisions", Journal of the Royal Statistical Society B 14, 1952.

    Examples
    --------
    >>> import numpy as np
    >>> p = np.array([[0.5, 0.25, 0.25], [0.0, 1.0, 0.0]])
    >>> float(categorical_cross_entropy([1, 1], p))
    1.0
    >>> categorical_cross_entropy([[0, 1, 0], [1, 0, 0]], p, reduction="none")
    array([ 2., inf])
    """
    (kind,) = check_inputs(input, 1)
    floor = _floor(clip)
    xp, (values, *rest), dtype, _ = as_arrays(p, *_some(weights))
    (along,) = check_axes(axis, len(values.shape))
    target = _distributions(xp, y, values, along, validate)

    def formula(y: Distribution, p: Distribution) -> Array:
        log_p = p.log_where(y)
        return -xp.sum(y.proba * (log_p if floor is None else bounded(log_p, min=floor)), axis=-1)

    options = Options(("proba", kind), along, base, False, False, validate)
    given = xp.astype(values, dtype, copy=False)
    loss = measure(formula, target, given, names=("y", "p"), options=options)
    return _reduced(xp, loss, rest, reduction, dtype, validate)


def _distributions(xp: Any, y: Any, p: Array, axis: int, validate: bool) -> Array:
    """Labels as one-hot rows, in the shape of the predictions; distributions as they are."""
    y = joined(y, p)
    if y.shape == p.shape:
        return y
    if y.shape != p.shape[:axis] + p.shape[axis + 1 :] or is_floating(y):
        raise InputError(
            f"y must hold whole class numbers in the shape of p without its axis {axis}, or "
            f"distributions in that of p, {tuple(p.shape)}; got {y.dtype} of {tuple(y.shape)}"
        )
    classes = p.shape[axis]
    if validate:
        rule = f"class numbers must be from 0 to {classes - 1}"
        reject_entry(~((y >= 0) & (y < classes)), y, rule)
    shape = [1] * p.ndim
    shape[axis] = classes
    number = xp.reshape(xp.arange(classes, device=device_of(p)), tuple(shape))
    return xp.astype(number == xp.expand_dims(y, axis=axis), p.dtype)


def _some(weights: Array | None) -> tuple[Array, ...]:
    return () if weights is None else (weights,)


def _floor(clip: float | None) -> float | None:
    """Logarithm of the least probability that counts."""
    if clip is None:
        return None
    if not (is_number(clip) and 0 < clip < 1):
        raise InputError(
            f"clip must be None or a small positive number, such as 1e-7, got {clip!r}"
        )
    return math.log(clip)


def _reduced(
    xp: Any, loss: Array, rest: list[Array], reduction: Reduction, dtype: Any, validate: bool
) -> Array:
    """Mean, sum or single losses, weighted if there are weights."""
    if reduction not in ("mean", "sum", "none"):
        raise InputError(f'reduction must be "mean", "sum" or "none", got {reduction!r}')
    total: Any = math.prod(loss.shape)
    if rest:
        (weight,) = rest
        if weight.shape != loss.shape:
            raise InputError(
                f"weights must have the examples' shape {tuple(loss.shape)}, "
                f"got {tuple(weight.shape)}"
            )
        if validate:
            check_weights(weight)
        with quiet(loss):  # a weight of zero silences even an infinite loss
            loss = xp.where(weight == 0, constant(0.0, loss), weight * loss)
        total = xp.sum(weight)
    if reduction != "none":
        loss = xp.sum(loss)
    if reduction == "mean":
        if not rest and total == 0:
            raise InputError("there are no examples to take the mean of")
        loss = loss / total
    return xp.astype(loss, dtype, copy=False)
