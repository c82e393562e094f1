"""Prior correction is Bayes' rule, and temperature is fitted at the training prior."""

from __future__ import annotations

import numpy as np
import pytest

from crossentropy._compare._readout import Part, Readout, fit_readout
from crossentropy._predictions import softmax
from crossentropy.calibration import TemperatureScaling

PRIORS = {
    "implied": np.array([0.2, 0.3, 0.5]),
    "training": np.array([0.6, 0.3, 0.1]),
    "deployed": np.array([0.1, 0.1, 0.8]),
}


@pytest.fixture
def part():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(200, 3))
    codes = np.array([rng.choice(3, p=p) for p in softmax(logits)])
    return logits, Part(np.empty(0), codes, rng.uniform(0.5, 1.5, 200))


def test_raw_correction_is_bayes_rule(part):
    logits, _ = part
    implied, training, deployed = PRIORS.values()
    readout = Readout(np.log(training / implied), 2.0, np.log(deployed / training))
    posterior = softmax(logits) * deployed / implied
    np.testing.assert_allclose(
        softmax(readout.raw(logits)), posterior / posterior.sum(axis=1, keepdims=True)
    )


def test_temperature_acts_at_the_training_prior(part):
    logits, valid = part
    implied, training, deployed = PRIORS.values()
    before, after = np.log(training / implied), np.log(deployed / training)
    readout = fit_readout(3 * logits - before, valid, before=before, after=after)
    scaling = TemperatureScaling(regularization=1.0).fit(3 * logits, valid.codes, valid.weight)
    assert readout.beta == pytest.approx(scaling.beta_)
    posterior = scaling.predict_proba(3 * logits) * deployed / training
    np.testing.assert_allclose(
        softmax(readout.calibrated(3 * logits - before)),
        posterior / posterior.sum(axis=1, keepdims=True),
    )


def test_no_temperature_where_none_helps(part):
    logits, valid = part
    none = np.zeros(3)
    impossible = logits.copy()
    impossible[0, valid.codes[0]] = -np.inf
    assert fit_readout(impossible, valid, before=none, after=none).beta == 1.0
    useless = Part(valid.X, logits.argmin(axis=1), None)
    assert fit_readout(100 * logits, useless, before=none, after=none).beta == 1e-6
