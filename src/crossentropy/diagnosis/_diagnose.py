"""The diagnosis of a model's predictions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crossentropy._errors import InputError

from ._code import Code
from ._confidence import examine_confidence
from ._confusion import examine_pairs
from ._costly import examine_costly
from ._examine import examine
from ._findings import Parts, findings
from ._imbalance import examine_imbalance
from ._interval import Bootstrap
from ._noise import check_out_of_sample, estimate_noise
from ._result import MEASURES, Diagnosis

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from crossentropy._predictions import Input


def diagnose(
    y_true: ArrayLike,
    logits_or_proba: ArrayLike,
    *,
    input: Input,
    out_of_sample: bool,
    target_prior: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    labels: ArrayLike | None = None,
    n_rows: int = 20,
    n_pairs: int = 10,
    seed: int = 0,
) -> Diagnosis:
    """Find out what is wrong with a model's probabilities, and what each remedy would win.

    Parameters
    ----------
    y_true, logits_or_proba, input, sample_weight, labels
        As for `crossentropy.scores.log_loss`. Rows of weight zero are left out; probabilities of
        exactly zero count as float32's smallest normal number, 126 bits.
    out_of_sample : bool
        Whether the predictions are of rows that the model was not fitted on. Where they are
        not, label noise is refused, and the other numbers are those of the training rows.
    target_prior : array-like of shape (C,), optional
        Class shares where the model is to be used, as for `imbalance`.
    n_rows, n_pairs : int, default 20 and 10
        How many costly rows and confused pairs to list.
    seed : int, default 0
        Of folds and bootstrap.

    Returns
    -------
    Diagnosis
        The findings, and the numbers behind them.

    Raises
    ------
    ValueError
        As for `crossentropy.scores.log_loss`, or if there are fewer than two rows or classes.

    Examples
    --------
    >>> import numpy as np
    >>> proba = np.tile([[0.99, 0.01], [0.01, 0.99]], (50, 1))  # 99 % sure, and right in 80 %
    >>> y = np.where(np.arange(100) % 10 < 8, np.arange(100) % 2, 1 - np.arange(100) % 2)
    >>> found = diagnose(y, proba, input="proba", out_of_sample=True)
    >>> [finding.kind for finding in found.findings if finding.measure == "won"]
    ['overconfidence']
    """
    data = examine(y_true, logits_or_proba, input=input, labels=labels, sample_weight=sample_weight)
    refused = []
    try:
        check_out_of_sample(out_of_sample)
    except InputError as error:
        refused.append(str(error))
    bootstrap = Bootstrap(len(data.codes), seed)
    parts = Parts(
        examine_confidence(data, bootstrap, seed),
        examine_imbalance(data, bootstrap, target_prior, seed),
        None if refused else estimate_noise(data),
        tuple(examine_pairs(data, bootstrap, n_pairs)),
        examine_costly(data, n_rows),
    )
    code = Code(input, named=labels is not None, weighted=sample_weight is not None)
    found = sorted(
        findings(data, parts, code, bootstrap),
        key=lambda finding: (MEASURES.index(finding.measure), -finding.bits),
    )
    return Diagnosis(
        data.average(data.bits),
        tuple(finding for finding in found if finding.sure),
        tuple(finding for finding in found if not finding.sure),
        tuple(refused),
        *parts,
        data.labels,
        len(data.codes),
    )
