"""The arguments of `compare`, checked; every error says what was got and what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from crossentropy._errors import InputError
from crossentropy._optional import require

from ._candidates import candidates
from ._heads import HEADS
from ._plan import Protocol, Study
from ._preprocessing import Schema

Array = NDArray[Any]

_MANY_VALUES = 20  # distinct numbers of a target that is rather a quantity than a class


def make_study(
    X: Any,
    y: Any,
    *,
    losses: Iterable[Any] | None,
    model: Callable[[int], torch.nn.Module] | None,
    deploy_prior: Any,
    sample_weight: Any,
    groups: Any,
    test: Any,
    **options: Any,
) -> Study:
    """Check what `compare` was given and lay it out; `options` are fields of the protocol."""
    _check_options(**options)
    labels = _labels(y, "y")
    schema, known = _features(X, model)
    _check_length(len(known), labels, "y")
    classes, codes = np.unique(labels, return_inverse=True)
    weight = _weight(sample_weight, len(known))
    test_rows = 0
    if test is None:
        _check_classes(classes, codes, options["folds"])
    else:
        _check_classes(classes, codes, 2)
        known, codes, weight = _with_test(known, codes, weight, schema, classes, test)
        test_rows = len(codes) - len(labels)
    study = Study(
        known,
        codes,
        classes,
        weight,
        _groups(groups, len(labels), options["folds"] if test is None else 2),
        schema,
        test_rows,
        tuple(candidates(losses)),
        model,
        Protocol(deploy_prior=_prior(deploy_prior, classes), **options),
    )
    if model is not None:
        _check_model(study)
    return study


def _check_options(
    *,
    folds: int,
    repeats: int,
    seed: int,
    head: str,
    epochs: int,
    label_noise: float,
    long_tail: float | None,
    clean_validation: bool,
    yardsticks: bool,
) -> None:
    for name, value, least in (
        ("folds", folds, 2),
        ("repeats", repeats, 1),
        ("epochs", epochs, 1),
        ("seed", seed, 0),
    ):
        if value < least:
            raise InputError(f"{name} must be at least {least}, got {value}")
    if head not in HEADS:
        raise InputError(f"head must be one of {', '.join(HEADS)}, got {head!r}")
    if not 0 <= label_noise < 1:
        raise InputError(
            f"label_noise is the share of labels to change, from 0 to below 1; got {label_noise}"
        )
    if long_tail is not None and not 1 <= long_tail < np.inf:
        raise InputError(
            "long_tail is the ratio of the largest to the smallest class, at least 1; "
            f"got {long_tail}"
        )


def _labels(y: Any, name: str) -> Array:
    """Labels as numbers, booleans or text."""
    values = np.asarray(y)
    if values.ndim != 1:
        raise InputError(f"{name} must have one label per row, shape (n_rows,); got {values.shape}")
    missing = np.asarray(require("pandas", "cli").isna(values))
    if missing.any():
        raise InputError(
            f"{name} lacks a label in row {int(missing.argmax())} and {int(missing.sum())} rows "
            "in all; drop the rows without a label"
        )
    if values.dtype.kind == "O":
        values = np.array(values.tolist())
    if values.dtype.kind == "f" and np.isinf(values).any():
        raise InputError(f"{name} is infinite in row {int(np.isinf(values).argmax())}")
    return values if values.dtype.kind in "biuf" else values.astype(str)


def _check_length(rows: int, values: Array, name: str) -> None:
    if len(values) != rows:
        raise InputError(f"X has {rows} rows but {name} has {len(values)}; they must match")


def _check_classes(classes: Array, codes: Array, needed: int) -> None:
    if len(classes) < 2:
        held = f"only the class {_shown(classes[0])}" if len(classes) else "no rows"
        raise InputError(f"y holds {held}; a comparison needs at least two classes")
    counts = np.bincount(codes)
    small = int(counts.argmin())
    if counts[small] >= needed:
        return
    advice = f"drop such rows, or use at most {counts[small]} folds"
    if counts[small] < 2:
        advice = "drop such rows, or merge the class with another"
    if classes.dtype.kind == "f" and len(classes) > _MANY_VALUES:
        advice = (
            f"y has {len(classes)} distinct fractional values, which looks like regression: cut "
            "it into classes first"
        )
    rows = "1 row" if counts[small] == 1 else f"{counts[small]} rows"
    raise InputError(
        f"class {_shown(classes[small])} has {rows}, fewer than the {needed} that "
        f"{'folds' if needed > 2 else 'two parts'} need; {advice}"
    )


def _shown(label: Any) -> str:
    return repr(label.item() if hasattr(label, "item") else label)


def _features(X: Any, model: Any) -> tuple[Schema | None, Any]:
    """Schema and tidy table, or None and float32 inputs for the user's network."""
    if hasattr(X, "tocsr"):
        raise InputError("X is a sparse matrix; pass a dense one, X.toarray(), or a DataFrame")
    if model is not None:
        return None, _network_inputs(X)
    X = X if hasattr(X, "columns") else np.asarray(X)
    if X.ndim != 2 or X.shape[1] == 0:
        raise InputError(
            f"X must be a table of shape (n_rows, n_features), got {X.shape}; for images and the "
            "like pass a network as model="
        )
    schema = Schema.of(X)
    return schema, schema.tidy(X)


