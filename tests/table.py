"""The table of losses: every property test runs on every row of it.

A row is a loss and its paper's literal formula in p, written for any number type whose
functions are given as `m` (mpmath or torch).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from crossentropy import losses

CLASSES = (1, 2, 3, 15, 16, 17, 31, 32, 33, 1000, 2049)


class Row(NamedTuple):
    loss: losses.Loss
    literal: Callable[[Any, Any], Any]  # (p, m) -> loss in nats


A = -9.210340371976184  # log 1e-4

ROWS = [
    Row(losses.CrossEntropy(), lambda p, m: -m.log(p)),
    Row(losses.Focal(2.0), lambda p, m: -((1 - p) ** 2) * m.log(p)),
    Row(losses.Focal(0.5), lambda p, m: -((1 - p) ** 0.5) * m.log(p)),
    Row(losses.Focal(0.0), lambda p, m: -m.log(p)),
    Row(losses.Poly(2.0), lambda p, m: -m.log(p) + 2 * (1 - p)),
    Row(losses.Poly(-0.5), lambda p, m: -m.log(p) - 0.5 * (1 - p)),
    Row(losses.GeneralizedCrossEntropy(0.7), lambda p, m: (1 - p**0.7) / 0.7),
    Row(losses.GeneralizedCrossEntropy(1.0), lambda p, m: 1 - p),
    Row(losses.GeneralizedCrossEntropy(0.0), lambda p, m: -m.log(p)),
    Row(
        losses.SymmetricCrossEntropy(0.1, 1.0),
        lambda p, m: 0.1 * -m.log(p) + -A * (1 - p),
    ),
    Row(
        losses.SymmetricCrossEntropy(6.0, 0.1),
        lambda p, m: 6 * -m.log(p) + 0.1 * -A * (1 - p),
    ),
    Row(losses.MeanAbsoluteError(), lambda p, m: 2 * (1 - p)),
]

every_loss = pytest.mark.parametrize(
    ("loss", "literal"), [pytest.param(*row, id=row.loss.label) for row in ROWS]
)
