"""Class imbalance: how rare each class is, what it costs, and what other priors would win."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from crossentropy._errors import InputError
from crossentropy._predictions import LEAST_PROBABILITY

from ._examine import BIT, Examined, examine, ratio
from ._folds import folds_of
from ._interval import Bootstrap, Interval

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from crossentropy._predictions import Array, Input

_BETA = 0.9999  # of the effective numbers; the paper's largest


class Imbalance(NamedTuple):
    r"""What each class costs, and what correcting the prior would win.

    Arrays have one entry per column; NaN where no row has the class.

    Attributes
    ----------
    counts : ndarray of shape (C,)
        Rows of each class, or the sum of their weights.
    share : ndarray of shape (C,)
        The same over all rows.
    predicted_share : ndarray of shape (C,)
        Mean probability of the class over all rows; the share, where predictions are calibrated.
    effective_number : ndarray of shape (C,)
        :math:`(1 - \beta^{n_k}) / (1 - \beta)` rows, with beta .9999.
    bits : ndarray of shape (C,)
        Mean log loss of the rows of the class.
    recall : ndarray of shape (C,)
        Share of its rows that are predicted so.
    ratio : float
        The greatest share over the smallest that is not zero.
    target_prior : ndarray of shape (C,)
        The shares that the correction aims at.
    target_bits : float
        What dividing by `share` and multiplying by `target_prior` would win where classes come
        with these shares, in bits per row there.
    target_interval : Interval
        Of the target bits; a paired bootstrap.
    bias_bits : float
        What aligning `predicted_share` with `share` would win on rows like these, in bits per
        row; cross-fitted in five folds, so negative where there is nothing to win.
    bias_interval : Interval
        Of the bias bits; a paired bootstrap.
    """

    counts: Array
    share: Array
    predicted_share: Array
    effective_number: Array
    bits: Array
    recall: Array
    ratio: float
    target_prior: Array
    target_bits: float
    target_interval: Interval
    bias_bits: float
    bias_interval: Interval


def imbalance(
    y_true: ArrayLike,
    logits_or_proba: ArrayLike,
    *,
    input: Input,
    target_prior: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    labels: ArrayLike | None = None,
    seed: int = 0,
) -> Imbalance:
    r"""What class imbalance costs, in bits.

    Where classes come with shares :math:`\pi'` instead of these rows' :math:`\pi`, the right
    probabilities are :math:`p'_k \propto p_k \pi'_k / \pi_k`, and the rows count
    :math:`\pi'_y / \pi_y` times.

    Parameters
    ----------
    y_true, logits_or_proba, input, sample_weight, labels
        As for `crossentropy.scores.log_loss`. Rows of weight zero are left out; probabilities of
        exactly zero count as float32's smallest normal number.
    target_prior : array-like of shape (C,), optional
        Class shares where the model is to be used; by default equal ones, of the classes that
        there are rows of.
    seed : int, default 0
        Of folds and bootstrap.

    Returns
    -------
    Imbalance
        Numbers per class and two gains.

    Raises
    ------
    ValueError
        If the prior is no distribution over the classes that there are rows of, or as for
        `crossentropy.scores.log_loss`.

    References
    ----------
    Cui, Jia, Lin, Song, Belongie, "Class-balanced loss based on effective number of samples",
    CVPR 2019, https://arxiv.org/abs/1901.05555. Saerens, Latinne, Decaestecker, "Adjusting the
    outputs of a classifier to new a priori probabilities", Neural Computation 14, 2002.

    Examples
    --------
    >>> proba = [[0.75, 0.25]] * 4  # knows the prior, and nothing else
    >>> found = imbalance([0, 0, 0, 1], proba, input="proba")
    >>> found.bits.round(3), round(found.target_bits, 3)  # 1.208 in the mean, 1 at best
    (array([0.415, 2.   ]), 0.208)
    """
    data = examine(y_true, logits_or_proba, input=input, labels=labels, sample_weight=sample_weight)
    return examine_imbalance(data, Bootstrap(len(data.codes), seed), target_prior, seed)


def examine_imbalance(
    data: Examined,
    bootstrap: Bootstrap,
    target_prior: ArrayLike | None = None,
    seed: int = 0,
) -> Imbalance:
    """`imbalance` after its checks."""
    counts = data.counts
    share = counts / counts.sum()
    target = _target(target_prior, data)
    moved = ratio(target, share, empty=0.0)
    fold, folds = folds_of(data.codes, seed)
    predicted = _predicted_mass(data, fold, folds)
    bias = _biases(data, predicted, fold, folds)
    target_gain, bias_gain = _gains(data, moved, bias, fold)
    there = data.weight * moved[data.codes]
    return Imbalance(
        counts,
        share,
        predicted.sum(axis=0) / counts.sum(),
        -np.expm1(counts * np.log(_BETA)) / (1 - _BETA),
        _by_class(data, data.bits),
        _by_class(data, (data.top == data.codes).astype(float)),
        float(share.max() / share[share > 0].min()),
        target,
        float(there @ target_gain / there.sum()),
        bootstrap.interval(target_gain, there),
        data.average(bias_gain),
        bootstrap.interval(bias_gain, data.weight),
    )


def _target(prior: ArrayLike | None, data: Examined) -> Array:
    present = data.counts > 0
    if prior is None:
        even: Array = present / present.sum()
        return even
    target = np.asarray(prior, dtype=np.float64)
    if target.shape != present.shape:
        raise InputError(f"target_prior must have shape {present.shape}, got {target.shape}")
    if not (target >= 0).all() or abs(target.sum() - 1) > 1e-6:
        raise InputError("target_prior must be nonnegative and sum to one")
    unseen = (target > 0) & ~present
    if unseen.any():
        raise InputError(
            f"target_prior gives {str(data.labels[unseen.argmax()])!r} a share, but no row has "
            "this label; nothing can be said about it"
        )
    return target


def _by_class(data: Examined, values: Array) -> Array:
    total = np.bincount(data.codes, weights=data.weight * values, minlength=data.classes)
    return ratio(total, data.counts, empty=np.nan)


def _predicted_mass(data: Examined, fold: Array, folds: int) -> Array:
    """Sum of the weighted probabilities of each class in each fold, (folds, C)."""
    mass = np.zeros((folds, data.classes))
    for which, proba in data.blocks():
        weight = np.zeros((folds, len(proba)))
        weight[fold[which], np.arange(len(proba))] = data.weight[which]
        mass += weight @ proba
    return mass


def _biases(data: Examined, predicted: Array, fold: Array, folds: int) -> Array:
    """For each fold what the others' labels ask probabilities to be multiplied by, (folds, C).

    One row that is as it was predicted keeps factors finite.
    """
    cell = fold * data.classes + data.codes
    seen = np.bincount(cell, weights=data.weight, minlength=folds * data.classes)
    seen = seen.reshape(folds, data.classes)
    seen, claimed = seen.sum(axis=0) - seen, predicted.sum(axis=0) - predicted
    one = data.weight.mean() * ratio(claimed, claimed.sum(axis=1, keepdims=True), empty=0.0)
    # what is never predicted cannot be multiplied into being
    return np.where(claimed > LEAST_PROBABILITY, ratio(seen + one, claimed + one, empty=1.0), 1.0)


def _gains(data: Examined, moved: Array, bias: Array, fold: Array) -> tuple[Array, Array]:
    """Bits that the correction of the prior, and that of the bias, win in each row."""
    factors = np.vstack([moved, bias])
    mass = np.empty((2, len(fold)))
    for which, proba in data.blocks():
        products = factors @ proba.T
        mass[0, which] = products[0]
        mass[1, which] = products[1 + fold[which], np.arange(len(proba))]
    own = np.stack([moved[data.codes], bias[fold, data.codes]])
    # a label of probability zero keeps it; one without a share in the target has no say there
    counts = (own > 0) & (mass > 0) & ~data.zeros
    gain = np.log(np.where(counts, own, 1.0)) - np.log(np.where(counts, mass, 1.0))
    return gain[0] / BIT, gain[1] / BIT
