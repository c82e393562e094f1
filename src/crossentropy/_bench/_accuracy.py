"""How far losses and gradients lie from the truth, ours and torch's.

The truth is the loss's margin form in float64 on the same rounded logits: with Δ the target's
logit less the logsumexp of the others, −log p is softplus(−Δ) and 1 − p is sigmoid(−Δ).
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional

from ._cases import Loss, batch, ours
from ._effort import Effort
from ._tables import Figure, Table, at_most

_ROWS = 256
_PEERS: dict[str, Loss] = {"ours": ours(), "F.cross_entropy": functional.cross_entropy}
_NAMES = tuple(_PEERS)


def tables(effort: Effort) -> Iterator[Table]:
    """Three tables."""
    classes = (10, 1000) if effort.quick else (10, 1000, 32000)
    yield _losses(classes)
    yield _gradients(classes)
    yield _sixteen_bits(classes)


def _margin(logits: Tensor, target: Tensor) -> Tensor:
    """Δ of every row, in float64."""
    z = logits.detach().double()
    index = target.unsqueeze(1)
    rest = z.scatter(1, index, -math.inf).logsumexp(1)
    return z.gather(1, index).squeeze(1) - rest


def _true_gradient(logits: Tensor, target: Tensor) -> Tensor:
    """Of the summed loss, in float64, the target's entry from 1 − p."""
    own = -torch.sigmoid(-_margin(logits, target))
    return logits.detach().double().softmax(1).scatter(1, target.unsqueeze(1), own.unsqueeze(1))


def _gradient(loss: Loss, logits: Tensor, target: Tensor) -> Tensor:
    (gradient,) = torch.autograd.grad(loss(logits, target) * len(target), logits)
    return gradient.double()


# ---- losses of rows, by how confident they are ------------------------------------------------

_BANDS = {
    "below 1e-6": (1e-9, 1e-6),
    "1e-6 … 1e-3": (1e-6, 1e-3),
    "1e-3 … 0.1": (1e-3, 0.1),
    "above 0.1": (0.1, 10.0),
}


def _losses(classes: tuple[int, ...]) -> Table:
    rows = [
        (f"{band}, C = {c}", _loss_errors(c, *limits))
        for band, limits in _BANDS.items()
        for c in classes
    ]
    return Table(
        "Greatest relative error of a row's loss, float32",
        ["true loss, nats", *_NAMES],
        rows,
        f"Of {_ROWS} rows each.",
    )


def _loss_errors(classes: int, low: float, high: float) -> list[Figure]:
    logits, target = _rows_with_loss(classes, low, high)
    truth = functional.softplus(-_margin(logits, target))
    errors = {
        name: _greatest(loss(logits, target, reduction="none"), truth)
        for name, loss in _PEERS.items()
    }
    return [Figure(errors["ours"], at_most(2e-6)), Figure(errors["F.cross_entropy"])]


def _rows_with_loss(classes: int, low: float, high: float) -> tuple[Tensor, Tensor]:
    """Rows whose target is moved until their true losses spread from low to high."""
    logits, target = batch((_ROWS, classes))
    logits = logits.detach()
    wanted = torch.logspace(math.log10(low * 1.01), math.log10(high / 1.01), _ROWS).double()
    margin = -torch.log(torch.expm1(wanted))
    moved = logits.gather(1, target.unsqueeze(1)).squeeze(1) + margin - _margin(logits, target)
    return logits.scatter(1, target.unsqueeze(1), moved.float().unsqueeze(1)), target


def _greatest(found: Tensor, truth: Tensor) -> float:
    return float(((found.detach().double() - truth).abs() / truth.abs()).max())


# ---- gradients of rows that lie far from 0 ----------------------------------------------------


def _gradients(classes: tuple[int, ...]) -> Table:
    return Table(
        "Greatest relative error of a gradient's entry, float32",
        ["logits around", *_NAMES],
        [
            (f"{offset:g}, C = {c}", _gradient_errors(c, offset))
            for offset in (30.0, 1e3, 1e4)
            for c in classes
        ],
    )


def _gradient_errors(classes: int, offset: float) -> list[Figure]:
    logits, target = batch((_ROWS, classes))
    logits = (logits.detach() + offset).requires_grad_()
    truth = _true_gradient(logits, target)
    errors = {
        name: _greatest(_gradient(loss, logits, target), truth) for name, loss in _PEERS.items()
    }
    return [Figure(errors["ours"], at_most(1e-5)), Figure(errors["F.cross_entropy"])]


# ---- 16 bits ----------------------------------------------------------------------------------


def _sixteen_bits(classes: tuple[int, ...]) -> Table:
    return Table(
        "Errors of 16-bit losses and gradients over those of float32 inside, rounded once",
        ["type", *(f"{name}: {what}" for name in _NAMES for what in ("losses", "gradient"))],
        [
            (f"{name}, C = {c}", _sixteen_bit_errors(c, dtype))
            for name, dtype in (("bfloat16", torch.bfloat16), ("float16", torch.float16))
            for c in classes
        ],
        "Root mean square against the truth in float64 for the same 16-bit logits; 1 is the best "
        "that the type can hold.",
    )


def _sixteen_bit_errors(classes: int, dtype: torch.dtype) -> list[Figure]:
    logits, target = batch((_ROWS, classes), dtype)
    losses = functional.softplus(-_margin(logits, target))
    gradient = _true_gradient(logits, target)
    figures = []
    for name, loss in _PEERS.items():
        rows = loss(logits, target, reduction="none")
        (slopes,) = torch.autograd.grad(rows.sum(), logits)
        target_of = at_most(1.1) if name == "ours" else None
        for found, truth in ((rows, losses), (slopes, gradient)):
            least = _root_mean_square(truth.to(dtype), truth)
            figures.append(Figure(_root_mean_square(found, truth) / least, target_of))
    return figures


def _root_mean_square(found: Tensor, truth: Tensor) -> float:
    return float((found.detach().double() - truth).square().mean().sqrt())
