"""What a diagnosis says: findings, and the numbers behind them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

if TYPE_CHECKING:
    from crossentropy._predictions import Array

    from ._confidence import Confidence
    from ._confusion import ConfusedPair
    from ._costly import CostlyRows
    from ._imbalance import Imbalance
    from ._interval import Interval
    from ._noise import LabelNoise

Kind: TypeAlias = Literal[
    "overconfidence",
    "underconfidence",
    "zero_probabilities",
    "class_bias",
    "class_imbalance",
    "label_noise",
    "confused_pair",
    "costly_rows",
]
Measure: TypeAlias = Literal["won", "at_most", "held"]
MEASURES: tuple[Measure, ...] = get_args(Measure)


@dataclass(frozen=True)
class Finding:
    """One thing that a diagnosis looked for.

    Attributes
    ----------
    kind : str
        Which: "overconfidence", "underconfidence", "zero_probabilities", "class_bias",
        "class_imbalance", "label_noise", "confused_pair" or "costly_rows".
    what : str
        What was found, in a sentence.
    bits : float
        Bits per row, of the meaning that `measure` says.
    interval : Interval
        95 % confidence interval of the bits.
    measure : {"won", "at_most", "held"}
        "won": what the remedy wins in log loss, by held-out rows or without anything fitted;
        "at_most": what it wins if each suggestion of it is right; "held": which part of the log
        loss these rows hold, of which the remedy wins back some.
    how_sure : str
        How far the finding can be trusted: what the interval covers, and what it does not.
    remedy : str
        What to do.
    code : str
        Python that does it, or its first step, for ``y_true`` and ``logits`` or ``proba`` and,
        where they were given, ``labels``.
    """

    kind: Kind
    what: str
    bits: float
    interval: Interval
    measure: Measure
    how_sure: str
    remedy: str
    code: str

    @property
    def sure(self) -> bool:
        """Whether the interval is above zero."""
        return self.interval.above_zero


@dataclass(frozen=True)
class Diagnosis:
    """What is wrong with a model's probabilities.

    Attributes
    ----------
    bits : float
        The log loss in bits per row, exact zeros floored.
    findings : tuple of Finding
        What the data are sure of: first what is "won", then "at_most", then "held"; each by
        bits, the most first.
    unconfirmed : tuple of Finding
        What was looked for and may be nothing: the interval reaches zero.
    refused : tuple of str
        What could not be looked for, and why.
    confidence, imbalance, noise, confused, costly
        The numbers behind the findings, as `confidence`, `imbalance`, `label_noise`,
        `confused_pairs` and `costly_rows` give them; `noise` is None where it was refused.
    labels : ndarray of shape (C,)
        The labels of the columns.
    n_rows : int
        Rows of positive weight.
    """

    bits: float
    findings: tuple[Finding, ...]
    unconfirmed: tuple[Finding, ...]
    refused: tuple[str, ...]
    confidence: Confidence
    imbalance: Imbalance
    noise: LabelNoise | None
    confused: tuple[ConfusedPair, ...]
    costly: CostlyRows
    labels: Array
    n_rows: int
