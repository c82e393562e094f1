"""Training rows made ready: corrupted if asked, divided into fit and validation, preprocessed."""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from crossentropy._errors import InputError

from ._plan import Study
from ._preprocessing import make_preprocessor, take, transform
from ._readout import Part

Array = NDArray[Any]

_VALIDATION = 5  # one training row in five chooses learning rate, epoch and temperature


class Prepared(NamedTuple):
    """Training rows made ready.

    Attributes
    ----------
    fit, valid
        To learn from, and to choose by.
    counts
        (C,) fit rows of each class, as in `class_counts`.
    to_deployment
        (C,) log ratio of the priors of deployment and training; zero where they are one.
    preprocessor
        Fitted on the fit rows; None where X goes to the network as it is.
    seed
        Of every candidate's start.
    """

    fit: Part
    valid: Part
    counts: Array
    to_deployment: Array
    preprocessor: Any
    seed: int


def prepare(study: Study, rows: Array, rng: np.random.Generator, *, corrupt: bool) -> Prepared:
    """Make training rows ready, with the label noise and long tail of the protocol or without."""
    protocol = study.protocol
    noise = protocol.label_noise if corrupt else 0.0
    tail = protocol.long_tail if corrupt else None
    prior = protocol.deploy_prior
    if tail is not None:
        prior = shares(class_counts(study, rows, study.codes[rows])) if prior is None else prior
        rows = thin(rows, study.codes[rows], tail, rng)
    fit, valid = divide(study, rows, _VALIDATION, int(rng.integers(2**31)))[0]
    fit_codes = flip(study.codes[fit], noise, len(study.classes), rng)
    noise = 0.0 if protocol.clean_validation else noise
    valid_codes = flip(study.codes[valid], noise, len(study.classes), rng)
    counts = class_counts(study, fit, fit_codes)
    preprocessor = None
    if study.schema is not None:
        preprocessor = make_preprocessor(study.schema).fit(take(study.X, fit))
    return Prepared(
        Part(inputs(study, preprocessor, fit), fit_codes, weights(study, fit)),
        Part(inputs(study, preprocessor, valid), valid_codes, weights(study, valid)),
        counts,
        np.zeros(len(counts)) if prior is None else np.log(prior) - np.log(shares(counts)),
        preprocessor,
        seed=int(rng.integers(2**31)),
    )


def inputs(study: Study, preprocessor: Any, rows: Array) -> Array:
    """Return rows of the study's X as the network takes them, float32."""
    X = take(study.X, rows)
    return X if preprocessor is None else transform(preprocessor, X)


def weights(study: Study, rows: Array) -> Array | None:
    """Return the weights of rows, float32."""
    return None if study.weight is None else study.weight[rows].astype(np.float32)


def divide(study: Study, rows: Array, parts: int, seed: int) -> list[tuple[Array, Array]]:
    """Divide rows into stratified parts: pairs of the other parts and one part.

    Rows of a group stay together.
    """
    codes = study.codes[rows]
    groups = None if study.groups is None else study.groups[rows]
    if groups is None:
        splitter = StratifiedKFold(parts, shuffle=True, random_state=seed)
    else:
        parts = min(parts, len(np.unique(groups)))
        if parts < 2:
            raise InputError(
                "the training rows of a fold belong to one group, so none can be set aside for "
                "validation; use more folds, or leave groups out"
            )
        splitter = StratifiedGroupKFold(parts, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        # a class with few rows cannot be in every part; what that means is settled by callers
        warnings.filterwarnings("ignore", "The least populated class")
        return [(rows[most], rows[part]) for most, part in splitter.split(codes, codes, groups)]


def flip(codes: Array, noise: float, classes: int, rng: np.random.Generator) -> Array:
    """Change a share of the labels to one of the other classes, each as likely."""
    flipped = rng.random(len(codes)) < noise
    return np.where(flipped, (codes + rng.integers(1, classes, len(codes))) % classes, codes)


def thin(rows: Array, codes: Array, imbalance: float, rng: np.random.Generator) -> Array:
    """Keep rows so that the class counts fall exponentially, the last 1/imbalance of the first.

    Classes fall in the order of their size, equal ones in the order of their labels. No class
    grows, and none falls below two rows: one to learn from and one to choose by.
    """
    counts = np.bincount(codes)
    order = np.argsort(-counts, kind="stable")
    tail = counts.max() * imbalance ** -np.linspace(0, 1, len(counts))
    wanted = np.minimum(counts[order], np.maximum(np.rint(tail), 2)).astype(int)
    kept = [
        rng.permutation(np.flatnonzero(codes == k))[:n] for k, n in zip(order, wanted, strict=True)
    ]
    thinned: Array = rows[np.sort(np.concatenate(kept))]
    return thinned


def class_counts(study: Study, rows: Array, codes: Array) -> Array:
    """Rows of each class, (C,), weighted where rows are, with a mean weight of one.

    At least 1 each, so that a class that noise or groups took away has a prior with a logarithm.
    """
    weight = None if study.weight is None else study.weight[rows]
    if weight is not None:
        weight = weight / weight.mean()
    return np.maximum(np.bincount(codes, weight, minlength=len(study.classes)), 1.0)


def shares(counts: Array) -> Array:
    """Turn counts to a prior."""
    prior: Array = counts / counts.sum()
    return prior
