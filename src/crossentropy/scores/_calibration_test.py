"""Tests of perfect calibration that need no bins."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias, get_args

import numpy as np

from crossentropy._errors import InputError, closest
from crossentropy._predictions import Input, check_predictions

from ._bins import Bins, distinct
from ._reliability import events

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

Test: TypeAlias = Literal["ks", "kuiper", "spiegelhalter"]

_TERMS = 40  # of series whose terms fall like exp(-k²): never needed


class CalibrationTest(NamedTuple):
    """Outcome of a test of perfect calibration.

    Attributes
    ----------
    statistic : float
        KS and Kuiper: the greatest departure of the mean residual, in [0, 1]. Spiegelhalter: Z,
        positive where the predictions are too bold.
    p_value : float
        Probability of one as large from calibrated predictions.
    """

    statistic: float
    p_value: float


_NO_DOUBT = CalibrationTest(0.0, 1.0)


def calibration_test(
    y_true: ArrayLike,
    logits_or_proba: ArrayLike,
    *,
    input: Input,
    kind: Test = "ks",
    pos_label: Any = None,
    sample_weight: ArrayLike | None = None,
    labels: ArrayLike | None = None,
) -> CalibrationTest:
    r"""Test whether the predictions are calibrated, without bins.

    Rows are sorted by confidence p; with y whether the prediction happened,
    :math:`C(t) = \frac1W \sum_{p_i \le t} w_i (y_i - p_i)` is about a Brownian motion at the times
    :math:`\sum w_i^2 p_i(1-p_i)` if they are calibrated.

    - ``"ks"``, Kolmogorov-Smirnov: :math:`\max_t |C(t)|`;
    - ``"kuiper"``: :math:`\max_t C(t) - \min_t C(t)`, 0 among them, which also sees residuals that
      cancel;
    - ``"spiegelhalter"``: :math:`Z = \sum w(y-p)(1-2p) / \sqrt{\sum w^2 (1-2p)^2 p(1-p)}`,
      standard normal: whether the Brier score is what the predictions promise.

    Parameters
    ----------
    y_true, logits_or_proba, input, sample_weight, labels
        As for `log_loss`, with hard labels.
    kind : {"ks", "kuiper", "spiegelhalter"}, default "ks"
        Which test.
    pos_label : label, optional
        Test this label's probability in place of the top label's.

    Returns
    -------
    CalibrationTest
        The statistic and its p-value, two-sided, for many rows.

    Raises
    ------
    ValueError
        As for `log_loss`, or if there is no such test or label.

    References
    ----------
    I. Arrieta-Ibarra et al., "Metrics of calibration for probabilistic predictions", JMLR 23,
    2022 (ks, kuiper); W. Feller, "The asymptotic distribution of the range of sums of independent
    random variables", Annals of Mathematical Statistics 22, 1951; D. J. Spiegelhalter,
    "Probabilistic prediction in patient management and clinical trials", Statistics in Medicine
    5, 1986.

    Examples
    --------
    >>> proba = [[0.5, 0.5]] * 4
    >>> calibration_test([0, 1, 1, 0], proba, input="proba", kind="kuiper")
    CalibrationTest(statistic=0.0, p_value=1.0)
    """
    if kind not in get_args(Test):
        raise InputError(f"kind={kind!r}: {closest(kind, get_args(Test))}")
    data = check_predictions(
        y_true, logits_or_proba, input=input, labels=labels, sample_weight=sample_weight
    )
    return test_of(kind, distinct(*events(data, input, pos_label), data.weight))


def test_of(kind: str, cells: Bins) -> CalibrationTest:
    """A test from cells in ascending order: exact if each holds one confidence only."""
    if kind == "spiegelhalter":
        return _spiegelhalter(cells)
    total, variance = cells.weight.sum(), cells.variance.sum()
    path = np.concatenate([[0.0], (cells.correct - cells.confidence).cumsum()])
    kuiper = kind == "kuiper"
    departure = float(path.max() - path.min() if kuiper else np.abs(path).max())
    if departure <= 1e-12 * total:  # the rounding of sums that cancel
        return _NO_DOUBT
    statistic = departure / float(total)
    if variance == 0:  # what was sure did not happen
        return CalibrationTest(statistic, 0.0)
    scaled = departure / math.sqrt(variance)
    return CalibrationTest(statistic, (_range_tail if kuiper else _greatest_tail)(scaled))


test_of.__test__ = False  # type: ignore[attr-defined] # for pytest, which collects by name


def _spiegelhalter(cells: Bins) -> CalibrationTest:
    total = np.where(cells.weight > 0, cells.weight, 1.0)
    lean = 1 - 2 * cells.confidence / total
    excess = float(lean @ (cells.correct - cells.confidence))
    spread = math.sqrt(float(lean**2 @ cells.variance))
    if spread == 0:  # nothing left to chance
        return CalibrationTest(math.copysign(math.inf, excess), 0.0) if excess else _NO_DOUBT
    z = excess / spread
    return CalibrationTest(z, math.erfc(abs(z) / math.sqrt(2)))


def _greatest_tail(x: float) -> float:
    """P(max |B| > x) of a Brownian motion on [0, 1]."""
    if x < 1:  # the series in odd cosines, fast for small x
        terms = (
            (-1) ** k / (2 * k + 1) * math.exp(-(((2 * k + 1) * math.pi / x) ** 2) / 8)
            for k in range(_TERMS)
        )
        return 1 - 4 / math.pi * math.fsum(terms)
    # by reflections: twice P(|B| beyond an odd multiple of x), with alternating signs
    terms = ((-1) ** k * math.erfc((2 * k + 1) * x / math.sqrt(2)) for k in range(_TERMS))
    return min(1.0, 2 * math.fsum(terms))


def _range_tail(x: float) -> float:
    """P(max B - min B > x) of a Brownian motion on [0, 1], by Feller's series."""
    if x < 0.3:
        return 1.0  # less than 1e-20 away
    terms = ((-1) ** (k - 1) * k * math.erfc(k * x / math.sqrt(2)) for k in range(1, _TERMS))
    return min(1.0, 4 * math.fsum(terms))
