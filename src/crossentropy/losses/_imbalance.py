"""Remedies for class imbalance that are numbers per class: weights and logit offsets."""

from __future__ import annotations

from typing import Any

from crossentropy._arrays import Array, namespace

from ._check import at_least, between


def class_balanced_weights(counts: Array, beta: float = 0.9999) -> Array:
    """Weights by effective numbers of samples, (1 − β)/(1 − β^n_k), normalised to sum to C.

    Parameters
    ----------
    counts
        (C,) rows of each class, each at least 1.
    beta
        In [0, 1); 0 gives equal weights, β → 1 inverse frequencies. The default is the
        paper's largest.

    Returns
    -------
    array
        (C,) float64 weights, for `class_weight=` or torch's `weight=`.

    References
    ----------
    Cui, Jia, Lin, Song, Belongie: Class-balanced loss based on effective number of samples.
    CVPR 2019, arXiv 1901.05555.

    Examples
    --------
    >>> import numpy as np
    >>> class_balanced_weights(np.array([100, 10]), beta=0.9).round(2)
    array([0.79, 1.21])
    """
    counts, xp = _counts(counts)
    between(0, 1, beta=beta)
    if beta == 1:
        raise ValueError("beta must be below 1; for inverse frequencies come as near as .999999")
    # 1 − β^n = −expm1(n log β), accurate where β is near 1
    log_beta = xp.log(xp.asarray(beta, dtype=xp.float64)) if beta else None
    effective = xp.ones_like(counts) if log_beta is None else -xp.expm1(counts * log_beta)
    weights = 1 / effective
    return weights * (counts.shape[0] / xp.sum(weights))


def logit_adjustment(counts: Array, tau: float = 1.0) -> Array:
    """Offsets τ·log π_k that, added to the logits in training, make the model balanced.

    Parameters
    ----------
    counts
        (C,) rows of each class, each at least 1; π are their shares.
    tau
        τ ≥ 0; 0 changes nothing, the default 1 aims at balanced accuracy.

    Returns
    -------
    array
        (C,) float64 offsets, in nats, for torch's `logit_bias=`.

    References
    ----------
    Menon et al.: Long-tail learning via logit adjustment. ICLR 2021, arXiv 2007.07314.

    Examples
    --------
    >>> import numpy as np
    >>> logit_adjustment(np.array([1, 1]))
    array([-0.69314718, -0.69314718])
    """
    counts, xp = _counts(counts)
    at_least(0, tau=tau)
    return tau * (xp.log(counts) - xp.log(xp.sum(counts)))


def _counts(counts: Array) -> tuple[Array, Any]:
    xp = namespace(counts)
    counts = xp.astype(counts, xp.float64)
    if counts.ndim != 1 or counts.shape[0] == 0:
        raise ValueError(f"counts must have shape (C,), got {tuple(counts.shape)}")
    if not bool(xp.all((counts >= 1) & xp.isfinite(counts))):
        raise ValueError("counts must be at least 1 for every class; leave absent classes out")
    return counts, xp
