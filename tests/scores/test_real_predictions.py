"""Reference values of real predictions, where the files are; the project ships none."""

import os
from pathlib import Path

import numpy as np
import pytest

from crossentropy.scores import Evaluation, accuracy, brier_score, calibration_error, log_loss

ROOT = Path(__file__).parents[2]
FOLDER = Path(os.environ.get("CROSSENTROPY_PREDICTIONS", ROOT / "../shared/data/predictions"))

# accuracy, log loss in nats, Brier score, ECE of 15 bins, debiased error, smooth error. The smooth
# ones are this project's: a peer's, .0393, .2039 and .0757, come of a grid on which rows at the
# very edge count half; away from the edges the two agree (tests/scores/test_smooth.py).
REFERENCE = {
    "label-errors-cifar10": (0.9294, 0.249171, 0.109952, 0.032588, 0.055465, 0.032125),
    "label-errors-20news": (0.923394, np.inf, 0.192912, 0.201136, 0.231061, 0.201136),
    "netcal-wideresnet-cifar10": (0.9109, 0.378170, 0.143871, 0.053716, 0.092127, 0.053716),
}


def load(name):
    if (FOLDER / f"{name}.npz").exists():
        file = np.load(FOLDER / f"{name}.npz")
        return file["predictions"], file["ground_truth"]
    if (FOLDER / f"{name}.probs.npy").exists():
        return np.load(FOLDER / f"{name}.probs.npy"), np.load(FOLDER / f"{name}.labels.npy")
    return pytest.skip(f"no {name} in the folder of real predictions")


@pytest.mark.parametrize("name", REFERENCE)
def test_the_reference_table(name):
    proba, y = load(name)
    proba = proba.astype(np.float64)
    proba /= proba.sum(axis=1, keepdims=True)
    said = {"input": "proba", "labels": range(proba.shape[1])}
    found = [
        accuracy(y, proba, **said),
        log_loss(y, proba, **said),
        brier_score(y, proba, **said),
        *(float(calibration_error(y, proba, kind=k, **said)) for k in ("ece", "debiased")),
    ]
    # bins of equal mass may differ by a row at each edge, which moves the debiased error by 3e-5
    np.testing.assert_allclose(found, REFERENCE[name][:5], atol=5e-5)
    np.testing.assert_allclose(found[:4], REFERENCE[name][:4], atol=2e-6)
    smooth = calibration_error(y, proba, kind="smooth", **said)
    assert float(smooth) == pytest.approx(REFERENCE[name][5], abs=1e-6)


@pytest.mark.parametrize("name", REFERENCE)
def test_the_reference_table_by_a_stream(name):
    proba, y = load(name)
    proba = proba.astype(np.float64)
    proba /= proba.sum(axis=1, keepdims=True)
    evaluation = Evaluation(proba.shape[1], input="proba")
    for part in np.array_split(np.arange(len(y)), 7):
        evaluation.update(y[part], proba[part])
    result = evaluation.result(draws=10)
    errors = [result.calibration[kind] for kind in ("ece", "debiased", "smooth")]
    found = [result.accuracy, result.log_loss, result.brier, *errors]
    np.testing.assert_allclose(found, REFERENCE[name], atol=5e-5)
