"""Files and tables larger than memory, scored batch by batch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crossentropy._errors import InputError
from crossentropy._predictions import Input
from crossentropy._progress import progress as progress_bar
from crossentropy._tables import ahead

from ._evaluation import Evaluation
from ._stream import Located, open_predictions

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


def evaluate(
    source: Any,
    *,
    input: Input,
    target: str | Path | ArrayLike = "y_true",
    predictions: str | Sequence[str] | None = None,
    sample_weight: str | ArrayLike | None = None,
    labels: Sequence[Any] | None = None,
    confusion: bool | None = None,
    classwise: bool = False,
    n_threads: int = 1,
    progress: bool | None = None,
) -> Evaluation:
    """Score the predictions in a file or table, batch by batch, in constant memory.

    Parameters
    ----------
    source : path or table
        A CSV, TSV, Parquet, Arrow or Feather file, an NPZ file of arrays, or an NPY file of
        predictions; or a pyarrow dataset, or a table of pyarrow, pandas or polars.
    input : {"logits", "proba"}
        What the predictions are.
    target : str, path or array-like, default "y_true"
        The column (in NPZ the array) of the true labels. For predictions in NPY, the path of an
        NPY file of labels, or the labels.
    predictions : sequence of str or str, optional
        The columns of the predictions, one for each class; by default those named ``logit_`` or
        ``p_`` and the label. In NPZ the name of the array; by default ``logits`` or ``proba``.
    sample_weight : str or array-like, optional
        The column or array of weights; beside NPY, the weights.
    labels : sequence, optional
        The label of each prediction column. By default what follows ``logit_`` or ``p_``, and
        0, 1, ... for arrays.
    confusion, classwise, n_threads
        As for `Evaluation`.
    progress : bool, optional
        Whether to show a progress bar; by default if stderr is a terminal and rich is installed.

    Returns
    -------
    Evaluation
        Of all rows: its ``result()`` has the scores, and it merges with that of other files.

    Raises
    ------
    ValueError
        If the file cannot be read or is cut short, a column is missing, or a row holds what
        `Evaluation.update` refuses; with the file, the row (from 1, the header left out) and
        the column.
    ImportError
        If a table is to be read and pyarrow is not installed.

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame({"y_true": ["cat", "dog"], "p_cat": [0.5, 0.75], "p_dog": [0.5, 0.25]})
    >>> evaluation = evaluate(table, input="proba")
    >>> evaluation.result(base=2).log_loss
    1.5
    """
    if input not in ("logits", "proba"):
        raise InputError(f'input must be "logits" or "proba", got {input!r}')
    stream = open_predictions(source, input, target, predictions, sample_weight, labels)
    evaluation = Evaluation(
        len(stream.labels),
        input=input,
        confusion=confusion,
        classwise=classwise,
        class_names=stream.labels,
        n_threads=n_threads,
    )
    first = 0
    with progress_bar(f"evaluating {stream.name}", shown=progress) as moved:
        for block in ahead(stream.blocks):
            with Located(stream, first, block.values):
                evaluation._update_in_place(block.codes, block.values, block.weight)
            first += len(block.codes)
            moved(first, stream.rows)
    if first == 0:
        raise InputError(f"{stream.name!r} is empty: it has no row")
    return evaluation
