"""Entropy of what was only sampled: estimates from counts, and what they make of the unseen.

The plug-in estimate is too low, by about (K − 1)/2N nats for K outcomes and N samples, since a
sample shows less variety than there is. The others correct that.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from crossentropy._errors import InputError, closest
from crossentropy._optional import require

from ._arguments import nats_per_unit

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Counts: TypeAlias = NDArray[np.float64]

Estimator: TypeAlias = Literal["plugin", "miller_madow", "grassberger", "chao_shen"]


def entropy_from_samples(
    samples: ArrayLike, *, estimator: Estimator = "plugin", base: float = 2
) -> float:
    r"""Entropy of the distribution that samples were drawn from.

    Parameters
    ----------
    samples : array-like of shape (n_samples,)
        Outcomes of any type that can be sorted: numbers, strings.
    estimator, base
        As for `entropy_from_counts`.

    Returns
    -------
    float
        The estimate, in bits by default.

    Raises
    ------
    InputError
        If there are no samples, or NaN among them.

    Examples
    --------
    >>> entropy_from_samples(["heads", "tails", "heads", "tails"])
    1.0
    """
    values = np.asarray(samples)
    if values.ndim != 1:
        raise InputError(f"samples must have shape (n_samples,), got {values.shape}")
    if values.dtype.kind == "f" and np.isnan(values).any():
        raise InputError(f"samples[{int(np.isnan(values).argmax())}] is NaN, which is no outcome")
    counts = np.unique(values, return_counts=True)[1]
    return entropy_from_counts(counts, estimator=estimator, base=base)


def entropy_from_counts(
    counts: ArrayLike, *, estimator: Estimator = "plugin", base: float = 2
) -> float:
    r"""Entropy of a distribution of which n_i of N samples showed outcome i.

    Parameters
    ----------
    counts : array-like of shape (n_outcomes,)
        How often each outcome was seen: whole numbers, of which some may be 0.
    estimator : {"plugin", "miller_madow", "grassberger", "chao_shen"}, default "plugin"
        ``"plugin"`` is the entropy of the relative frequencies, the maximum likelihood.
        ``"miller_madow"`` adds (K − 1)/2N nats for K outcomes seen.
        ``"grassberger"`` is :math:`\log N - \frac1N \sum_i n_i G(n_i)`,
        :math:`G(n) = \psi(\lfloor n/2 \rfloor + \frac12) + \log 2`; it needs scipy.
        ``"chao_shen"`` reckons with outcomes that were not seen, from those seen once.
    base : float, default 2
        Base of the logarithm: 2 gives bits, ``math.e`` nats.

    Returns
    -------
    float
        The estimate, in bits by default.

    Raises
    ------
    InputError
        If counts are no whole numbers, or all 0; a ``ValueError``.

    References
    ----------
    G. A. Miller, "Note on the bias of information estimates", 1955; P. Grassberger, "Entropy
    estimates from insufficient samplings", arXiv:physics/0307138, 2003; A. Chao, T.-J. Shen,
    "Nonparametric estimation of Shannon's index of diversity when there are unseen species in
    sample", Environmental and Ecological Statistics 10, 2003.

    Examples
    --------
    >>> counts = [4, 2, 1, 1]
    >>> [round(entropy_from_counts(counts, estimator=e), 3) for e in ("plugin", "miller_madow")]
    [1.75, 2.021]
    >>> [round(entropy_from_counts(counts, estimator=e), 3) for e in ("grassberger", "chao_shen")]
    [2.188, 2.277]
    """
    unit = nats_per_unit(base)
    if estimator not in _ESTIMATORS:
        raise InputError(f"no estimator is named {estimator!r}: {closest(estimator, _ESTIMATORS)}")
    given = np.asarray(counts)
    if given.ndim != 1 or given.dtype.kind not in "iuf":
        raise InputError(
            f"counts must be numbers of shape (n_outcomes,), got {given.dtype} of {given.shape}"
        )
    bad = ~((given >= 0) & (given == np.floor(given)) & np.isfinite(given))
    if bad.any():
        at = int(bad.argmax())
        raise InputError(f"counts must be whole numbers, at least 0; counts[{at}] is {given[at]}")
    seen = given[given > 0].astype(np.float64)
    if seen.size == 0:
        raise InputError("there are no samples to estimate from")
    return float(_ESTIMATORS[estimator](seen) / unit) + 0.0


# ---- in nats, from counts above 0 ---------------------------------------------------------------


def _plugin(n: Counts) -> Any:
    share = n / n.sum()
    return -(share * np.log(share)).sum()


def _miller_madow(n: Counts) -> Any:
    return _plugin(n) + (n.size - 1) / (2 * n.sum())


def _grassberger(n: Counts) -> Any:
    digamma = require("scipy.special", "sklearn").digamma
    total = n.sum()
    return math.log(total) - (n * (digamma(np.floor(n / 2) + 0.5) + math.log(2))).sum() / total


def _chao_shen(n: Counts) -> Any:
    total = n.sum()
    singletons = (n == 1).sum()
    if singletons == total:  # nothing was seen twice: the coverage would be 0
        singletons -= 1
    coverage = 1 - singletons / total
    share = coverage * n / total
    # Horvitz and Thompson: each outcome seen stands for those that were as likely to be missed.
    with np.errstate(divide="ignore"):
        caught = -np.expm1(total * np.log1p(-share))
    return -(share * np.log(share) / caught).sum()


_ESTIMATORS: dict[str, Callable[[Counts], Any]] = {
    "plugin": _plugin,
    "miller_madow": _miller_madow,
    "grassberger": _grassberger,
    "chao_shen": _chao_shen,
}
