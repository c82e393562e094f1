"""The study itself: folds, repeats, and what happens within one split.

Everything random derives from (seed, repeat, fold), so a split's result is the same whatever
runs beside it, in this process or another.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import joblib
import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from crossentropy._errors import InputError

from ._candidates import BASELINE, Candidate
from ._heads import make_head
from ._plan import CORRECTED, Study
from ._preparation import Prepared, divide, inputs, prepare, shares
from ._readout import Readout, fit_readout
from ._scoring import Scored, score
from ._training import Choice, Trained, predict, train
from ._yardsticks import YARDSTICKS, fit_yardstick, predict_yardstick

Array = NDArray[Any]
Progress = Callable[[int, int], object]


class Split(NamedTuple):
    """One division of the rows."""

    repeat: int
    fold: int
    train: Array
    test: Array


class Outcome(NamedTuple):
    """What one row of the result is in one split; yardsticks have no choice."""

    logits: Array
    readout: Readout
    scored: Scored
    choice: Choice | None


class SplitResult(NamedTuple):
    """All rows of the result in one split, with the weights of the test rows."""

    split: Split
    fit_rows: int
    weight: Array | None
    outcomes: dict[str, Outcome]


def make_splits(study: Study) -> list[Split]:
    """Return all splits: new folds in every repeat, or the test set in each."""
    known, protocol = study.known_rows, study.protocol
    if study.test_rows:
        test = np.arange(len(known), len(study.codes))
        return [Split(repeat, 0, known, test) for repeat in range(protocol.repeats)]
    return [
        Split(repeat, fold, *parts)
        for repeat in range(protocol.repeats)
        for fold, parts in enumerate(
            divide(study, known, protocol.folds, int(_rng(study, repeat).integers(2**31)))
        )
    ]


def run_splits(
    study: Study, splits: list[Split], jobs: int | None, progress: Progress | None
) -> tuple[list[SplitResult], bool]:
    """Run the splits, and say whether Ctrl-C ended that; what is finished is kept."""
    jobs = min(joblib.cpu_count() if jobs is None else jobs, len(splits))
    if jobs < 1:
        raise InputError(f"jobs must be at least 1, got {jobs}")
    report = progress or (lambda done, planned: None)
    report(0, len(splits))
    results: list[SplitResult] = []
    interrupted = False
    parallel = joblib.Parallel(n_jobs=jobs, return_as="generator_unordered")
    running = parallel(joblib.delayed(run_split)(study, split) for split in splits)
    try:
        for result in running:
            results.append(result)
            report(len(results), len(splits))
    except KeyboardInterrupt:
        if not results:
            raise
        interrupted = True
    finally:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".* have been cancelled")
            running.close()  # ends the workers where splits are left
    return sorted(results, key=lambda result: result.split[:2]), interrupted


def run_split(study: Study, split: Split) -> SplitResult:
    """Train and score every candidate and yardstick on one split."""
    with _one_thread():
        prepared = prepare(study, split.train, _rng(study, *split[:2]), corrupt=True)
        X = inputs(study, prepared.preprocessor, split.test)
        codes, weight = study.codes[split.test], _test_weight(study, split.test)
        outcomes: dict[str, Outcome] = {}
        for candidate in study.candidates:
            trained = train_candidate(study, candidate, prepared)
            logits = predict(trained.model, X)
            for name, readout in readouts(candidate, trained, prepared).items():
                scored = score(logits, readout, codes, weight)
                outcomes[name] = Outcome(logits, readout, scored, trained.choice)
        for name in YARDSTICKS if study.protocol.yardsticks else ():
            estimator = fit_yardstick(name, prepared.fit, prepared.seed)
            logits = predict_yardstick(estimator, X, len(study.classes))
            valid_logits = predict_yardstick(estimator, prepared.valid.X, len(study.classes))
            none = np.zeros(len(study.classes))
            readout = fit_readout(valid_logits, prepared.valid, before=none, after=none)
            scored = score(logits, readout, codes, weight)
            outcomes[name] = Outcome(logits, readout, scored, None)
    return SplitResult(split, len(prepared.fit.codes), weight, outcomes)


def train_candidate(study: Study, candidate: Candidate, prepared: Prepared) -> Trained:
    """Train one candidate on prepared rows."""
    protocol, classes = study.protocol, len(study.classes)

    def make_model() -> torch.nn.Module:
        if study.factory is not None:
            return study.factory(classes)
        return make_head(protocol.head, prepared.fit.X.shape[1], classes)

    return train(
        candidate,
        make_model,
        prepared.fit,
        prepared.valid,
        prepared.counts,
        epochs=protocol.epochs,
        seed=prepared.seed,
    )


def readouts(candidate: Candidate, trained: Trained, prepared: Prepared) -> dict[str, Readout]:
    """Ways to read a candidate's logits, by name of the row: as trained, prior corrected."""
    logits, valid = predict(trained.model, prepared.valid.X), prepared.valid
    none = np.zeros(len(prepared.counts))
    made = {candidate.name: fit_readout(logits, valid, before=none, after=none)}
    if candidate.name == BASELINE or candidate.shifts_prior:
        back = none - candidate.prior_shift(prepared.counts)
        made[candidate.name + CORRECTED] = fit_readout(
            logits, valid, before=back, after=prepared.to_deployment
        )
    return made


def refit(study: Study, name: str) -> tuple[Candidate, Prepared, Trained, Readout]:
    """Train the candidate behind a row of the result on all known rows, uncorrupted."""
    candidate = next(c for c in study.candidates if name in (c.name, c.name + CORRECTED))
    with _one_thread():
        rng = _rng(study, study.protocol.repeats)
        prepared = prepare(study, study.known_rows, rng, corrupt=False)
        trained = train_candidate(study, candidate, prepared)
        return candidate, prepared, trained, readouts(candidate, trained, prepared)[name]


def _rng(study: Study, *place: int) -> np.random.Generator:
    return np.random.default_rng([study.protocol.seed, *place])


def _test_weight(study: Study, rows: Array) -> Array | None:
    """Weights of test rows, under which their classes have the prior of deployment if given.

    The features of a class are taken to be the same in deployment (label shift).
    """
    weight = None if study.weight is None else study.weight[rows]
    if study.protocol.deploy_prior is None:
        return weight
    codes = study.codes[rows]
    weight = np.ones(len(rows)) if weight is None else weight
    totals = np.bincount(codes, weight, minlength=len(study.classes))
    ratio = np.divide(study.protocol.deploy_prior, shares(totals), where=totals > 0, out=totals)
    reweighted: Array = weight * ratio[codes]
    return reweighted


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """One thread: small networks are quickest so, and sums come in the same order everywhere."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            yield
    finally:
        torch.set_num_threads(threads)
