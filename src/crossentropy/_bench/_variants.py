"""Every loss and option over plain cross entropy, and small batches beside plain formulas."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from crossentropy import losses

from ._cases import FLAT, MIDDLE, WIDE, Loss, batch, ours, size, training
from ._effort import Effort
from ._harness import interleaved
from ._tables import Figure, Table, Target, at_least, at_most

_PLAIN = "cross entropy"


def tables(effort: Effort) -> Iterator[Table]:
    """Two tables."""
    shapes = (MIDDLE, FLAT) if effort.quick else (WIDE, MIDDLE, FLAT)
    columns = [_over_plain(shape, effort) for shape in shapes]
    yield Table(
        "Variants over plain cross entropy, float32, forward + backward",
        ["variant", *(f"time / plain at {size(shape)}" for shape in shapes)],
        [(name, [column[name] for column in columns]) for name in columns[0]],
    )
    small = [_beside_formulas(shape, effort) for shape in _SMALL]
    yield Table(
        "Small batches beside the plain formula in torch",
        ["variant", *(f"formula / ours at {size(shape)}" for shape in _SMALL)],
        [(name, [column[name] for column in small]) for name in small[0]],
        "Above 1: as many times faster than the formula, run eagerly.",
    )


def _over_plain(shape: tuple[int, ...], effort: Effort) -> dict[str, Figure]:
    logits, target = batch(shape)
    every = (losses.get(name) for name in losses.available())
    # those that need the logits run as array code, of which no speed is asked
    family = {loss.name.replace("_", " "): loss for loss in every if not loss.needs_logits}
    # a function of log p alone; the others read the logits' sum or change the logits, too
    rules = {name for name, loss in family.items() if not loss.needs_weighted and loss.scale == 1}
    options = {name: {"loss": loss} for name, loss in family.items()} | _options(logits, target)
    median = interleaved(
        {name: training(ours(**given), logits, target) for name, given in options.items()}, effort
    )
    return {
        name: Figure(seconds / median[_PLAIN], _target(name in rules, shape))
        for name, seconds in median.items()
        if name != _PLAIN
    }


def _target(is_rule: bool, shape: tuple[int, ...]) -> Target | None:
    """Where rows are long a variant costs next to nothing; where they are short its rule shows."""
    if shape != FLAT:
        return at_most(1.1)
    return at_most(1.6) if is_rule else None


def _options(logits: Tensor, target: Tensor) -> dict[str, dict[str, Any]]:
    generator = torch.Generator().manual_seed(1)
    per_class = torch.rand(logits.shape[1], generator=generator)
    per_row = torch.rand(target.shape, generator=generator)
    return {
        "label smoothing": {"label_smoothing": 0.1},
        "class weights": {"weight": per_class},
        "z-loss": {"z_loss": 1e-4},
        "temperature": {"temperature": 2.0},
        "logit bias": {"logit_bias": per_class},
        "softcap": {"softcap": 30.0},
        "sample weights": {"sample_weight": per_row},
    }


# ---- small batches ----------------------------------------------------------------------------

_SMALL = ((64, 10), (256, 10))


def _beside_formulas(shape: tuple[int, ...], effort: Effort) -> dict[str, Figure]:
    logits, target = batch(shape)
    weight = torch.rand(shape[1], generator=torch.Generator().manual_seed(1))
    variants: dict[str, tuple[dict[str, Any], Loss]] = {
        "focal": ({"loss": losses.Focal()}, _focal),
        "generalized cross entropy": ({"loss": losses.GeneralizedCrossEntropy()}, _generalized),
        "poly": ({"loss": losses.Poly()}, _poly),
        "symmetric cross entropy": ({"loss": losses.SymmetricCrossEntropy()}, _symmetric),
        "class weights": (
            {"weight": weight},
            functools.partial(functional.cross_entropy, weight=weight),
        ),
        "label smoothing": (
            {"label_smoothing": 0.1},
            functools.partial(functional.cross_entropy, label_smoothing=0.1),
        ),
    }
    runs = {}
    for name, (given, formula) in variants.items():
        runs[name] = training(ours(**given), logits, target)
        runs[f"formula of {name}"] = training(formula, logits, target)
    median = interleaved(runs, effort)
    return {
        name: Figure(median[f"formula of {name}"] / median[name], at_least(1)) for name in variants
    }


# What a user writes who has no library for it, with the parameters of ours.


def _focal(logits: Tensor, target: Tensor) -> Tensor:
    nll = functional.cross_entropy(logits, target, reduction="none")
    return ((1 - torch.exp(-nll)) ** losses.Focal().gamma * nll).mean()


def _generalized(logits: Tensor, target: Tensor) -> Tensor:
    q = losses.GeneralizedCrossEntropy().q
    p = logits.softmax(1).gather(1, target.unsqueeze(1))
    return ((1 - p**q) / q).mean()


def _poly(logits: Tensor, target: Tensor) -> Tensor:
    nll = functional.cross_entropy(logits, target, reduction="none")
    return (nll + losses.Poly().epsilon * (1 - torch.exp(-nll))).mean()


def _symmetric(logits: Tensor, target: Tensor) -> Tensor:
    loss = losses.SymmetricCrossEntropy()
    nll = functional.cross_entropy(logits, target, reduction="none")
    reverse = _LOG_OF_ZERO * (1 - torch.exp(-nll))
    return (loss.alpha * nll + loss.beta * reverse).mean()


_LOG_OF_ZERO = 9.210340371976184  # −log 1e-4, the paper's
