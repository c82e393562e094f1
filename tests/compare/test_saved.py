"""Results and models on disk: whole, without pickle, and read back as they were."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest
from torch import nn

from crossentropy._compare import compare, load_model
from crossentropy.scores import log_loss

from .conftest import QUICK


@pytest.fixture(scope="module")
def saved(quick, tmp_path_factory):
    directory = tmp_path_factory.mktemp("saved") / "results"
    quick.save(directory, command="the command")
    return directory


def test_three_files_and_a_model(saved, quick):
    names = sorted(str(path.relative_to(saved)) for path in saved.rglob("*") if path.is_file())
    assert names == [
        "model/model.json",
        "model/model.safetensors",
        "model/preprocessing.skops",
        "predictions.parquet",
        "results.json",
    ]
    content = json.loads((saved / "results.json").read_text())
    assert content == quick.to_dict(command="the command", saved=True)


def test_predictions_give_the_scores(saved, quick):
    table = pd.read_parquet(saved / "predictions.parquet")
    assert list(table.columns) == [
        "candidate", "repeat", "fold", "row", "y_true", "temperature",
        "logit_0", "logit_1", "logit_2",
    ]  # fmt: skip
    for row in quick.rows:
        part = table[table.candidate == row.name]
        assert sorted(part.row) == list(range(150))
        logits = part[["logit_0", "logit_1", "logit_2"]].to_numpy()
        for values, metric in (
            (logits / part[["temperature"]].to_numpy(), "log_loss"),
            (logits, "log_loss_raw"),
        ):
            loss = log_loss(part.y_true, values, input="logits", base=2)
            assert loss == pytest.approx(row.scores[metric].mean, rel=1e-3)


def test_the_prior_of_deployment_is_in_the_predictions(iris, tmp_path):
    result = compare(*iris, **QUICK | {"long_tail": 10})
    result.save(tmp_path)
    table = pd.read_parquet(tmp_path / "predictions.parquet")
    part = table[table.candidate == "cross_entropy_corrected"]
    logits = part[["logit_0", "logit_1", "logit_2"]].to_numpy()
    loss = log_loss(part.y_true, logits / part[["temperature"]].to_numpy(), input="logits", base=2)
    assert loss == pytest.approx(result.rows[1].scores["log_loss"].mean, rel=1e-3)


def test_results_are_not_written_over_unasked(saved, quick, tmp_path):
    with pytest.raises(ValueError, match=r"already holds results\.json and predictions"):
        quick.save(saved)
    quick.save(saved, force=True, command="the command")
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="is a file; name a directory"):
        quick.save(tmp_path / "file")


def test_the_model_predicts(saved, iris):
    X, _ = iris
    for place in (saved, saved / "model"):
        model = load_model(place)
        proba = model.predict_proba(X)
        np.testing.assert_allclose(proba.sum(axis=1), 1)
        np.testing.assert_array_equal(model.predict(X), proba.argmax(axis=1))
        assert list(model.classes_) == [0, 1, 2]
        assert model.loss == "cross_entropy"
    with pytest.raises(ValueError, match=r"shape \(n_rows, 4\)"):
        model.predict_proba(X[:, :3])


@pytest.mark.parametrize("kind", [str, bool, float])
def test_labels_keep_their_type(mixed, kind, tmp_path):
    X, y = mixed
    labels = y if kind is str else (y == "yes").astype(kind)
    compare(X, labels, **QUICK).save(tmp_path)
    model = load_model(tmp_path)
    assert model.classes_.tolist() == sorted(set(labels.tolist()))
    shuffled = X[X.columns[::-1]].assign(more=1)
    np.testing.assert_array_equal(model.predict_proba(shuffled), model.predict_proba(X))
    with pytest.raises(ValueError, match="lacks the column 'colour'"):
        model.predict_proba(X.drop(columns="colour"))


def test_the_refitted_readout_corrects_the_prior(mixed, tmp_path):
    X, y = mixed
    rare = {"yes": 0.02, "no": 0.98}
    result = compare(X, y, **QUICK | {"deploy_prior": rare, "epochs": 20})
    means = []
    for name in ("cross_entropy", "cross_entropy_corrected"):
        dataclasses.replace(result, winner=name).save(tmp_path, force=True)
        means.append(load_model(tmp_path).predict_proba(X)[:, 1].mean())
    assert means[0] == pytest.approx(np.mean(y == "yes"), abs=0.1)
    assert means[1] < means[0] - 0.15


def test_a_network_of_the_users_own_needs_its_factory(digits, tmp_path):
    X, y = digits

    def factory(classes):
        return nn.Sequential(
            nn.Flatten(), nn.Linear(64, 8), nn.BatchNorm1d(8), nn.Linear(8, classes)
        )

    images = X[:300].reshape(300, 8, 8)
    compare(images, y[:300], **QUICK | {"model": factory}).save(tmp_path)
    with pytest.raises(ValueError, match="pass the factory that compare was given as model="):
        load_model(tmp_path)
    proba = load_model(tmp_path, model=factory).predict_proba(images)
    assert proba.shape == (300, 10)
    with pytest.raises(ValueError, match=r"model\.safetensors is damaged"):
        load_model(tmp_path, model=lambda classes: nn.Linear(64, classes))


@pytest.mark.parametrize("name", ["model.json", "model.safetensors", "preprocessing.skops"])
def test_damaged_and_missing_files(quick, tmp_path, name):
    quick.save(tmp_path)
    path = tmp_path / "model" / name
    whole = path.read_bytes()
    for damaged in (b"", b"{}", whole[: len(whole) // 2]):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=f"{name} is damaged"):
            load_model(tmp_path)
    path.unlink()
    with pytest.raises(
        ValueError, match="holds no model" if name == "model.json" else "is missing"
    ):
        load_model(tmp_path)


def test_a_model_from_a_later_version(quick, tmp_path):
    quick.save(tmp_path)
    path = tmp_path / "model" / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 2}))
    with pytest.raises(ValueError, match="format 2, and this version reads 1"):
        load_model(tmp_path)
