"""The table of losses: every property test runs on every row of it.

A row is a loss and its paper's literal formula, written for any number type whose functions
are given as `m` (mpmath, torch or numpy), in what `oracle.Point` has of a row of logits.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from crossentropy import losses

CLASSES = (1, 2, 3, 15, 16, 17, 31, 32, 33, 1000, 2049)


class Row(NamedTuple):
    loss: losses.Loss
    literal: Callable[[Any, Any], Any]  # (point, m) -> loss in nats


A = -9.210340371976184  # log 1e-4


@dataclasses.dataclass(frozen=True)
class AnyLDAM(losses.LDAM):
    """LDAM of as many classes as there are, whose margins are max_margin/(1 + j % 3)."""

    class_counts: Any = (10, 10 * 2**4, 10 * 3**4)

    def _shift(self, row):
        counts = [self.class_counts[j % 3] for j in range(row.rows.classes)]
        return losses.LDAM(counts, self.max_margin, self.scale)._shift(row)


def cross_entropy(at, m):
    return -m.log(at.p)


def with_margin(margin, at, m):
    pushed = at.p * m.exp(0 * at.p - margin)  # torch has no exp of a float
    return -m.log(pushed / (pushed + at.q))


ROWS = [
    Row(losses.CrossEntropy(), cross_entropy),
    Row(losses.Focal(2.0), lambda at, m: -(at.q**2) * m.log(at.p)),
    Row(losses.Focal(1.0), lambda at, m: -at.q * m.log(at.p)),
    Row(losses.Focal(1.5), lambda at, m: -(at.q**1.5) * m.log(at.p)),
    Row(losses.Focal(0.5), lambda at, m: -(at.q**0.5) * m.log(at.p)),
    Row(losses.Focal(0.0), cross_entropy),
    Row(losses.Poly(2.0), lambda at, m: -m.log(at.p) + 2 * at.q),
    Row(losses.Poly(-0.5), lambda at, m: -m.log(at.p) - 0.5 * at.q),
    Row(losses.TaylorCrossEntropy(1), lambda at, m: at.q),
    Row(losses.TaylorCrossEntropy(2), lambda at, m: at.q + at.q**2 / 2),
    Row(
        losses.TaylorCrossEntropy(6),
        lambda at, m: sum((at.q**i / i for i in range(2, 7)), at.q),
    ),
    Row(losses.GeneralizedCrossEntropy(0.7), lambda at, m: (1 - at.p**0.7) / 0.7),
    Row(losses.GeneralizedCrossEntropy(1.0), lambda at, m: at.q),
    Row(losses.GeneralizedCrossEntropy(0.0), cross_entropy),
    Row(
        # where p is just k there is no derivative, so not the default, at an even bet
        losses.TruncatedGeneralizedCrossEntropy(0.7, 0.4),
        lambda at, m: (
            ((at.p > 0.4) * (1 - at.p**0.7) + (at.p <= 0.4) * (1 - 0.4**0.7 + 0 * at.p)) / 0.7
        ),
    ),
    Row(losses.CompSum(0.0), lambda at, m: at.q / at.p),
    Row(losses.CompSum(0.5), lambda at, m: (at.p**-0.5 - 1) / 0.5),
    Row(losses.CompSum(1.0), cross_entropy),
    Row(losses.CompSum(1.5), lambda at, m: (at.p**0.5 - 1) / -0.5),
    Row(losses.CompSum(3.0), lambda at, m: (at.p**2 - 1) / -2),
    Row(losses.MeanAbsoluteError(), lambda at, m: 2 * at.q),
    Row(losses.ReverseCrossEntropy(), lambda at, m: -A * at.q),
    Row(
        losses.SymmetricCrossEntropy(0.1, 1.0),
        lambda at, m: 0.1 * -m.log(at.p) + -A * at.q,
    ),
    Row(
        losses.SymmetricCrossEntropy(6.0, 0.1),
        lambda at, m: 6 * -m.log(at.p) + 0.1 * -A * at.q,
    ),
    Row(losses.NormalizedCrossEntropy(), lambda at, m: m.log(at.p) / -at.nll_of_all),
    Row(losses.active_passive(), lambda at, m: m.log(at.p) / -at.nll_of_all - A * at.q),
    Row(
        losses.active_passive(10, 0.1, losses.MeanAbsoluteError()),
        lambda at, m: 10 * m.log(at.p) / -at.nll_of_all + 0.2 * at.q,
    ),
    Row(
        losses.Focal() + 0.5 * losses.Poly(),
        lambda at, m: (-(at.q**2) - 0.5) * m.log(at.p) + at.q,
    ),
    Row(losses.CosFace(0.35, 64.0), lambda at, m: with_margin(64 * 0.35, at, m)),
    Row(AnyLDAM(), lambda at, m: with_margin(30 * 0.5 / (1 + at.y % 3), at, m)),
]

every_loss = pytest.mark.parametrize(
    ("loss", "literal"), [pytest.param(*row, id=row.loss.label) for row in ROWS]
)
