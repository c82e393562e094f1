"""Label noise by confident learning: how often each label is wrong, and in which rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias, get_args

import numpy as np

from crossentropy._errors import InputError

from ._examine import BIT, Examined, examine, lowest, ratio, slices
from ._interval import Interval, wilson

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from crossentropy._predictions import Array, Input

Ranking: TypeAlias = Literal["normalized_margin", "self_confidence", "noise_rate"]

_SLACK = 1e-6  # relative, so that a row whose probability is the mean itself counts as confident


class SuspiciousRows(NamedTuple):
    """Rows whose label is likely wrong, the most suspicious first.

    Attributes
    ----------
    row : ndarray of shape (k,)
        Row numbers.
    given : ndarray of shape (k,)
        Their labels.
    suggested : ndarray of shape (k,)
        The most probable other labels.
    p_given, p_suggested : ndarray of shape (k,)
        The probabilities of the two.
    """

    row: Array
    given: Array
    suggested: Array
    p_given: Array
    p_suggested: Array


class LabelNoise(NamedTuple):
    """How often labels are wrong, as far as out-of-sample probabilities can tell.

    Of each matrix the classes are in the order of the columns. A class that no row is labelled
    with is taken as clean, and as no row's true class.

    Attributes
    ----------
    thresholds : ndarray of shape (C,)
        Mean probability of each class over the rows labelled so; infinite where there are none.
    confident_joint : ndarray of shape (C, C)
        Weight of the rows labelled i that are confidently of class j.
    joint : ndarray of shape (C, C)
        The same scaled to the label counts, and to a sum of one: P(given i, true j).
    noise_matrix : ndarray of shape (C, C)
        Entry [j, i] is P(given i | true j); rows sum to one, as `ForwardCorrection` takes it.
    inverse_noise_matrix : ndarray of shape (C, C)
        Entry [i, j] is P(true j | given i); rows sum to one.
    prior : ndarray of shape (C,)
        P(true j).
    noise_rate : float
        Share of wrong labels, in [0, 1].
    interval : Interval
        Of the noise rate, from the number of confident rows alone: it does not cover that hard
        rows can look like wrong labels.
    confident_errors : int
        Rows that are confidently of another class than their label's.
    suspicious : SuspiciousRows
        The rows to look at.
    """

    thresholds: Array
    confident_joint: Array
    joint: Array
    noise_matrix: Array
    inverse_noise_matrix: Array
    prior: Array
    noise_rate: float
    interval: Interval
    confident_errors: int
    suspicious: SuspiciousRows


def label_noise(
    y_true: ArrayLike,
    logits_or_proba: ArrayLike,
    *,
    input: Input,
    out_of_sample: bool,
    rank: Ranking = "normalized_margin",
    n_rows: int | None = None,
    sample_weight: ArrayLike | None = None,
    labels: ArrayLike | None = None,
) -> LabelNoise:
    r"""Estimate which labels are wrong by confident learning.

    With :math:`t_k` the mean of :math:`p_{ik}` over the rows labelled k, a row is confidently of
    the class with the greatest :math:`p_{ij}` among those with :math:`p_{ij} \ge t_j`. Counts by
    given label and confident class, scaled to the label counts, are the joint distribution of
    given and true labels.

    The probabilities must be out of sample: from a model that was not fitted on the rows it
    predicts, such as by cross-validation. A model that has seen a wrong label repeats it.

    Parameters
    ----------
    y_true, logits_or_proba, input, sample_weight, labels
        As for `crossentropy.scores.log_loss`. Rows of weight zero are left out.
    out_of_sample : bool
        Whether the predictions are out of sample. There is no default, as nothing but the
        caller's word can tell.
    rank : {"normalized_margin", "self_confidence", "noise_rate"}, default "normalized_margin"
        What makes a row suspicious: a low :math:`p_{iy} - \max_{k \ne y} p_{ik}`, a low
        :math:`p_{iy}`, or first the rows that pruning by noise rate finds: for each pair as many
        rows labelled i as the joint expects to be of class j, by :math:`p_{ij} - p_{ii}`.
    n_rows : int, optional
        How many suspicious rows to list; by default `confident_errors`, or with
        ``rank="noise_rate"`` as many as that finds.

    Returns
    -------
    LabelNoise
        The estimate.

    Raises
    ------
    ValueError
        If `out_of_sample` is not true, or as for `crossentropy.scores.log_loss`.

    References
    ----------
    Northcutt, Jiang, Chuang, "Confident learning: estimating uncertainty in dataset labels",
    Journal of Artificial Intelligence Research 70, 2021, https://arxiv.org/abs/1911.00068.

    Examples
    --------
    >>> proba = [[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.2, 0.8], [0.3, 0.7], [0.9, 0.1]]
    >>> noise = label_noise([0, 0, 0, 1, 1, 1], proba, input="proba", out_of_sample=True)
    >>> noise.confident_joint
    array([[2., 1.],
           [1., 2.]])
    >>> noise.suspicious.row
    array([2, 5])
    """
    check_out_of_sample(out_of_sample)
    data = examine(y_true, logits_or_proba, input=input, labels=labels, sample_weight=sample_weight)
    return estimate_noise(data, rank, n_rows)


def check_out_of_sample(out_of_sample: bool) -> None:
    """Refuse predictions that cannot show a wrong label."""
    if not out_of_sample:
        raise InputError(
            "label noise cannot be told from in-sample predictions, for a model repeats the wrong "
            "labels it was fitted on; predict each row by a model that has not seen it, such as "
            "by cross-validation, and pass out_of_sample=True"
        )


def estimate_noise(
    data: Examined, rank: Ranking = "normalized_margin", n_rows: int | None = None
) -> LabelNoise:
    """`label_noise` after its checks."""
    if rank not in get_args(Ranking):
        raise InputError(f"rank must be one of {', '.join(get_args(Ranking))}, got {rank!r}")
    if n_rows is not None and n_rows < 0:
        raise InputError(f"n_rows must not be negative, got {n_rows}")
    thresholds = _thresholds(data)
    sure = _confident_class(data, thresholds)
    counted = sure >= 0
    confident = np.bincount(
        data.codes[counted] * data.classes + sure[counted],
        weights=data.weight[counted],
        minlength=data.classes**2,
    ).reshape(data.classes, data.classes)
    joint = _scaled(confident, data.counts)
    prior = joint.sum(axis=0)
    errors = int((counted & (sure != data.codes)).sum())
    suspicion, found = _suspicion(data, joint, rank, errors)
    rate = max(0.0, 1 - float(np.trace(joint)))
    return LabelNoise(
        thresholds,
        confident,
        joint,
        _rows_to_one(joint.T),
        _rows_to_one(joint),
        prior,
        rate,
        _interval(confident, data, counted),
        errors,
        _listed(data, lowest(suspicion, found if n_rows is None else n_rows)),
    )


def _listed(data: Examined, which: Array) -> SuspiciousRows:
    """What there is to say about some rows."""
    labels, p_given = data.labels, data.p_given
    return SuspiciousRows(
        data.row[which],
        labels[data.codes[which]],
        labels[data.other[which]],
        p_given[which],
        data.p_other[which],
    )


def relabelling_gain(data: Examined, noise: LabelNoise) -> Array:
    """Bits that each row's log loss falls by if suspicious rows get their suggested labels."""
    place = np.searchsorted(data.row, noise.suspicious.row)
    gain = np.zeros(len(data.codes))
    gain[place] = np.log(np.maximum(data.p_other[place], 1e-300)) - data.log_prob[place]
    return gain / BIT


