"""Two variables and their joint distribution: what one tells about the other."""

from __future__ import annotations

from crossentropy._arrays import Array
from crossentropy._errors import InputError

from ._arguments import Input, as_arrays, check_axes, constant
from ._distribution import Distribution
from ._divergences import divergence_terms
from ._rows import Options, measure
from ._stable import log_softmax


def mutual_information(
    joint: Array,
    *,
    axis: tuple[int, int] = (-2, -1),
    base: float = 2,
    keepdims: bool = False,
    input: Input = "proba",
    normalize: bool = False,
    validate: bool = True,
) -> Array:
    r"""Mutual information :math:`I(X; Y) = \sum_{x,y} p(x, y) \log_b \frac{p(x, y)}{p(x) p(y)}`.

    What knowing one variable saves in coding the other: H(Y) − H(Y|X). It is the divergence of
    the joint distribution from the product of its margins, computed as `kl_divergence` is, so it
    is never negative and keeps its digits where the variables are nearly independent.

    Parameters
    ----------
    joint : array
        Joint distributions p(x, y); a table of counts with ``normalize=True``.
    axis : pair of int, default (-2, -1)
        The axes of X and Y.
    base, keepdims, input, normalize, validate
        As for `entropy`; a joint distribution sums to one over both axes.

    Returns
    -------
    array
        One number for each joint distribution.

    Raises
    ------
    InputError
        As for `entropy`, or if `axis` is not a pair.

    References
    ----------
    T. M. Cover, J. A. Thomas, "Elements of Information Theory", 2nd edition, 2006, section 2.3.

    Examples
    --------
    >>> mutual_information([[0.5, 0.0], [0.0, 0.5]]).round(9).item()
    1.0
    >>> mutual_information([[30, 10], [10, 30]], normalize=True).round(3).item()
    0.189
    """
    shape = _pair(joint, axis)

    def formula(p: Distribution) -> Array:
        xp = p.xp
        table, log_table = (xp.reshape(a, (-1, *shape)) for a in (p.proba, p.log_where(p)))
        one = constant(1.0, table)
        x, y = (xp.sum(table, axis=along, keepdims=True) for along in (-1, -2))
        log_x, log_y = (xp.log(xp.where(margin == 0, one, margin)) for margin in (x, y))
        log_ratio = xp.where(table == 0, constant(0.0, table), log_table - log_x - log_y)
        terms = divergence_terms(xp, table, x * y, log_ratio)
        return xp.reshape(xp.sum(terms, axis=(-2, -1)), p.given.shape[:-1])

    options = Options(input, axis, base, keepdims, normalize, validate)
    return measure(formula, joint, options=options, names=("joint",))


def conditional_entropy(
    joint: Array,
    *,
    axis: tuple[int, int] = (-2, -1),
    base: float = 2,
    keepdims: bool = False,
    input: Input = "proba",
    normalize: bool = False,
    validate: bool = True,
) -> Array:
    r"""Conditional entropy :math:`H(Y | X) = -\sum_{x,y} p(x, y) \log_b p(y | x)`.

    What is left to learn of Y, the second of the two axes, once X, the first, is known.

    Parameters
    ----------
    joint : array
        Joint distributions p(x, y); a table of counts with ``normalize=True``.
    axis : pair of int, default (-2, -1)
        The axes of X and Y; (-1, -2) gives H(X|Y).
    base, keepdims, input, normalize, validate
        As for `mutual_information`.

    Returns
    -------
    array
        One number for each joint distribution.

    Raises
    ------
    InputError
        As for `mutual_information`.

    References
    ----------
    T. M. Cover, J. A. Thomas, "Elements of Information Theory", 2nd edition, 2006, section 2.2.

    Examples
    --------
    >>> joint = [[0.5, 0.0], [0.25, 0.25]]
    >>> conditional_entropy(joint).item()
    0.5
    >>> conditional_entropy(joint, axis=(-1, -2)).round(3).item()
    0.689
    """
    shape = _pair(joint, axis)

    def formula(p: Distribution) -> Array:
        xp = p.xp
        # The softmax of log p(x, y) over y is p(y | x), with its digits where y is nearly sure.
        log_given = log_softmax(xp.reshape(p.log_where(p), (-1, *shape)))
        terms = -xp.reshape(p.proba, (-1, *shape)) * log_given
        return xp.reshape(xp.sum(terms, axis=(-2, -1)), p.given.shape[:-1])

    options = Options(input, axis, base, keepdims, normalize, validate)
    return measure(formula, joint, options=options, names=("joint",))


def _pair(joint: Array, axis: tuple[int, int]) -> tuple[int, int]:
    """Lengths of the two axes."""
    shape = as_arrays(joint).values[0].shape
    if isinstance(axis, int) or len(axis) != 2:
        raise InputError(f"axis must be a pair of axes, those of X and Y, got {axis!r}")
    x, y = check_axes(axis, len(shape))
    return int(shape[x]), int(shape[y])
