"""What a study says in the end: the table, the verdict, the code, and the shapes it must show."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch
from torch import nn

from crossentropy._compare import compare
from crossentropy._compare._candidates import available
from crossentropy._compare._result import _plain
from crossentropy._compare._statistics import Difference
from crossentropy._compare._verdict import choose_winner, code, verdict
from crossentropy.losses import Focal, ReverseCrossEntropy

from .conftest import QUICK, a_study

METRICS = {"log_loss", "log_loss_raw", "accuracy", "balanced_accuracy", "brier", "ece"}


def test_the_dict_is_strict_json_and_complete(quick):
    said = quick.to_dict(command="crossentropy compare", saved=True)
    assert json.loads(json.dumps(said, allow_nan=False)) == said
    assert set(said) == {
        "version", "command", "data", "protocol", "rows", "winner", "verdict", "code", "saved"
    }  # fmt: skip
    assert said["data"] == {
        "name": None,
        "rows": 150,
        "features": 4,
        "classes": ["0", "1", "2"],
        "class_counts": [50, 50, 50],
        "base_rate_entropy": pytest.approx(np.log2(3)),
    }
    protocol = said["protocol"]
    assert (protocol["folds"], protocol["splits_planned"], protocol["splits_done"]) == (3, 3, 3)
    assert len(protocol["learning_rates"]) == 3
    for row in said["rows"]:
        assert set(row["scores"]) == METRICS
        assert len(row["learning_rates"]) == len(row["epochs"]) == len(row["temperatures"]) == 3
        assert row["curve"]["epoch"] == [1, 2, 3]
        assert sum(row["reliability"]["after"]["count"]) == 150
        assert ("difference" in row) == (row["kind"] != "baseline")
    assert [row["kind"] for row in said["rows"]] == ["baseline", "corrected", "loss"]
    assert set(said["rows"][2]["difference"]) == {"log_loss", "log_loss_raw", "balanced_accuracy"}


def test_numbers_that_json_lacks():
    given = {"a": (np.float32(1), np.inf, -np.inf), "b": [np.nan, np.arange(2)], "c": None}
    assert _plain(given) == {"a": [1.0, "inf", "-inf"], "b": [None, [0, 1]], "c": None}


def told(result, **verdicts):
    """Rows of a result with other differences in log loss than were found."""
    rows = []
    for row in result.rows:
        mean = verdicts.get(row.name)
        if mean is not None:
            label = "undecided" if abs(mean) < 0.1 else "better" if mean < 0 else "worse"
            changed = Difference(mean, mean - 0.1, mean + 0.1, 0.01, label)
            scores = row.scores | {"log_loss": row.scores["log_loss"]._replace(mean=1 + mean)}
            difference = row.difference | {"log_loss": changed}
            row = dataclasses.replace(row, scores=scores, difference=difference)
        rows.append(row)
    return rows


@pytest.fixture(scope="module")
def several(iris):
    losses = ["focal", "poly", "smoothed", "weighted"]
    return compare(*iris, **QUICK | {"losses": losses, "epochs": 1})


def test_the_winner_is_the_lowest_of_those_that_are_better(several):
    rows = told(several, focal=-0.3, poly=-0.5, smoothed=-0.01, weighted=0.5)
    assert choose_winner(rows) == "poly"
    assert choose_winner(told(several, focal=-0.01, poly=0.3, smoothed=0, weighted=0)) is None


def test_the_verdict_in_words(several):
    rows = told(
        several, focal=-0.3, poly=-0.5, smoothed=-0.01, weighted=0.5, weighted_corrected=0.6
    )
    sentence = verdict(several._study, several._results, rows)
    assert sentence.startswith(
        "Poly saves 0.50 ± 0.10 bits; focal (0.30 ± 0.10 bits) saves bits too; label smoothing "
        "makes no difference you could measure; inverse-frequency weighting does worse"
    )
    assert sentence.count(".", sentence.index("worse")) >= 1
    assert sentence.endswith(".")
    even = told(several, focal=0, poly=0.01, smoothed=0, weighted=0, weighted_corrected=0)
    assert verdict(several._study, several._results, even).startswith(
        "Keep plain cross entropy, which no other loss measurably beats; focal, poly, label "
        "smoothing and inverse-frequency weighting make no difference you could measure"
    )


@pytest.mark.parametrize("name", [None, "cross_entropy_corrected", *available()])
@pytest.mark.parametrize("corrected", [False, True])
@pytest.mark.parametrize("long_tail", [None, 3.0])
def test_the_code_runs(iris, name, corrected, long_tail):
    study = a_study(*iris, losses=[] if name is None else available(), long_tail=long_tail)
    shifting = name in ("weighted", "class_balanced", "logit_adjusted")
    lines = code(study, f"{name}_corrected" if shifting and corrected else name)
    X, y = torch.randn(9, 4), torch.arange(9) % 3
    names = {"model": nn.Linear(4, 3), "X": X, "y": y, "deploy_prior": torch.full((3,), 1 / 3)}
    exec(lines, names)
    assert names["model"].weight.grad is not None
    says_how = "logits" in names
    assert says_how == (
        (shifting and corrected) or (name == "cross_entropy_corrected" and long_tail is not None)
    )


def test_the_code_of_a_sum_imports_its_parts(iris):
    both = 0.5 * Focal(1.5) + ReverseCrossEntropy()
    study = a_study(*iris, losses=[both])
    lines = code(study, study.candidates[-1].name)
    X, y = torch.randn(9, 4), torch.arange(9) % 3
    names = {"model": nn.Linear(4, 3), "X": X, "y": y}
    exec(lines, names)
    assert names["model"].weight.grad is not None


def test_generalized_cross_entropy_withstands_noise(digits):
    losses = ["generalized_cross_entropy"]
    options = {"losses": losses, "folds": 3, "repeats": 1, "yardsticks": False, "jobs": 2}
    result = compare(*digits, **options, label_noise=0.3)
    assert result.rows[2].difference["log_loss_raw"].verdict == "better"
    assert "without temperature scaling, generalized cross entropy saves" in result.verdict


def test_logit_adjustment_serves_the_long_tail(digits):
    options = {"losses": ["logit_adjusted"], "folds": 3, "repeats": 1, "yardsticks": False}
    result = compare(*digits, **options, long_tail=50, epochs=30, jobs=2)
    rows = {row.name: row for row in result.rows}
    assert rows["logit_adjusted"].difference["balanced_accuracy"].mean > 0.02
    assert rows["cross_entropy_corrected"].difference["balanced_accuracy"].mean > 0.02
    assert rows["cross_entropy_corrected"].difference["log_loss"].mean < -0.2
