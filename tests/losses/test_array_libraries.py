"""Losses on arrays that have nothing but the array-API standard."""

import array_api_strict
import numpy as np
import pytest

from crossentropy.losses import class_balanced_weights, logit_adjustment
from tests.table import every_loss

LOGITS = np.random.default_rng(0).normal(size=(5, 4))
TARGET = np.array([0, 1, 2, 3, 0])
WEIGHTS = {"sample_weight": np.linspace(0, 1, 5), "class_weight": np.linspace(1, 2, 4)}


@every_loss
def test_every_loss_needs_only_the_standard(loss, literal):
    strict = {name: array_api_strict.asarray(values) for name, values in WEIGHTS.items()}
    logits = LOGITS / loss.scale
    arrays = array_api_strict.asarray(TARGET), array_api_strict.asarray(logits)
    for method in (loss.loss_gradient, loss.gradient_hessian):
        got, want = method(*arrays, **strict), method(TARGET, logits, **WEIGHTS)
        for mine, theirs in zip(got, want, strict=True):
            assert type(mine) is type(arrays[0])
            np.testing.assert_allclose(np.asarray(mine), theirs, rtol=1e-12, atol=1e-12)


@every_loss
def test_tensors_of_any_layout(path, loss, literal):
    torch = pytest.importorskip("torch")
    exact = LOGITS / loss.scale
    want = loss.loss_gradient(TARGET, exact, class_weight=WEIGHTS["class_weight"])
    pairs = torch.stack([torch.tensor(TARGET), torch.full((5,), 3)], dim=1)
    for logits in (
        torch.tensor(exact.T.copy()).t(),
        torch.tensor(np.repeat(exact, 2, axis=1))[:, ::2],
        torch._neg_view(torch.tensor(-exact)),
    ):
        weight = torch.tensor(np.repeat(WEIGHTS["class_weight"], 2))[::2]
        got = loss.loss_gradient(pairs[:, 0], logits, class_weight=weight)
        np.testing.assert_allclose(got[0].numpy(), want[0], rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(got[1].numpy(), want[1], rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("function", [class_balanced_weights, logit_adjustment])
def test_counts(function):
    counts = np.array([5, 1, 3])
    got = function(array_api_strict.asarray(counts))
    np.testing.assert_allclose(np.asarray(got), function(counts))
