"""What of a loss calibration would win back, and what only a better model would."""

from __future__ import annotations

import copy
import functools
import math
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias, get_args

import numpy as np

from crossentropy._errors import InputError, closest
from crossentropy._fit import fit_beta, stratified_folds
from crossentropy._optional import require
from crossentropy._predictions import Input, Predictions, check_predictions, softmax

from ._bins import check_level
from ._rows import check_logits, mean, nats, picked, weighted
from ._skill import Score, check_score, entropy_of, row_losses, uncertainty

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from crossentropy._predictions import Array

Method: TypeAlias = Literal["temperature", "corp"]
Interval: TypeAlias = "tuple[float, float]"

_GROUPS = 2000  # rows are drawn in no more groups than these, so that a draw costs no more
_PULL = 1.0  # of a temperature towards 1, in rows: keeps it finite on separable rows


class Decomposition(NamedTuple):
    """Parts of a mean loss: ``score = calibration + refinement``, in the loss's unit.

    Attributes
    ----------
    score
        The loss itself.
    calibration
        What recalibration wins back (MCB); cross-fitted it may be slightly negative.
    refinement
        What is left after recalibration, and only a better model would win.
    uncertainty
        The loss of the base rates (UNC).
    resolution
        ``uncertainty - refinement``, what the model knows about the labels (DSC); for log loss
        an estimate of their mutual information.
    intervals
        Confidence interval of each, by name.
    """

    score: float
    calibration: float
    refinement: float
    uncertainty: float
    resolution: float
    intervals: dict[str, Interval]


def decompose(
    y_true: ArrayLike,
    logits_or_proba: ArrayLike,
    *,
    input: Input,
    score: Score = "log_loss",
    method: Method | Any = "temperature",
    folds: int = 5,
    base: float = math.e,
    floor: float | None = None,
    sample_weight: ArrayLike | None = None,
    labels: ArrayLike | None = None,
    level: float = 0.95,
    draws: int = 1000,
    seed: int = 0,
) -> Decomposition:
    r"""Decompose a proper score into calibration and refinement.

    :math:`\mathbb E\,\ell(S,Y) = \underbrace{\mathbb E\,d(S, C)}_\text{calibration}
    + \underbrace{\mathbb E\,H(C)}_\text{refinement}`, C the chances of the labels given the
    prediction S. Refinement is estimated by the loss after recalibration that is fitted on the
    other folds, so that it is not too small; it is an upper bound as far as the recalibration
    misses C.

    Parameters
    ----------
    y_true, logits_or_proba, input, sample_weight, labels
        As for `log_loss`, with hard labels.
    score : {"log_loss", "brier_score"}, default "log_loss"
        Which loss.
    method : {"temperature", "corp"} or calibrator, default "temperature"
        How to recalibrate: by one temperature; or, for two classes, by isotonic regression of
        the label on the second column's probability on the same rows, which makes the parts those
        of CORP (needs scikit-learn); or by an object that has ``fit(logits, y, sample_weight)``,
        ``predict_proba`` and ``classes_`` like scikit-learn's classifiers, copied for each fold.
    folds : int, default 5
        Number of stratified folds; not used by "corp".
    base : float, default e
        Unit of the log loss: e gives nats, 2 gives bits.
    floor : float, optional
        Smaller probabilities are raised to it before anything else, and rows sum to one again.
        None by default: where a label was given probability zero no temperature helps, and there
        is an error.
    level : float, default 0.95
        Of the intervals.
    draws : int, default 1000
        Bootstrap samples. They are paired: all parts come from the same rows. Above 2000 rows,
        random groups of rows are drawn in place of rows. The recalibration is not fitted anew.
    seed : int, default 0
        Of folds and draws.

    Returns
    -------
    Decomposition
        The parts and their intervals.

    Raises
    ------
    ValueError
        As for `log_loss`, if a label was given probability zero and there is no `floor`, or if
        there are fewer rows than folds.

    References
    ----------
    J. Bröcker, "Reliability, sufficiency, and the decomposition of proper scores", QJRMS 135, 2009;
    E. Berta, D. Holzmüller, M. I. Jordan, F. Bach, "Rethinking early stopping: refine, then
    calibrate", 2025, https://arxiv.org/abs/2501.19195; T. Dimitriadis, T. Gneiting, A. I. Jordan,
    "Stable reliability diagrams for probabilistic classifiers", PNAS 118, 2021 (CORP).

    Examples
    --------
    >>> import numpy as np
    >>> y = np.tile([0, 0, 0, 1], 50)
    >>> parts = decompose(y, np.tile([[9.0, 0.0]], (200, 1)), input="logits", base=2)
    >>> round(parts.score, 2), round(parts.refinement, 2), round(parts.uncertainty, 2)
    (3.25, 0.81, 0.81)
    """
    check_score(score)
    check_level(level)
    unit = nats(base) if score == "log_loss" else 1.0
    data = check_predictions(
        y_true, logits_or_proba, input=input, labels=labels, sample_weight=sample_weight
    )
    data = data._replace(values=_log_scores(data.values, input, floor))
    _reject_impossible(data)
    if data.weight is not None and not data.weight.all():
        data = _of_rows(data, np.flatnonzero(data.weight))
    before = row_losses(data, "logits", score)
    recalibrated = _recalibrated(data, method, folds, seed)
    after = row_losses(data._replace(values=recalibrated), "proba", score)
    before, after = before / unit, after / unit
    loss, refined = mean(before, data.weight), mean(after, data.weight)
    base_rates = uncertainty(data, score) / unit
    parts = (loss, loss - refined, refined, base_rates, base_rates - refined)
    ordered = _draws(data, before, after, score, unit, draws, seed)
    edges = np.quantile(ordered, [(1 - level) / 2, (1 + level) / 2], axis=1)
    names = Decomposition._fields
    intervals = {
        name: (float(low), float(high)) for name, (low, high) in zip(names, edges.T, strict=False)
    }
    return Decomposition(*parts, intervals)


