"""The study of losses: which cross entropy a table of data wants, with error bars and in bits."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from crossentropy._optional import require

if TYPE_CHECKING:
    from pathlib import Path

    import torch

    from crossentropy.losses import Loss

    from ._candidates import Candidate
    from ._result import CompareResult
    from ._saved import SavedModel

__all__ = ["compare", "load_model"]

_NEEDED = ("torch", "sklearn", "joblib", "pandas")


def compare(
    X: Any,
    y: Any,
    *,
    losses: Iterable[str | Loss | Candidate] | None = None,
    head: str = "mlp",
    model: Callable[[int], torch.nn.Module] | None = None,
    folds: int = 5,
    repeats: int = 2,
    seed: int = 0,
    jobs: int | None = None,
    label_noise: float = 0.0,
    long_tail: float | None = None,
    clean_validation: bool = False,
    deploy_prior: Any = None,
    sample_weight: Any = None,
    groups: Any = None,
    test: tuple[Any, ...] | None = None,
    yardsticks: bool = True,
    epochs: int = 60,
    progress: Callable[[int, int], object] | None = None,
    name: str | None = None,
) -> CompareResult:
    """Train under each loss, calibrate, and say which one the data wants.

    Every candidate trains the same network from the same start on the same folds, chooses its
    learning rate and epoch by validation log loss after temperature, and is scored on rows that
    it never saw. The protocol and its reasons are written down in ``docs/compare.md``.

    Parameters
    ----------
    X : DataFrame or array of shape (n_rows, n_features)
        Numbers, text and gaps in a DataFrame, numbers and NaN in an array. With `model`, any
        array that starts with the rows, passed to the network as float32.
    y : array-like of shape (n_rows,)
        Labels of any type.
    losses : iterable of str or Loss, optional
        Names of `crossentropy.losses.available`, "weighted", "class_balanced",
        "logit_adjusted", "smoothed", or loss objects. Plain cross entropy is always there.
    head : {"mlp", "linear"}, default "mlp"
        One hidden layer of 128 ReLU units, or none.
    model : callable, optional
        Your own network instead: from the number of classes to a torch module that maps a
        batch of X to logits.
    folds, repeats : int, default 5 and 2
        Stratified folds, drawn anew in each repeat along with the start of the networks.
    seed : int, default 0
        Of everything random.
    jobs : int, optional
        Processes; by default one per core. The result does not depend on it.
    label_noise : float, default 0
        Share of training labels to change, to study robustness. Test rows stay as they are.
    long_tail : float, optional
        Thin the training rows until the largest class is this many times the smallest.
    clean_validation : bool, default False
        Whether label noise spares the validation rows.
    deploy_prior : array-like or dict, optional
        Share of each class where the model will work; predictions are corrected to it and test
        rows weighted to it. By default the training prior, with `long_tail` that of the data
        before thinning.
    sample_weight : array-like of shape (n_rows,), optional
        Positive weights, for training and scores.
    groups : array-like of shape (n_rows,), optional
        Rows of one group stay in one fold.
    test : tuple, optional
        ``(X_test, y_test)`` or ``(X_test, y_test, sample_weight)``: score on these rows instead
        of folds. Repeats then change the start only.
    yardsticks : bool, default True
        Whether to fit base rates, logistic regression and gradient boosting for comparison.
    epochs : int, default 60
        Most passes over the rows; a run ends earlier after ten without a better one.
    progress : callable, optional
        Called with the finished and planned number of splits.
    name : str, optional
        What the data is called in the results.

    Returns
    -------
    CompareResult
        Rows, winner and verdict; log losses are in bits. After Ctrl-C, what is finished.

    Raises
    ------
    ValueError
        If an argument makes no sense; the message says what to do.
    KeyboardInterrupt
        If Ctrl-C came before anything was finished.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from crossentropy import compare
    >>> X, y = load_iris(return_X_y=True)
    >>> result = compare(X, y, losses=["focal"], head="linear", epochs=5, repeats=1, jobs=1)
    >>> [row.name for row in result.rows][:3]
    ['cross_entropy', 'cross_entropy_corrected', 'focal']
    """
    for module in _NEEDED:
        require(module, "cli")
    from . import _arguments, _result, _study

    study = _arguments.make_study(
        X,
        y,
        losses=losses,
        model=model,
        deploy_prior=deploy_prior,
        sample_weight=sample_weight,
        groups=groups,
        test=test,
        folds=folds,
        repeats=repeats,
        seed=seed,
        head=head,
        epochs=epochs,
        label_noise=label_noise,
        long_tail=long_tail,
        clean_validation=clean_validation,
        yardsticks=yardsticks,
    )
    splits = _study.make_splits(study)
    results, interrupted = _study.run_splits(study, splits, jobs, progress)
    return _result.summarise(
        study, results, planned=len(splits), interrupted=interrupted, name=name
    )


def load_model(
    directory: str | Path, *, model: Callable[[int], torch.nn.Module] | None = None
) -> SavedModel:
    """Load the model that a result saved; see `crossentropy._compare._saved.load_model`."""
    for module in _NEEDED:
        require(module, "cli")
    from . import _saved

    return _saved.load_model(directory, model=model)
