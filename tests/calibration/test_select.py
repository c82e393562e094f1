import numpy as np
import pytest
from scipy.special import log_softmax
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV, KFold, train_test_split
from sklearn.naive_bayes import GaussianNB

from crossentropy import calibration
from crossentropy.calibration import (
    Calibrated,
    Identity,
    TemperatureScaling,
    cross_fitted,
    select_calibrator,
)


class Memory(Identity):
    """Is certain of the labels that it was fitted on, whatever the logits."""

    def _learn(self, logits, codes, weight):
        self._seen = {tuple(row): code for row, code in zip(logits, codes, strict=True)}

    def _calibrate(self, logits):
        proba = np.full(logits.shape, 1 / logits.shape[1])
        for row, z in enumerate(logits):
            if tuple(z) in self._seen:
                proba[row] = np.eye(logits.shape[1])[self._seen[tuple(z)]]
        return proba


def draw(n=300, classes=3, scale=3.0):
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(n, classes))
    y = (logits + rng.gumbel(size=(n, classes))).argmax(axis=1)
    return scale * logits, y


def test_no_row_is_judged_by_what_was_fitted_on_it():
    logits, y = draw()
    np.testing.assert_array_equal(cross_fitted(Memory(), logits, y), 1 / 3)
    found = select_calibrator(
        logits, y, input="logits", candidates={"memory": Memory(), "none": Identity()}
    )
    assert found.log_loss["memory"] == pytest.approx(np.log(3))


def test_the_choice_is_the_least_log_loss_fitted_on_all_rows():
    logits, y = draw()
    weight = np.random.default_rng(1).uniform(0.5, 2, len(y))
    found = select_calibrator(logits, y, input="logits", sample_weight=weight)
    assert found.log_loss[found.name] == min(found.log_loss.values())
    for name, losses in found.row_log_loss.items():
        assert np.average(losses, weights=weight) == pytest.approx(found.log_loss[name])
    raw = -log_softmax(logits, axis=1)[np.arange(len(y)), y]
    np.testing.assert_allclose(found.row_log_loss["none"], raw)
    again = type(found.calibrator)(**found.calibrator.get_params()).fit(logits, y, weight)
    np.testing.assert_array_equal(
        found.calibrator.predict_proba(logits), again.predict_proba(logits)
    )


def test_labels_and_folds():
    logits, y = draw(classes=2)
    named = np.array(["no", "yes"])[y]
    found = select_calibrator(logits, named, input="logits")
    assert list(found.calibrator.classes_) == ["no", "yes"]
    assert set(found.log_loss) >= {"platt", "quadratic", "beta"}
    rare = np.zeros(20, dtype=int)
    rare[0] = 2
    assert np.isfinite(select_calibrator(draw(20)[0], rare, input="logits").log_loss["vector"])
    with pytest.raises(ValueError, match="folds must be between 2 and the 3 rows, got 5"):
        select_calibrator(np.zeros((3, 2)), [0, 1, 0], input="logits")
    with pytest.raises(ValueError, match="no candidates"):
        select_calibrator(logits, y, input="logits", candidates={})


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    return train_test_split(X, np.array([f"digit {k}" for k in y]), test_size=0.5, random_state=0)


def test_calibrated_repairs_an_estimator(digits):
    X, X_test, y, y_test = digits
    raw = GaussianNB().fit(X, y)
    for method in ("auto", "temperature", calibration.VectorScaling()):
        model = Calibrated(GaussianNB(), method=method).fit(X, y)
        assert list(model.classes_) == list(raw.classes_)
        better = log_loss(y_test, model.predict_proba(X_test))
        assert better < 0.5 * log_loss(y_test, raw.predict_proba(X_test))
        assert set(model.predict(X_test)) <= set(y)


def test_a_fitted_estimator_is_left_alone(digits):
    X, X_test, y, _ = digits
    forest = RandomForestClassifier(n_estimators=10, random_state=0).fit(X[:500], y[:500])
    model = Calibrated(forest, method="mixed temperature", cv="prefit").fit(X[500:], y[500:])
    assert model.estimator_ is forest
    by_hand = TemperatureScaling(
        input="proba", classes=forest.classes_, mixing="laplace", regularization=1.0
    ).fit(forest.predict_proba(X[500:]), y[500:])
    np.testing.assert_array_equal(
        model.predict_proba(X_test), by_hand.predict_proba(forest.predict_proba(X_test))
    )


def test_decisions_are_logits(digits):
    X, _, y, _ = digits
    two = (y == "digit 8").astype(int)
    linear = LogisticRegression(max_iter=5000).fit(X, two)
    plain = Calibrated(linear, method="none", cv="prefit").fit(X, two)
    assert plain.calibrator_.input == "logits"
    np.testing.assert_allclose(plain.predict_proba(X), linear.predict_proba(X), atol=1e-9)
    proba = Calibrated(linear, method="none", cv="prefit", response="predict_proba").fit(X, two)
    assert proba.calibrator_.input == "proba"
    np.testing.assert_allclose(proba.predict_proba(X), linear.predict_proba(X), atol=1e-9)


def test_parameters_of_the_estimator_can_be_searched(digits):
    X, _, y, _ = digits
    model = Calibrated(GaussianNB(), method="temperature", cv=2)
    search = GridSearchCV(
        model, {"estimator__var_smoothing": [1e-9, 1e-1]}, scoring="neg_log_loss", cv=2
    )
    assert search.fit(X, y).best_params_ == {"estimator__var_smoothing": 1e-1}
    assert model.get_params()["estimator__var_smoothing"] == 1e-9


def test_splits_of_scikit_learns_kinds_and_errors(digits):
    X, _, y, _ = digits
    model = Calibrated(GaussianNB(), method="temperature", cv=KFold(3, shuffle=True)).fit(X, y)
    assert model.calibrator_.temperature_ > 1
    with pytest.raises(ValueError, match="did you mean 'temperature'"):
        Calibrated(GaussianNB(), method="temprature").fit(X, y)
    split = [(np.arange(400, len(y)), np.arange(300))]
    with pytest.raises(ValueError, match="cv leaves rows out"):
        Calibrated(GaussianNB(), cv=split).fit(X, y)
    with pytest.raises(ValueError, match="class odd has 1 sample"):
        Calibrated(GaussianNB()).fit(X, np.where(np.arange(len(y)) == 0, "odd", "even"))
    with pytest.raises(ValueError, match='response must be "auto"'):
        Calibrated(GaussianNB(), response="proba").fit(X, y)