def _reject_impossible(data: Predictions) -> None:
    impossible = np.isneginf(picked(data.values, data.codes))
    if data.weight is not None:
        impossible &= data.weight > 0
    if impossible.any():
        raise InputError(
            f"row {int(impossible.argmax())} gives its own label probability zero, which no "
            "recalibration mends; pass floor= to raise small probabilities to a least one"
        )


def _of_rows(data: Predictions, kept: Array) -> Predictions:
    weight = None if data.weight is None else data.weight[kept]
    return Predictions(data.codes[kept], data.values[kept], weight, data.labels)


def _log_scores(values: Array, input: Input, floor: float | None) -> Array:
    """Predictions as logits, float64: for probabilities their logarithms."""
    if input == "logits":
        check_logits(values)
        if floor is None:
            return values
    proba = softmax(values) if input == "logits" else values.astype(np.float64)
    if floor is not None:
        if not 0 < floor < 1:
            raise InputError(f"floor must be a probability between 0 and 1, got {floor}")
        proba = np.maximum(proba, floor)
    with np.errstate(divide="ignore"):
        logs: Array = np.log(proba)
    return logs


def _recalibrated(data: Predictions, method: Any, folds: int, seed: int) -> Array:
    """Probabilities for every row."""
    if method == "corp":
        return _isotonic(data)
    if isinstance(method, str) and method != "temperature":
        raise InputError(f"method={method!r}: {closest(method, get_args(Method))}")
    recalibrate = _temperature if isinstance(method, str) else functools.partial(_other, method)
    proba = np.empty(data.values.shape)
    fold = stratified_folds(data.codes, folds, seed)
    for each in range(folds):
        train, test = np.flatnonzero(fold != each), np.flatnonzero(fold == each)
        proba[test] = recalibrate(_of_rows(data, train), data.values[test])
    return proba


def _temperature(train: Predictions, logits: Array) -> Array:
    beta, _ = fit_beta(train.values, train.codes, train.weight, regularization=_PULL)
    with np.errstate(invalid="ignore"):  # 0 · −inf: impossible at every temperature
        return softmax(np.where(np.isneginf(logits), logits, beta * logits))


def _other(calibrator: Any, train: Predictions, logits: Array) -> Array:
    """Probabilities in the columns of the labels; a label that training lacked gets none."""
    fitted = copy.deepcopy(calibrator)
    weights = {} if train.weight is None else {"sample_weight": train.weight}
    fitted.fit(train.values, train.codes, **weights)
    proba = np.zeros(logits.shape)
    proba[:, np.asarray(fitted.classes_)] = fitted.predict_proba(logits)
    return proba


def _isotonic(data: Predictions) -> Array:
    if data.values.shape[1] != 2:
        raise InputError(
            f'method="corp" is for two classes, got {data.values.shape[1]}; use "temperature"'
        )
    isotonic = require("sklearn.isotonic", "sklearn").IsotonicRegression(y_min=0, y_max=1)
    odds = data.values[:, 1] - data.values[:, 0]
    order = np.unique(odds, return_inverse=True)[1]  # all that counts, and always finite
    share = isotonic.fit_transform(order, data.codes, sample_weight=data.weight)
    return np.column_stack([1 - share, share])


def _draws(
    data: Predictions,
    before: Array,
    after: Array,
    score: str,
    unit: float,
    draws: int,
    seed: int,
) -> Array:
    """(5, draws): the parts in bootstrap samples of the same rows."""
    rng = np.random.default_rng(seed)
    count, classes = data.values.shape
    weight = np.ones(count) if data.weight is None else data.weight
    groups = min(count, _GROUPS)
    group = rng.permutation(count) % groups
    columns = [weight, weighted(before, weight), weighted(after, weight)]
    sums = np.column_stack([np.bincount(group, each, minlength=groups) for each in columns])
    pairs = np.bincount(group * classes + data.codes, weight, minlength=groups * classes)
    times = rng.multinomial(groups, np.full(groups, 1 / groups), draws).astype(np.float64)
    total, first, second = (times @ sums).T
    first, second = first / total, second / total
    rates = entropy_of(times @ pairs.reshape(groups, classes), score) / unit
    return np.stack([first, first - second, second, rates, rates - second])
