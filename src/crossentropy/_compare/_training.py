"""The training loop: every candidate trains the same network from the same start.

The learning rate comes from a fixed grid and the epoch from the validation rows, both by log
loss after temperature and at the training prior: the raw log loss would stop robust losses
before they have learnt anything, and punish a shifted prior that a constant can shift back.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from crossentropy._errors import InputError
from crossentropy.scores import log_loss
from crossentropy.torch import CrossEntropyLoss

from ._candidates import Candidate
from ._readout import Part, calibrate

Array = NDArray[Any]
MakeModel = Callable[[], nn.Module]

LEARNING_RATES = (1e-3, 3e-3, 1e-2)
PATIENCE = 10  # epochs without a better one, after which a run ends


class Choice(NamedTuple):
    """What the validation rows chose, and their log loss by epoch, in bits after temperature."""

    learning_rate: float
    epoch: int
    curve: tuple[float, ...]


class Trained(NamedTuple):
    """A trained network at its best epoch."""

    model: nn.Module
    choice: Choice


def train(
    candidate: Candidate,
    make_model: MakeModel,
    fit: Part,
    valid: Part,
    counts: Array,
    *,
    epochs: int,
    seed: int,
) -> Trained:
    """Train at each learning rate and return the best network by the validation rows.

    Parameters
    ----------
    candidate
        What to minimise.
    make_model
        Makes a new network; called under the same random seed for every candidate.
    fit, valid
        Rows to learn from, and to choose learning rate and epoch by.
    counts
        (C,) training rows of each class.
    epochs
        Passes over the rows.
    seed
        Of the start and of the order of the rows.
    """
    runs = []
    for learning_rate in LEARNING_RATES:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed + candidate.seed_offset)
            runs.append(_run(candidate, make_model(), fit, valid, counts, learning_rate, epochs))
    best = min(runs, key=lambda run: min(run.choice.curve))
    if np.isnan(predict(best.model, valid.X)).any():
        raise InputError(
            f"training with {candidate.label} broke down at every learning rate: the network's "
            "output is not a number; check the scale of X and the network"
        )
    return best


def _run(
    candidate: Candidate,
    model: nn.Module,
    fit: Part,
    valid: Part,
    counts: Array,
    learning_rate: float,
    epochs: int,
) -> Trained:
    loss, correction = _make_loss(candidate, counts), -candidate.prior_shift(counts)
    X, target, weight = _tensor(fit.X), _tensor(fit.codes), _tensor(fit.weight)
    optimizer = torch.optim.AdamW(model.parameters(), learning_rate, fused=True)
    curve: list[float] = []
    beta, best = 1.0, model.state_dict()
    for _ in range(epochs):
        model.train()
        for batch in torch.randperm(len(X)).tensor_split(_batches(len(X))):
            optimizer.zero_grad()
            own = None if weight is None else weight[batch]
            loss(model(X[batch]), target[batch], sample_weight=own).backward()
            optimizer.step()
        logits = predict(model, valid.X) + correction
        beta, bits = _calibrated_bits(logits, valid, beta)
        if bits < min(curve, default=math.inf):
            best = {name: value.clone() for name, value in model.state_dict().items()}
        curve.append(bits)
        if len(curve) - 1 - int(np.argmin(curve)) >= PATIENCE:
            break
    model.load_state_dict(best)
    return Trained(model, Choice(learning_rate, int(np.argmin(curve)) + 1, tuple(curve)))


def predict(model: nn.Module, X: Array) -> Array:
    """Logits of a network, (N, C) float32."""
    model.eval()
    with torch.inference_mode():
        return torch.cat([model(part) for part in _tensor(X).split(4096)]).numpy()


def _calibrated_bits(logits: Array, valid: Part, start: float) -> tuple[float, float]:
    """Inverse temperature and log loss after it, infinite for a network that broke down."""
    beta, finite = calibrate(logits, valid.codes, valid.weight, start)
    if not finite:
        return start, math.inf
    columns = range(logits.shape[1])
    return beta, log_loss(
        valid.codes,
        beta * logits,
        input="logits",
        base=2,
        sample_weight=valid.weight,
        labels=columns,
    )


def _make_loss(candidate: Candidate, counts: Array) -> CrossEntropyLoss:
    def per_class(rule: Any) -> Tensor | None:
        return None if rule is None else torch.as_tensor(rule(counts), dtype=torch.float32)

    return CrossEntropyLoss(
        per_class(candidate.class_weight),
        label_smoothing=candidate.label_smoothing,
        loss=candidate.loss,
        logit_bias=per_class(candidate.logit_bias),
    )


def _batches(rows: int) -> int:
    """Sixteen steps an epoch, of 16 to 1024 rows each: nearly equal, so none is tiny."""
    return math.ceil(rows / min(max(rows / 16, 16), 1024))


def _tensor(values: Any) -> Any:
    return None if values is None else torch.from_numpy(np.ascontiguousarray(values))
