"""Training: the same start for all, and a choice by log loss after temperature."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from crossentropy._compare import _training
from crossentropy._compare._candidates import Candidate, candidates
from crossentropy._compare._readout import Part, calibrate
from crossentropy._compare._training import predict, train
from crossentropy.scores import log_loss

CROSS_ENTROPY, FOCAL, WEIGHTED = candidates(["focal", "weighted"])


@pytest.fixture
def parts():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 5)).astype(np.float32)
    codes = (X[:, 0] + X[:, 1] > 0.8).astype(int) + (rng.random(400) < 0.1)
    return Part(X[:300], codes[:300], None), Part(X[300:], codes[300:], None)


def trained(candidate, parts, make_model=lambda: nn.Linear(5, 3), **options):
    fit, valid = parts
    counts = np.bincount(fit.codes, minlength=3).astype(float)
    return train(candidate, make_model, fit, valid, counts, **{"epochs": 4, "seed": 0} | options)


def test_all_candidates_start_alike_and_see_the_same_batches(parts, monkeypatch):
    starts, batches = [], []

    class Network(nn.Linear):
        def __init__(self):
            super().__init__(5, 3)
            starts.append(self.weight.detach().clone())

        def forward(self, X):
            if self.training:
                batches.append(X)
            return super().forward(X)

    monkeypatch.setattr(_training, "LEARNING_RATES", (1e-3,))
    for candidate in (CROSS_ENTROPY, FOCAL):
        trained(candidate, parts, Network)
    half = len(batches) // 2
    assert torch.equal(*starts)
    assert all(map(torch.equal, batches[:half], batches[half:]))
    trained(Candidate("other", "other", seed_offset=1), parts, Network)
    assert not torch.equal(starts[0], starts[2])
    assert not all(map(torch.equal, batches[:half], batches[2 * half :]))


def test_the_choice_is_the_best_validation_loss_after_temperature(parts):
    for candidate in (FOCAL, WEIGHTED):
        model, choice = trained(candidate, parts, epochs=12)
        logits = predict(model, parts[1].X)
        counts = np.bincount(parts[0].codes, minlength=3).astype(float)
        logits = logits - candidate.prior_shift(counts)
        beta, _ = calibrate(logits, parts[1].codes, None)
        loss = log_loss(parts[1].codes, beta * logits, input="logits", base=2, labels=range(3))
        assert loss == pytest.approx(min(choice.curve), rel=1e-6)
        assert choice.curve[choice.epoch - 1] == min(choice.curve)
        assert choice.learning_rate in _training.LEARNING_RATES


def test_a_run_without_progress_ends(parts):
    class Constant(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.ones(1))

        def forward(self, X):
            return X[:, :3] + 0 * self.scale

    _, choice = trained(CROSS_ENTROPY, parts, Constant, epochs=50)
    assert choice.epoch <= 3  # were it not for rounding, 1
    assert len(choice.curve) <= 3 + _training.PATIENCE


def test_training_leaves_the_random_state_alone(parts):
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    trained(FOCAL, parts)
    assert torch.equal(torch.rand(1), expected)


def test_sample_weights_reach_the_loss(parts):
    fit, valid = parts
    only = np.where(fit.codes == 2, 0.01, 1.0).astype(np.float32)
    shares = []
    for weight in (None, only):
        model, _ = trained(CROSS_ENTROPY, (fit._replace(weight=weight), valid), epochs=20)
        shares.append(torch.softmax(torch.from_numpy(predict(model, valid.X)), 1)[:, 2].mean())
    assert shares[1] < 0.8 * shares[0]


def test_a_network_that_breaks_down_is_said_so(parts):
    class Broken(nn.Linear):
        def forward(self, X):
            return super().forward(X) * float("nan")

    with pytest.raises(ValueError, match=r"training with focal .* broke down"):
        trained(FOCAL, parts, lambda: Broken(5, 3))


def test_batches_are_nearly_equal():
    for rows in (1, 33, 1000, 100_000):
        sizes = [len(part) for part in torch.arange(rows).tensor_split(_training._batches(rows))]
        assert max(sizes) - min(sizes) <= 1
        assert max(sizes) <= 1024
        assert len(sizes) >= min(16, rows // 16)
