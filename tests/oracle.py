"""What the tests believe: row statistics in exact arithmetic, and losses by autograd."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import mpmath
import numpy as np
import torch

from crossentropy import rows
from crossentropy.losses import Loss
from crossentropy.rows import RowStatistics

DIGITS = 60


def statistics(
    logits: np.ndarray, target: np.ndarray, weight: np.ndarray | None = None
) -> RowStatistics:
    """L, log p_y, p_y, 1 − p_y and −Σ w log p of every row, from 60 digits."""
    weight = np.ones(logits.shape[1]) if weight is None else weight
    with mpmath.workdps(DIGITS):
        columns = [_row(z, y, weight) for z, y in zip(logits, target, strict=True)]
    table = np.array(columns, dtype=np.float64).reshape(-1, 5).T.copy()
    return RowStatistics(rows.make(logits, target, weight=weight), table)


def _row(z: np.ndarray, y: int, weight: np.ndarray) -> list[Any]:
    exact = [mpmath.mpf(float(value)) for value in z]
    rest = [mpmath.exp(value) for j, value in enumerate(exact) if j != y]
    lse_rest = mpmath.log(mpmath.fsum(rest)) if any(rest) else mpmath.mpf("-inf")
    lse = mpmath.log(mpmath.fsum([*rest, mpmath.exp(exact[y])]))
    nll = mpmath.fsum(
        mpmath.mpf(float(w)) * (lse - value)
        for w, value in zip(weight, exact, strict=True)
        if w != 0
    )
    log_prob = -mpmath.log1p(mpmath.exp(lse_rest - exact[y]))
    return [lse, log_prob, mpmath.exp(log_prob), -mpmath.expm1(log_prob), nll]


class Point(NamedTuple):
    """What a loss's literal formula is written in: numbers of a row, or arrays of N rows."""

    p: Any  # probability of the target
    q: Any  # 1 − p, which floats do not take from p
    nll_of_all: Any  # Σ_j −log p_j
    y: Any  # the target


def point(logits: Sequence[Any], y: int) -> Point:
    """The point of one row, in the arithmetic of mpmath."""
    exponentials = [mpmath.exp(value) for value in logits]
    total = mpmath.fsum(exponentials)
    rest = mpmath.fsum(e for j, e in enumerate(exponentials) if j != y)
    nll = mpmath.fsum(mpmath.log(total) - value for value in logits)
    return Point(exponentials[y] / total, rest / total, nll, y)


def points(logits: torch.Tensor, target: torch.Tensor) -> Point:
    """The points of N rows, by plain torch operations that autograd follows."""
    mask = torch.nn.functional.one_hot(target, logits.shape[-1])
    probabilities = logits.softmax(-1)
    p, q = (probabilities * mask).sum(-1), (probabilities * (1 - mask)).sum(-1)
    return Point(p, q, -logits.log_softmax(-1).sum(-1), target)


def by_autograd(
    loss: Loss, literal: Callable[[Any, Any], Any], logits: np.ndarray, target: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Value, gradient and Hessian diagonal of a literal formula, by torch in float64."""
    z = torch.tensor(logits, dtype=torch.float64, requires_grad=True)
    value = literal(points(z * loss.scale, torch.tensor(target)), torch)
    (gradient,) = torch.autograd.grad(value.sum(), z, create_graph=True)
    diagonal = torch.zeros_like(z)
    for j in range(z.shape[1]):
        (row,) = torch.autograd.grad(gradient[:, j].sum(), z, retain_graph=True)
        diagonal[:, j] = row[:, j]
    return value.detach().numpy(), gradient.detach().numpy(), diagonal.numpy()
