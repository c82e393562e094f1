"""What goes into the pass over elements and what comes out, whichever implementation runs it."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from crossentropy._arrays import Array


class Elements(NamedTuple):
    """Logits with a target each. Built by `make`, which checks it, or by who has checked as much.

    Attributes
    ----------
    logits
        Of any shape, floating point.
    target
        Of the same shape and type, in [0, 1]: the probability of the positive label.
    weight
        Of a type that goes with the logits (`rows._contract.weight_dtype`), broadcasts to their
        shape, or None for ones: multiplies the loss.
    pos_weight
        Likewise: multiplies the positive label's part of it.
    label_smoothing
        ε in [0, 1]: targets become y(1 − ε) + ε/2.
    ignore_index
        Elements with this target have loss and gradient 0; None ignores none.
    n_threads
        At most so many threads work on them; the result does not depend on it.
    """

    logits: Array
    target: Array
    weight: Array | None = None
    pos_weight: Array | None = None
    label_smoothing: float = 0.0
    ignore_index: float | None = None
    n_threads: int = 1


class Side(NamedTuple):
    """The logits as one label sees them: what a rule may use, named as in `RowStatistics`.

    Attributes
    ----------
    margin
        m: the logit for positives, its negative for negatives.
    log_prob
        U = log σ(m) = −softplus(−m), in nats, the log-probability of the label.
    prob
        σ(m).
    prob_rest
        1 − σ(m) = σ(−m), accurate however small.
    positive
        Which label it is.
    """

    margin: Array
    log_prob: Array
    prob: Array
    prob_rest: Array
    positive: bool


class Curve(NamedTuple):
    """A rule as the native kernel knows it; see `BinaryRule` in ``kernels.h``."""

    kind: int
    a: float = 0.0
    b: float = 0.0
    c: float = 0.0
    positive: float = 1.0
    negative: float = 1.0


FOCAL, POLY, GENERALIZED = range(3)  # kinds, in the kernel's order


class Rule(Protocol):
    """A binary loss: a function of the margin for each label."""

    @property
    def curve(self) -> Curve | None:
        """The same for the native kernel, or None where it does not know it."""
        ...

    def value(self, side: Side) -> Array:
        """ℓ, in nats, by operations that automatic differentiation can follow twice."""
        ...

    def pull(self, side: Side) -> Array:
        """−dℓ/dm."""
        ...


class Evaluation(NamedTuple):
    """What a pass makes.

    Attributes
    ----------
    total
        The sum of all losses, in nats: a number, or an array () of float64.
    losses
        Of each element, like the logits, where they were asked for.
    gradient
        Of the sum in the logits, like them, where it was asked for.
    """

    total: Array | float
    losses: Array | None
    gradient: Array | None
