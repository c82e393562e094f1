import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize
from scipy.special import expit, logsumexp, softmax
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from crossentropy import calibration, rows
from crossentropy.calibration import (
    BetaCalibration,
    Calibrator,
    Identity,
    IsotonicCalibration,
    MatrixScaling,
    PlattScaling,
    PriorShift,
    QuadraticScaling,
    TemperatureScaling,
    VectorScaling,
)

TINY = np.finfo(np.float32).tiny
MAKERS = [
    Identity,
    TemperatureScaling,
    VectorScaling,
    MatrixScaling,
    PlattScaling,
    QuadraticScaling,
    BetaCalibration,
    IsotonicCalibration,
    PriorShift,
]
every = pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)


def draw(seed=0, n=400, classes=4, scale=2.0, dtype=np.float64):
    """Logits of a model that is too sure of itself, and the labels they should have foretold."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(n, classes))
    y = (logits + rng.gumbel(size=(n, classes))).argmax(axis=1)
    return (scale * logits).astype(dtype), y


# ---- what all calibrators have in common ---------------------------------------------------------


@every
@pytest.mark.parametrize("classes", [2, 4])
def test_they_predict_distributions_whatever_the_path_and_type(make, classes):
    logits, y = draw(classes=classes)
    want = make().fit(logits, y).predict_proba(logits)
    assert want.dtype == np.float64
    np.testing.assert_allclose(want.sum(axis=1), 1, rtol=1e-12)
    single = make().fit(logits.astype(np.float32), y).predict_proba(logits)
    np.testing.assert_allclose(single, want, rtol=1e-3, atol=1e-5)
    with rows.using("reference"):
        again = make().fit(logits, y).predict_proba(logits)
    np.testing.assert_allclose(again, want, rtol=1e-5, atol=1e-9)


@every
def test_probabilities_are_their_logarithms_and_zeros_the_least_one(make):
    logits, y = draw(n=300)
    proba = softmax(logits, axis=1)
    proba[::7, 0], proba[3, y[3]] = 0.0, 0.0
    proba /= proba.sum(axis=1, keepdims=True)
    fitted = make(input="proba").fit(proba, y)
    as_logits = make().fit(np.log(np.maximum(proba, TINY)), y)
    got = fitted.predict_proba(proba)
    np.testing.assert_allclose(got, as_logits.predict_proba(np.log(np.maximum(proba, TINY))))
    assert np.isfinite(got).all()


@every
def test_scaled_weights_change_nothing_and_a_row_without_weight_neither(make):
    logits, y = draw(1)
    weight = np.random.default_rng(1).uniform(0.5, 2, len(y))
    want = make().fit(logits, y, weight).predict_proba(logits)
    got = make().fit(logits, y, 7 * weight).predict_proba(logits)
    np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-9)


@every
def test_classes_that_no_row_shows_survive(make):
    logits, y = draw(2)
    shown = y != 2
    names = np.array(["ash", "birch", "cedar", "dogwood"])
    fitted = make(classes=names).fit(logits[shown], names[y[shown]])
    assert list(fitted.classes_) == list(names)
    proba = fitted.predict_proba(logits)
    assert proba.shape == (len(y), 4)
    assert np.isfinite(proba).all()
    by_number = make().fit(logits[shown], y[shown])
    np.testing.assert_array_equal(by_number.predict_proba(logits), proba)
    assert list(by_number.classes_) == [0, 1, 2, 3]


@every
@pytest.mark.parametrize("labels", [[3, 7], ["no", "yes"], [False, True], [0.0, 1.0]])
def test_save_and_load(make, labels, tmp_path):
    logits, y = draw(3, classes=2)
    fitted = make(classes=labels).fit(logits, np.array(labels)[y])
    fitted.save(tmp_path / "deep" / "calibrator.json")
    loaded = Calibrator.load(tmp_path / "deep" / "calibrator.json")
    assert type(loaded) is make
    assert repr(loaded) == repr(fitted)
    np.testing.assert_array_equal(loaded.predict_proba(logits), fitted.predict_proba(logits))
    np.testing.assert_array_equal(loaded.predict(logits), fitted.predict(logits))
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["calibrator.json"]


def test_files_that_are_none(tmp_path):
    path = tmp_path / "c.json"
    with pytest.raises(ValueError, match="not fitted yet"):
        TemperatureScaling().save(path)
    assert not path.exists()
    TemperatureScaling().fit(*draw()).save(path)
    good = json.loads(path.read_text())
    bad = [
        ("no JSON", "is no calibrator"),
        ("[1]", "is no calibrator"),
        (json.dumps({"format": "other"}), "is no calibrator"),
        (json.dumps({**good, "version": 2}), "has version 2"),
        (json.dumps({**good, "class": "Temperature"}), "did you mean 'TemperatureScaling'"),
        (json.dumps({**good, "learnt": {}}), "is damaged"),
        (json.dumps({**good, "parameters": {"temperature": 1}}), "is damaged"),
        (json.dumps({**good, "parameters": 1}), "is damaged"),
    ]
    for text, message in bad:
        path.write_text(text)
        with pytest.raises(ValueError, match=message):
            Calibrator.load(path)
    with pytest.raises(FileNotFoundError):
        Calibrator.load(tmp_path / "none.json")
    dates = np.array(["2001-01-01", "2002-01-01", "2003-01-01", "2004-01-01"], dtype="M8[D]")
    logits, y = draw()
    fitted = TemperatureScaling().fit(logits, dates[y])
    assert fitted.predict(logits).dtype == dates.dtype
    with pytest.raises(ValueError, match="cannot be saved"):
        fitted.save(tmp_path / "dates.json")
    assert not (tmp_path / "dates.json").exists()


@every
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_no_number_is_refused(make, bad):
    logits, y = draw()
    fitted = make().fit(logits, y)
    logits[5, 1] = bad
    for call in (lambda: fitted.fit(logits, y), lambda: fitted.predict_proba(logits)):
        with pytest.raises(ValueError, match=r"not NaN or inf; row 5"):
            call()


def test_columns_have_names():
    logits, y = draw()
    frame = pd.DataFrame(logits, columns=["a", "b", "c", "d"])
    fitted = TemperatureScaling().fit(frame, y)
    fitted.predict_proba(frame)
    with pytest.raises(ValueError, match="put them into that order"):
        fitted.predict_proba(frame[["b", "a", "c", "d"]])


def test_bad_options():
    logits, y = draw()
    with pytest.raises(ValueError, match='input must be "logits" or "proba", got \'odds\''):
        TemperatureScaling(input="odds").fit(logits, y)
    with pytest.raises(ValueError, match='mixing must be "laplace"'):
        TemperatureScaling(mixing="uniform").fit(logits, y)
    for make in (VectorScaling, PlattScaling):
        with pytest.raises(ValueError, match="nonnegative number, got -1"):
            make(regularization=-1).fit(logits, y)
    with pytest.raises(ValueError, match="must sum to one"):
        PlattScaling(input="proba").fit(logits**2, y)


# ---- each of them --------------------------------------------------------------------------------


def test_laplace_mixing_bounds_the_log_loss():
    logits, y = draw(n=99, scale=50)
    y[0] = logits[0].argmin()
    fitted = TemperatureScaling(mixing="laplace", regularization=1.0).fit(logits, y)
    plain = TemperatureScaling(regularization=1.0).fit(logits, y)
    want = 0.99 * plain.predict_proba(logits) + 0.01 / 4
    np.testing.assert_allclose(fitted.predict_proba(logits), want, rtol=1e-9)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_of_many_rows_the_optimum_is_that_of_all(dtype):
    logits, y = draw(n=120_000, classes=10, dtype=dtype)
    logits[: len(y) // 2] *= 3  # the first rows are no sample of all
    fitted = TemperatureScaling().fit(logits, y)
    z, own = logits.astype(np.float64), logits[np.arange(len(y)), y]
    p = softmax(fitted.beta_ * z, axis=1)
    mean = (p * z).sum(axis=1)
    variance = (p * (z - mean[:, None]) ** 2).sum(axis=1).mean()
    assert abs((mean - own).mean()) <= 1e-6 * fitted.beta_ * variance
    assert fitted.n_iter_ <= 4


def structured(x, y, weight, matrix, regularization=1.0):
    """The paper's objective at the literal parameters, minimised by finite differences' foe."""
    n, c = x.shape
    share = np.full(n, 1 / n) if weight is None else weight / weight.sum()

    def objective(theta):
        w, b = theta[:-c].reshape(c, -1), theta[-c:]
        deviation = w if matrix else np.diag(w[:, 0])
        z = x @ (np.eye(c) + deviation).T + b
        diagonal = deviation.diagonal()
        off = (deviation**2).sum() - (diagonal**2).sum()
        penalty = c / n * ((b**2).sum() + (diagonal**2).sum()) + c * (c - 1) / n * off
        loss = share @ (logsumexp(z, axis=1) - z[np.arange(n), y])
        return loss + regularization * penalty

    size = c * c + c if matrix else 2 * c
    found = minimize(objective, np.zeros(size), method="BFGS", options={"gtol": 1e-8})
    return objective, found.x


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("make", [VectorScaling, MatrixScaling])
def test_structured_scaling_is_the_papers_optimum(make, weighted):
    logits, y = draw(5, n=150, classes=3)
    logits[:, 1] *= 2
    weight = np.random.default_rng(0).uniform(0.1, 2, len(y)) if weighted else None
    fitted = make(regularization=0.5).fit(logits, y, weight)
    start = TemperatureScaling(regularization=1.0, mixing="laplace").fit(logits, y, weight)
    x = np.log(start.predict_proba(logits))
    matrix = make is MatrixScaling
    objective, want = structured(x, y, weight, matrix, 0.5)
    deviation = fitted.coef_ - (np.eye(3) if matrix else 1)
    got = np.concatenate([deviation.ravel(), fitted.intercept_])
    np.testing.assert_allclose(got, want, atol=2e-5)
    assert objective(got) <= objective(want) + 1e-12
    z = x @ fitted.coef_.T if matrix else x * fitted.coef_
    np.testing.assert_allclose(
        fitted.predict_proba(logits), softmax(z + fitted.intercept_, axis=1), rtol=1e-9
    )


def test_structured_scaling_of_many_classes_walks_without_a_hessian():
    logits, y = draw(6, n=600, classes=50)
    fitted = MatrixScaling().fit(logits, y)
    x = np.log(
        TemperatureScaling(regularization=1.0, mixing="laplace")
        .fit(logits, y)
        .predict_proba(logits)
    )
    g = (softmax(x @ fitted.coef_.T + fitted.intercept_, axis=1) - np.eye(50)[y]) / len(y)
    slope = g.sum(axis=0) + 2 * 50 / 600 * fitted.intercept_
    assert np.abs(slope).max() < 1e-5


def test_more_freedom_helps_where_classes_differ():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(4000, 4))
    twisted = logits @ np.array([[2, 0, 0, 0], [1, 1, 0, 0], [0, 0, 3, 0], [0, 0, 0, 1]]).T
    y = (logits + np.array([0, 1, 0, -1]) + rng.gumbel(size=logits.shape)).argmax(axis=1)
    found = calibration.select_calibrator(twisted, y, input="logits")
    assert found.name == "matrix"
    losses = [found.log_loss[name] for name in ("none", "temperature", "vector", "matrix")]
    assert losses == sorted(losses, reverse=True)


@pytest.mark.parametrize(
    ("make", "features"),
    [
        (PlattScaling, lambda m: np.column_stack([m, np.ones_like(m)])),
        (QuadraticScaling, lambda m: np.column_stack([m, np.ones_like(m), m**2])),
        (
            BetaCalibration,
            lambda m: np.column_stack([np.log(expit(m)), -np.log(expit(-m)), np.ones_like(m)]),
        ),
    ],
)
def test_binary_maps_are_logistic_regressions(make, features):
    logits, y = draw(7, n=3000, classes=2)
    fitted = make(regularization=0.0).fit(logits, y)
    margin = logits[:, 1] - logits[:, 0]
    peer = LogisticRegression(C=np.inf, fit_intercept=False, tol=1e-10, max_iter=10_000)
    want = peer.fit(features(margin), y).predict_proba(features(margin))
    np.testing.assert_allclose(fitted.predict_proba(logits), want, atol=1e-5)
    assert np.abs(fitted.coef_ - peer.coef_).max() < 1e-3


def test_beta_calibration_is_monotone_where_the_best_fit_is_not():
    rng = np.random.default_rng(0)
    p = rng.random(2000)
    y = rng.random(2000) < np.where(p < 0.5, p, 1 - p)
    fitted = BetaCalibration(input="proba").fit(np.column_stack([1 - p, p]), y)
    assert (fitted.coef_[0, :2] >= 0).all()
    assert (fitted.coef_[0, :2] == 0).any()


def test_separable_margins_need_regularization():
    logits, y = np.array([[0, -1.0], [0, -2], [0, 1], [0, 2]]), [0, 0, 1, 1]
    assert 1 < PlattScaling().fit(logits, y).coef_[0, 0] < 20
    with pytest.raises(ValueError, match=r"pass regularization=1\.0"):
        PlattScaling(regularization=0.0).fit(logits, y)


def test_isotonic_is_scikit_learns():
    logits, y = draw(8, classes=2)
    fitted = IsotonicCalibration().fit(logits, y)
    p = softmax(logits, axis=1)[:, 1]
    want = IsotonicRegression(out_of_bounds="clip").fit(p, y).predict(p)
    np.testing.assert_allclose(fitted.predict_proba(logits)[:, 1], want, atol=1e-12)


def test_a_known_prior_is_bayes_rule_and_em_finds_an_unknown_one():
    rng = np.random.default_rng(0)
    means = np.array([[0.0, 0], [1.5, 0], [0, 1.5]])

    def sample(prior, n):
        y = rng.choice(3, p=prior, size=n)
        x = means[y] + rng.normal(size=(n, 2))
        return -((x[:, None] - means) ** 2).sum(axis=2) / 2, y

    source, target = np.array([0.4, 0.3, 0.3]), np.array([0.1, 0.2, 0.7])
    likelihood, y = sample(source, 20_000)
    shift = PriorShift(source_prior=source).fit(likelihood + np.log(source), y)
    there, _ = sample(target, 20_000)
    shift.adapt(there + np.log(source))
    np.testing.assert_allclose(shift.prior_, target, atol=0.02)
    known = PriorShift(prior=target, source_prior=source).fit(likelihood + np.log(source), y)
    got = known.predict_proba(there + np.log(source))
    np.testing.assert_allclose(got, softmax(there + np.log(target), axis=1), rtol=1e-9)
    counted = PriorShift().fit(likelihood, y)
    np.testing.assert_allclose(counted.source_prior_, np.bincount(y) / len(y))
    with pytest.raises(ValueError, match="the prior was given"):
        known.adapt(there)
    with pytest.raises(ValueError, match="sum to one"):
        PriorShift(prior=[1, 1, 1]).fit(likelihood, y)


def test_a_prior_of_zero_rules_a_class_out():
    fitted = PriorShift(prior=[0, 0.5, 0.5]).fit(np.zeros((3, 3)), [0, 1, 2])
    np.testing.assert_allclose(fitted.predict_proba(np.zeros((1, 3))), [[0, 0.5, 0.5]])


# ---- real predictions, where they are at hand ----------------------------------------------------

HERE = Path(__file__).parents[2]
PREDICTIONS = Path(
    os.environ.get("CROSSENTROPY_PREDICTIONS", HERE / ".." / "shared" / "data" / "predictions")
)
real = pytest.mark.skipif(not PREDICTIONS.is_dir(), reason="the predictions are not here")


@real
def test_the_temperature_of_a_wide_resnet():
    with np.load(PREDICTIONS / "netcal-wideresnet-cifar10.npz") as file:
        proba, y = file["predictions"].astype(np.float64), file["ground_truth"]
    proba /= proba.sum(axis=1, keepdims=True)
    assert TemperatureScaling(input="proba").fit(proba, y).beta_ == pytest.approx(
        0.4871991, abs=6e-8
    )


@real
def test_newsgroups_whose_log_loss_is_infinite():
    proba = np.load(PREDICTIONS / "label-errors-20news.probs.npy").astype(np.float64)
    y = np.load(PREDICTIONS / "label-errors-20news.labels.npy")
    proba /= proba.sum(axis=1, keepdims=True)
    half = np.random.default_rng(0).permutation(len(y)) % 2 == 0
    found = calibration.select_calibrator(proba[half], y[half], input="proba", cv=2)
    assert found.name == "matrix"
    judged = found.calibrator.predict_proba(proba[~half])[np.arange((~half).sum()), y[~half]]
    assert -np.log(judged).mean() < 0.55
