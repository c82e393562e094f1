"""Pairs of classes that are taken for each other, and the bits this costs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from crossentropy._errors import InputError

from ._examine import BIT, Examined, examine
from ._interval import Bootstrap, Interval

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from crossentropy._predictions import Array, Input

_CANDIDATES = 4  # times as many pairs are priced as are asked for


class ConfusedPair(NamedTuple):
    """Two classes that are taken for each other.

    Attributes
    ----------
    first, second : object
        Their labels.
    columns : tuple of int
        Their columns.
    bits : float
        What the log loss would fall by if both were one class, in bits per row of all.
    interval : Interval
        Of the bits; a bootstrap.
    first_as_second, second_as_first : float
        Weight of the rows labelled one whose top label is the other.
    rows : float
        Weight of the rows labelled either.
    """

    first: Any
    second: Any
    columns: tuple[int, int]
    bits: float
    interval: Interval
    first_as_second: float
    second_as_first: float
    rows: float


def confused_pairs(
    y_true: ArrayLike,
    logits_or_proba: ArrayLike,
    *,
    input: Input,
    n_pairs: int = 10,
    sample_weight: ArrayLike | None = None,
    labels: ArrayLike | None = None,
    seed: int = 0,
) -> list[ConfusedPair]:
    r"""Pairs of classes by the bits that telling them apart costs, the dearest first.

    Of classes a and b that is the mean over all rows of
    :math:`\log_2 \frac{p_a + p_b}{p_y}` where the label y is one of them, else 0: what the log
    loss falls by if they become one class.

    Parameters
    ----------
    y_true, logits_or_proba, input, sample_weight, labels
        As for `crossentropy.scores.log_loss`. Rows of weight zero are left out; probabilities of
        exactly zero count as float32's smallest normal number.
    n_pairs : int, default 10
        At most so many pairs. Candidates are the pairs of a label and its strongest rival that
        cost most in the rows where they are so.
    seed : int, default 0
        Of the bootstrap.

    Returns
    -------
    list of ConfusedPair
        The pairs.

    Raises
    ------
    ValueError
        As for `crossentropy.scores.log_loss`.

    Examples
    --------
    >>> proba = [[0.5, 0.5, 0.0], [0.25, 0.75, 0.0], [0.0, 0.0, 1.0]]
    >>> pair = confused_pairs(["cat", "dog", "eel"], proba, input="proba")[0]
    >>> str(pair.first), str(pair.second), round(pair.bits, 3)
    ('cat', 'dog', 0.472)
    """
    if n_pairs < 0:
        raise InputError(f"n_pairs must not be negative, got {n_pairs}")
    data = examine(y_true, logits_or_proba, input=input, labels=labels, sample_weight=sample_weight)
    return examine_pairs(data, Bootstrap(len(data.codes), seed), n_pairs)


def examine_pairs(data: Examined, bootstrap: Bootstrap, n_pairs: int = 10) -> list[ConfusedPair]:
    """`confused_pairs` after its checks."""
    top = data.top
    priced = [_price(data, pair) for pair in _candidates(data, _CANDIDATES * n_pairs)]
    priced.sort(key=lambda item: -item[0])
    return [
        _described(data, pair, bits, top, bootstrap) for bits, pair in priced[:n_pairs] if bits > 0
    ]


def _candidates(data: Examined, number: int) -> list[tuple[int, int]]:
    """Pairs by what a label's strongest rival costs: a lower bound of the pair's bits."""
    first, second = np.minimum(data.codes, data.other), np.maximum(data.codes, data.other)
    pairs, pair_of = np.unique(first * data.classes + second, return_inverse=True)
    log_other = data.log_proba_of(np.arange(len(data.other)), data.other)
    cost = data.weight * np.logaddexp(0, log_other - data.log_prob)
    total = np.bincount(pair_of, weights=cost)
    best = pairs[np.argsort(-total, kind="stable")[:number]]
    return [divmod(int(pair), data.classes) for pair in best]


def _costs(data: Examined, pair: tuple[int, int]) -> tuple[Array, Array]:
    """The rows of either label, and the bits that the pair costs in each."""
    a, b = pair
    members = np.flatnonzero((data.codes == a) | (data.codes == b))
    rival = np.where(data.codes[members] == a, b, a)
    log_rival = data.log_proba_of(members, rival)
    return members, np.logaddexp(0, log_rival - data.log_prob[members]) / BIT


def _price(data: Examined, pair: tuple[int, int]) -> tuple[float, tuple[int, int]]:
    members, bits = _costs(data, pair)
    return float(data.weight[members] @ bits / data.weight.sum()), pair


def _described(
    data: Examined, pair: tuple[int, int], bits: float, top: Array, bootstrap: Bootstrap
) -> ConfusedPair:
    a, b = pair
    members, costs = _costs(data, pair)
    everywhere = np.zeros(len(data.codes))
    everywhere[members] = costs
    weight, codes, top = data.weight[members], data.codes[members], top[members]
    return ConfusedPair(
        data.labels[a],
        data.labels[b],
        pair,
        bits,
        bootstrap.interval(everywhere, data.weight),
        float(weight[(codes == a) & (top == b)].sum()),
        float(weight[(codes == b) & (top == a)].sum()),
        float(weight.sum()),
    )
