"""The study: what is random, what is held fixed, and what the user's own options change."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from crossentropy._compare import _study, compare
from crossentropy._compare._study import make_splits, run_split

from .conftest import QUICK, a_study

YARDSTICKS = ("base_rates", "logistic_regression", "gradient_boosting")


def test_every_row_is_tested_once_a_repeat_on_new_folds(iris):
    splits = make_splits(a_study(*iris, folds=5, repeats=2))
    for repeat in range(2):
        tested = [split.test for split in splits if split.repeat == repeat]
        np.testing.assert_array_equal(np.sort(np.concatenate(tested)), np.arange(150))
    assert not np.array_equal(splits[0].test, splits[5].test)
    for split in splits:
        assert not set(split.train) & set(split.test)


def test_the_result_does_not_depend_on_jobs(iris, quick):
    again = compare(*iris, **QUICK | {"jobs": 2})
    assert again.to_dict() == quick.to_dict()
    other = compare(*iris, **QUICK | {"seed": 1})
    assert other.to_dict() != quick.to_dict()


def test_test_labels_stay_as_they_are(iris):
    X, y = iris
    study = a_study(X, y, label_noise=0.6, long_tail=5, epochs=1)
    (result, *_) = [run_split(study, split) for split in make_splits(study)[:1]]
    assert len(result.split.test) == 50
    assert list(np.bincount(study.codes[result.split.test])) == [17, 17, 16]
    assert result.fit_rows < 80


def test_groups_stay_together(iris):
    groups = np.arange(150) // 10
    for split in make_splits(a_study(*iris, groups=groups)):
        assert not set(groups[split.train]) & set(groups[split.test])


def test_yardsticks_are_calibrated_too(iris):
    result = compare(*iris, **QUICK | {"yardsticks": True, "losses": []})
    rows = {row.name: row for row in result.rows}
    assert tuple(rows)[2:] == YARDSTICKS
    assert rows["base_rates"].scores["log_loss"].mean == pytest.approx(np.log2(3), rel=1e-3)
    assert rows["logistic_regression"].scores["log_loss"].mean < 0.5
    assert rows["gradient_boosting"].scores["accuracy"].mean > 0.85
    assert result.protocol["comparisons"] == 0
    assert result.winner is None


def test_mixed_columns(mixed):
    result = compare(*mixed, **QUICK | {"epochs": 30})
    assert result.data["classes"] == ["no", "yes"]
    assert result.data["features"] == 7
    assert result.rows[0].scores["log_loss"].mean < 0.9
    assert result.rows[0].scores["roc_auc"].mean > 0.7


def test_a_test_set_replaces_the_folds(iris):
    X, y = iris
    known, test = np.arange(0, 150, 2), np.arange(1, 150, 2)
    result = compare(X[known], y[known], **QUICK | {"repeats": 3, "test": (X[test], y[test])})
    assert result.protocol["test_rows"] == 75
    assert result.protocol["splits_done"] == 3
    assert result.data["rows"] == 75
    difference = result.rows[2].difference["log_loss"]
    assert difference.low < difference.mean < difference.high


def test_the_prior_of_deployment_weights_the_test_rows(mixed):
    options = QUICK | {"deploy_prior": {"yes": 0.05, "no": 0.95}, "yardsticks": True, "epochs": 20}
    rows = {row.name: row for row in compare(*mixed, **options).rows}
    share = np.mean(mixed[1] == "yes")
    cost = -(0.05 * np.log2(share) + 0.95 * np.log2(1 - share))
    assert rows["base_rates"].scores["log_loss_raw"].mean == pytest.approx(cost, rel=0.05)
    entropy = -(0.05 * np.log2(0.05) + 0.95 * np.log2(0.95))
    assert rows["cross_entropy_corrected"].scores["log_loss"].mean < entropy
    assert rows["cross_entropy_corrected"].difference["log_loss"].mean < -0.2


def test_correction_is_the_identity_without_a_shift(quick):
    plain, corrected = quick.rows[:2]
    assert corrected.scores == plain.scores
    assert {d.verdict for d in corrected.difference.values()} == {"identical"}
    assert quick.protocol["comparisons"] == 1


def test_weights_reach_scores_and_training(iris):
    X, y = iris
    weight = np.where(y == 2, 1e-6, 1.0)
    weighted = compare(X, y, **QUICK | {"sample_weight": weight, "epochs": 20}).rows[0]
    without = compare(X[y < 2], y[y < 2], **QUICK | {"epochs": 20}).rows[0]
    assert weighted.scores["log_loss"].mean == pytest.approx(
        without.scores["log_loss"].mean, abs=0.1
    )


class Images(nn.Module):
    """A network on images, with a random layer and one that minds the size of a batch."""

    def __init__(self, classes):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 4, 3), nn.ReLU(), nn.BatchNorm2d(4), nn.Dropout(0.1), nn.Flatten()
        )
        self.out = nn.Linear(4 * 36, classes)

    def forward(self, X):
        return self.out(self.body(X))


def test_a_network_of_the_users_own(digits):
    X, y = digits
    images = X[:400].reshape(400, 1, 8, 8) / 16
    options = QUICK | {"model": Images, "head": "mlp", "yardsticks": True}
    first, second = (compare(images, y[:400], **options | {"jobs": jobs}) for jobs in (1, 2))
    assert first.to_dict() == second.to_dict()
    assert first.protocol["head"] == "model"
    assert first.data["features"] == 64
    assert first.rows[0].scores["accuracy"].mean > 0.5


class NeverFirst(nn.Linear):
    """A network that rules out the first class where the first feature is largest."""

    def __init__(self, classes):
        super().__init__(4, classes)

    def forward(self, X):
        logits = super().forward(X)
        return torch.where(X[:, :1] > 7.65, logits + torch.tensor([0, 0, -torch.inf]), logits)


def test_an_infinite_loss_is_reported_with_its_row(iris):
    X, y = iris
    result = compare(X, y, **QUICK | {"model": NeverFirst, "yardsticks": True})
    row = result.rows[0]
    assert row.scores["log_loss"].mean == np.inf
    assert X[row.infinite_row, 0] > 7.65
    assert y[row.infinite_row] == 2
    assert result.winner is None
    assert f"gave a label probability zero, as in row {row.infinite_row}" in result.verdict
    assert result.rows[-1].infinite_row is None
    assert result.to_dict()["rows"][0]["scores"]["log_loss"] == {"mean": "inf", "sd": None}


def test_progress_counts_splits(iris):
    seen = []
    compare(*iris, **QUICK | {"progress": lambda done, planned: seen.append((done, planned))})
    assert seen == [(0, 3), (1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize("jobs", [1, 2])
def test_ctrl_c_keeps_what_is_finished(iris, jobs):
    def stop(after):
        def progress(done, planned):
            if done == after:
                raise KeyboardInterrupt

        return progress

    result = compare(*iris, **QUICK | {"jobs": jobs, "progress": stop(1)})
    assert result.protocol["interrupted"]
    assert (result.protocol["splits_done"], result.protocol["splits_planned"]) == (1, 3)
    assert result.rows[2].difference["log_loss"].verdict == "undecided"
    with pytest.raises(KeyboardInterrupt):
        compare(*iris, **QUICK | {"jobs": jobs, "progress": stop(0)})
    assert not compare(*iris, **QUICK | {"jobs": jobs}).protocol["interrupted"]


def test_threads_are_given_back(iris):
    before = torch.get_num_threads()
    with _study._one_thread():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before
