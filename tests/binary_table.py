"""The table of binary losses, each with its paper's literal formula for either label.

A formula takes the label, the probability p of the positive label, 1 − p, and the functions of a
number type, mpmath or torch.
"""

from typing import Any, NamedTuple

import pytest

from crossentropy import losses
from crossentropy.losses import Asymmetric, Binary, BinaryCrossEntropy, SigmoidFocal


class Row(NamedTuple):
    loss: losses.BinaryLoss
    positive: Any  # (p, q, m) -> loss of a positive label, q = 1 − p
    negative: Any


def both(loss, of_label):
    """The same formula of the label's own probability for either."""
    return Row(loss, of_label, lambda p, q, m: of_label(q, p, m))


def focal(alpha, gamma):
    return Row(
        SigmoidFocal(alpha, gamma),
        lambda p, q, m: -(1 if alpha is None else alpha) * q**gamma * m.log(p),
        lambda p, q, m: -(1 if alpha is None else 1 - alpha) * p**gamma * m.log(q),
    )


def asymmetric(gamma_pos, gamma_neg, clip):
    def negative(p, q, m):
        shifted = (p - clip) * (p > clip)
        return -(shifted**gamma_neg) * m.log1p(-shifted) if clip else -(p**gamma_neg) * m.log(q)

    return Row(
        Asymmetric(gamma_pos, gamma_neg, clip),
        lambda p, q, m: -(q**gamma_pos) * m.log(p),
        negative,
    )


def log_of(p, q, m):
    return -m.log(p)


ROWS = [
    both(BinaryCrossEntropy(), log_of),
    focal(0.25, 2.0),
    focal(0.25, 0.5),
    focal(None, 1.0),
    focal(0.75, 1.5),
    focal(None, 0.01),
    focal(None, 3.0),
    focal(None, 0.0),
    focal(0.0, 2.0),
    asymmetric(1.0, 4.0, 0.05),
    asymmetric(0.0, 2.5, 0.2),
    asymmetric(0.5, 0.5, 0.6),
    asymmetric(0.0, 4.0, 0.0),
    asymmetric(1.0, 0.0, 0.05),
    both(Binary(losses.Poly(2.0)), lambda p, q, m: -m.log(p) + 2 * q),
    both(Binary(losses.Poly(-0.5)), lambda p, q, m: -m.log(p) - 0.5 * q),
    both(Binary(losses.GeneralizedCrossEntropy(0.7)), lambda p, q, m: (1 - p**0.7) / 0.7),
    both(Binary(losses.GeneralizedCrossEntropy(1.0)), lambda p, q, m: q),
    both(Binary(losses.GeneralizedCrossEntropy(0.0)), log_of),
    both(Binary(losses.TaylorCrossEntropy(2)), lambda p, q, m: q + q**2 / 2),
    both(
        Binary(0.5 * losses.CrossEntropy() + losses.Poly()), lambda p, q, m: -1.5 * m.log(p) + 2 * q
    ),
]


def label_of(row):
    return repr(row.loss).replace("Binary(of=", "").replace(" ", "")


every_loss = pytest.mark.parametrize("row", ROWS, ids=label_of)
kernels = pytest.mark.parametrize(
    "row", [row for row in ROWS if row.loss.curve is not None], ids=label_of
)
