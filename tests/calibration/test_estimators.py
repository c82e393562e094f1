"""scikit-learn's own checks of estimators, and what they cannot know of calibrators."""

import warnings

import numpy as np
import pytest
from sklearn.naive_bayes import GaussianNB
from sklearn.utils.estimator_checks import check_estimator

from crossentropy import calibration

COLUMNS = "a column is a class: the check's data has fewer columns than classes"
PENALTY = "the penalty is in units of rows, and the scale of weights does not matter"
WARNING = "a column vector of labels is taken without scikit-learn's warning"
FOLDS = "folds of repeated rows are others than those of weighted rows"

FAIL_OF_ALL = {
    "check_estimators_overwrite_params": COLUMNS,
    "check_estimators_fit_returns_self": COLUMNS,
    "check_readonly_memmap_input": COLUMNS,
    "check_classifiers_classes": COLUMNS,
    "check_classifiers_train": COLUMNS,
    "check_estimators_nan_inf": COLUMNS,  # tests of our own look for them
    "check_supervised_y_2d": WARNING,
}
WEIGHTS = "check_sample_weight_equivalence_on_dense_data"
CALIBRATORS = {
    calibration.Identity(): {},
    calibration.TemperatureScaling(): {},
    calibration.VectorScaling(): {WEIGHTS: PENALTY},
    calibration.MatrixScaling(): {WEIGHTS: PENALTY},
    calibration.PlattScaling(): {WEIGHTS: PENALTY},
    calibration.QuadraticScaling(): {WEIGHTS: PENALTY},
    calibration.BetaCalibration(): {WEIGHTS: PENALTY},
    calibration.IsotonicCalibration(): {},
    calibration.PriorShift(): {},
}
AROUND = calibration.Calibrated(GaussianNB(), method="temperature", cv=3)
CASES = [(c, {**FAIL_OF_ALL, **own}) for c, own in CALIBRATORS.items()] + [
    (
        AROUND,
        {
            "check_supervised_y_2d": WARNING,
            WEIGHTS: FOLDS,
        },
    )
]


@pytest.mark.parametrize(("estimator", "expected"), CASES, ids=lambda x: type(x).__name__)
def test_scikit_learns_checks(estimator, expected):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the checks that are left out, and of their data
        results = check_estimator(estimator, expected_failed_checks=expected, on_skip=None)
    failed = {r["check_name"] for r in results if r["status"] == "xfail"}
    assert failed == set(expected), "a failure that is expected no more"
    assert sum(r["status"] == "passed" for r in results) >= 40


@pytest.mark.parametrize("estimator", list(CALIBRATORS), ids=lambda c: type(c).__name__)
def test_every_calibrator_is_exported_and_tried(estimator):
    assert type(estimator).__name__ in calibration.__all__
    logits = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 3.0], [2.0, 0.0]])
    fitted = estimator.fit(logits, [0, 0, 1, 1])
    np.testing.assert_allclose(fitted.predict_proba(logits).sum(axis=1), 1)