def _thresholds(data: Examined) -> Array:
    """Mean probability of each class over the rows labelled so."""
    total = np.bincount(data.codes, weights=data.weight * data.p_given, minlength=data.classes)
    return ratio(total, data.counts, empty=np.inf)


def _confident_class(data: Examined, thresholds: Array) -> Array:
    """The most probable class among those above their thresholds, −1 where there are none.

    The most probable class of all is known already; only where it is below its own threshold
    need the row be read again.
    """
    least = thresholds * (1 - _SLACK)
    top = data.top
    highest = np.maximum(data.p_given, data.p_other)
    sure = np.where(highest >= least[top], top, -1)
    unsure = np.flatnonzero(sure < 0)
    # a row below the lowest threshold is below all
    unsure = unsure[highest[unsure] >= least.min()]
    for which in slices(len(unsure), data.classes):
        part = unsure[which]
        proba = data.proba(part)
        above = np.where(proba >= least, proba, -1.0)
        best = above.argmax(axis=1)
        sure[part] = np.where(above[np.arange(len(part)), best] >= 0, best, -1)
    return sure


def _scaled(confident: Array, counts: Array) -> Array:
    """The confident joint with the label counts as its rows' sums, over their total.

    Of a class without confident rows nothing speaks against its labels.
    """
    filled = confident.copy()
    empty = confident.sum(axis=1) == 0
    filled[empty, empty] = counts[empty]
    joint: Array = filled * ratio(counts, filled.sum(axis=1), empty=0.0)[:, None] / counts.sum()
    return joint


