"""Predictions that the tests of scores share."""

from types import SimpleNamespace

import numpy as np
import pytest


@pytest.fixture
def confident():
    """Confidences of 3000 rows, whether they were right, and weights; calibrated."""
    rng = np.random.default_rng(3)
    confidence = rng.beta(4, 2, 3000)
    return SimpleNamespace(
        confidence=confidence,
        correct=rng.random(3000) < confidence,
        weight=rng.uniform(0, 2, 3000),
    )


@pytest.fixture
def classes():
    """Labels, logits and probabilities of 400 rows and five classes."""
    rng = np.random.default_rng(4)
    logits = 2 * rng.normal(size=(400, 5))
    odds = np.exp(logits)
    return SimpleNamespace(
        y=rng.permutation(np.arange(400) % 5),
        logits=logits,
        proba=odds / odds.sum(axis=1, keepdims=True),
        weight=rng.uniform(0, 2, 400),
    )
