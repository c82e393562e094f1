"""Predictions whose faults are known."""

import numpy as np
import pytest


def draw(rng, proba):
    """A label of each row by its probabilities."""
    codes = (proba.cumsum(axis=1) > rng.random((len(proba), 1))).argmax(axis=1)
    return codes.astype(np.int64)


def softmax(logits):
    proba = np.exp(logits - logits.max(axis=1, keepdims=True))
    return proba / proba.sum(axis=1, keepdims=True)


@pytest.fixture
def calibrated():
    """Logits, and labels that come with exactly their probabilities."""

    def make(seed, n=1000, classes=4, scale=2.0):
        rng = np.random.default_rng(seed)
        logits = scale * rng.normal(size=(n, classes))
        return draw(rng, softmax(logits)), logits

    return make
