"""The examination of predictions: how good a model's probabilities are, and what is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crossentropy._optional import require

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from crossentropy._predictions import Input

    from ._result import Report

__all__ = ["report"]


def report(
    y_true: ArrayLike,
    logits_or_proba: ArrayLike,
    *,
    input: Input,
    labels: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    groups: ArrayLike | None = None,
    baseline: ArrayLike | None = None,
    in_sample: bool = False,
    max_rows: int = 200_000,
    seed: int = 0,
    name: str = "the predictions",
) -> Report:
    """Examine predictions: bits lost, what calibration would win, and what is wrong with them.

    How each number is computed, and why so, is written down in ``docs/report.md``.

    Parameters
    ----------
    y_true : array-like of shape (n_rows,)
        Labels of any type.
    logits_or_proba : array-like of shape (n_rows, n_classes)
        The predictions.
    input : {"logits", "proba"}
        What they are.
    labels : array-like of shape (n_classes,), optional
        The label of each column; by default the sorted distinct labels.
    sample_weight : array-like of shape (n_rows,), optional
        Nonnegative weights.
    groups : array-like of shape (n_rows,), optional
        What slice each row belongs to, for scores by slice; at most 100 distinct values.
    baseline : array-like of shape (n_rows, n_classes), optional
        Another model's predictions of the same rows, of the same kind, to compare with.
    in_sample : bool, default False
        Whether the model was fitted on these rows. Label noise is then refused, and the report
        says that its numbers are those of training rows.
    max_rows : int, default 200_000
        Rows to hold in memory. Of more, scores are of all rows and the rest of a sample; with
        many classes, of fewer rows.
    seed : int, default 0
        Of samples, folds and bootstraps.
    name : str
        What the report calls the predictions.

    Returns
    -------
    Report
        The results; ``to_dict()`` has every number, ``to_html()`` is the page.

    Raises
    ------
    ValueError
        If the arrays are no predictions with their labels.

    Examples
    --------
    >>> import crossentropy
    >>> proba = [[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.6, 0.4]] * 5
    >>> found = crossentropy.report([0, 0, 1, 1] * 5, proba, input="proba")
    >>> round(found.to_dict()["scores"]["log_loss"], 3)
    0.578
    """
    for module in ("sklearn", "scipy"):
        require(module, "cli")
    from ._result import Report
    from ._rows import from_arrays
    from ._study import examine

    rows = from_arrays(
        y_true,
        logits_or_proba,
        input=input,
        labels=labels,
        sample_weight=sample_weight,
        groups=groups,
        most=max_rows,
        seed=seed,
        name=name,
    )
    other = None
    if baseline is not None:
        other = from_arrays(
            y_true,
            baseline,
            input=input,
            labels=rows.labels,
            sample_weight=sample_weight,
            most=max_rows,
            seed=seed,
            name="the baseline",
        )
    return Report(examine(rows, baseline=other, in_sample=in_sample, seed=seed))