def _rows_to_one(matrix: Array) -> Array:
    """Conditional probabilities by row; a row without mass keeps its class."""
    total = matrix.sum(axis=1, keepdims=True)
    return np.where(total > 0, ratio(matrix, total, empty=0.0), np.eye(len(matrix)))


def _interval(confident: Array, data: Examined, counted: Array) -> Interval:
    """Wilson's interval with as many rows as give the stratified estimate's variance."""
    per_class = confident.sum(axis=1)
    wrong = 1 - ratio(np.diag(confident), per_class, empty=1.0)
    share = data.counts / data.counts.sum()
    rate = float(share @ wrong)
    rows = np.bincount(
        data.codes[counted], weights=data.weight[counted] ** 2, minlength=data.classes
    )
    # of each class Kish's effective number of confident rows, (Σw)² / Σw²
    effective = ratio(per_class**2, rows, empty=1.0)
    variance = float((share**2 * wrong * (1 - wrong) / effective).sum())
    if variance == 0:
        return wilson(rate, float(effective[per_class > 0].sum()))
    return wilson(rate, rate * (1 - rate) / variance)


def _suspicion(data: Examined, joint: Array, rank: Ranking, errors: int) -> tuple[Array, int]:
    """A number for each row, the lower the more suspicious, and how many rows to list."""
    if rank == "self_confidence":
        return data.p_given, errors
    margin = data.p_given - data.p_other
    if rank == "normalized_margin":
        return margin, errors
    flagged = _pruned_by_noise_rate(data, joint)
    # margins lie in [-1, 1], so what was found comes first
    return margin - 2 * flagged, int(flagged.sum())


def _pruned_by_noise_rate(data: Examined, joint: Array) -> Array:
    """For each pair the expected number of rows with the greatest p_j − p_i."""
    flagged = np.zeros(len(data.codes), dtype=bool)
    by_class = np.argsort(data.codes, kind="stable")
    ends = np.cumsum(np.bincount(data.codes, minlength=data.classes))
    inverse = _rows_to_one(joint)
    for code, members in enumerate(np.split(by_class, ends[:-1])):
        expected = np.rint(inverse[code] * len(members)).astype(np.int64)
        expected[code] = 0
        columns = np.flatnonzero(expected)
        if not columns.size:
            continue
        margin = data.proba(members)[:, columns] - data.p_given[members, None]
        order = np.argsort(-margin, axis=0, kind="stable")
        for k, number in enumerate(expected[columns]):
            flagged[members[order[:number, k]]] = True
    return flagged