def _network_inputs(X: Any) -> Array:
    try:
        values = np.asarray(X, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise InputError(f"X must be a numeric array where model= is given ({error})") from None
    if values.ndim < 2:
        raise InputError(f"X must have shape (n_rows, ...), got {values.shape}")
    finite = np.isfinite(values).reshape(len(values), -1).all(axis=1)
    if not finite.all():
        raise InputError(
            f"X is not finite in row {int(finite.argmin())}; fill gaps before they reach model="
        )
    return values


def _weight(sample_weight: Any, rows: int, name: str = "sample_weight") -> Array | None:
    if sample_weight is None:
        return None
    weight = np.asarray(sample_weight, dtype=np.float64)
    if weight.shape != (rows,):
        raise InputError(f"{name} must have shape ({rows},), one per row; got {weight.shape}")
    bad = ~(np.isfinite(weight) & (weight > 0))
    if bad.any():
        row = int(bad.argmax())
        raise InputError(f"{name} must be positive; it is {weight[row]:g} in row {row}; drop it")
    return weight


def _groups(groups: Any, rows: int, needed: int) -> Array | None:
    if groups is None:
        return None
    values = np.asarray(groups)
    if values.shape != (rows,):
        raise InputError(f"groups must have shape ({rows},), one per row; got {values.shape}")
    if np.asarray(require("pandas", "cli").isna(values)).any():
        raise InputError("groups has missing values; give every row a group")
    codes = np.unique(
        values.astype(str) if values.dtype.kind == "O" else values, return_inverse=True
    )[1]
    if codes.max() + 1 < needed:
        raise InputError(
            f"groups holds {codes.max() + 1} groups, fewer than the {needed} folds that keep them "
            "together; use fewer folds"
        )
    return codes


def _prior(deploy_prior: Any, classes: Array) -> Array | None:
    if deploy_prior is None:
        return None
    if isinstance(deploy_prior, Mapping):
        by_name = {str(label): share for label, share in deploy_prior.items()}
        if set(by_name) != {str(label) for label in classes}:
            raise InputError(
                f"deploy_prior must have the classes {', '.join(map(str, classes))}; "
                f"got {', '.join(by_name)}"
            )
        deploy_prior = [by_name[str(label)] for label in classes]
    prior = np.asarray(deploy_prior, dtype=np.float64)
    if prior.shape != classes.shape:
        raise InputError(
            f"deploy_prior must have a share for each of the {len(classes)} classes, in the "
            f"sorted order of their labels; got shape {prior.shape}"
        )
    if not (prior > 0).all() or not abs(prior.sum() - 1) < 1e-6:
        raise InputError(f"deploy_prior must be positive and sum to 1; got {prior.tolist()}")
    normalised: Array = prior / prior.sum()
    return normalised


def _with_test(
    X: Any, codes: Array, weight: Array | None, schema: Schema | None, classes: Array, test: Any
) -> tuple[Any, Array, Array | None]:
    """Append the test rows."""
    if not isinstance(test, tuple) or len(test) not in (2, 3):
        raise InputError("test must be a tuple (X_test, y_test) or (X_test, y_test, sample_weight)")
    X_test = _network_inputs(test[0]) if schema is None else schema.tidy(test[0])
    labels = _labels(test[1], "y_test")
    _check_length(len(X_test), labels, "the y of the test rows")
    if len(labels) == 0:
        raise InputError("there are no test rows")
    unknown = ~np.isin(labels, classes)
    if unknown.any():
        row = int(unknown.argmax())
        raise InputError(
            f"the test rows hold the class {_shown(labels[row])} (row {row}), which the training "
            "rows lack; drop such rows"
        )
    own = _weight(test[2] if len(test) == 3 else None, len(labels), "the weight of test rows")
    if weight is not None or own is not None:
        ones = (np.ones(len(codes)), np.ones(len(labels)))
        pair = zip((weight, own), ones, strict=True)
        weight = np.concatenate([one if given is None else given for given, one in pair])
    if schema is not None and schema.names:
        X = require("pandas", "cli").concat([X, X_test], ignore_index=True)
    else:
        X = np.concatenate([X, X_test])
    return X, np.concatenate([codes, np.searchsorted(classes, labels)]), weight


def _check_model(study: Study) -> None:
    """Ask the user's network for the logits of two rows."""
    assert study.factory is not None
    wanted = (2, len(study.classes))
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        network = study.factory(len(study.classes))
        if not isinstance(network, torch.nn.Module):
            raise InputError(
                "model must be a function from the number of classes to a torch module; it "
                f"returned {type(network).__name__}"
            )
        got = tuple(network.eval()(torch.from_numpy(study.X[:2])).shape)
    if got != wanted:
        raise InputError(f"model must map 2 rows to logits of shape {wanted}; it returned {got}")
