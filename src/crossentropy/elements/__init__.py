"""The element-wise kernel behind binary and multi-label losses: a loss for each logit.

Every such loss is a pair of functions of the signed margin, one for positives and one for
negatives, ``y·ℓ₊(z) + (1 − y)·ℓ₋(−z)``, so one pass reads a logit and its target once and
writes loss and gradient together.

`make` checks arrays and returns `Elements`; `evaluate` runs the pass, in the native kernel
where it knows the rule and can read the arrays, and in array code otherwise. The choice of
path is that of `crossentropy.rows`.
"""

from ._contract import Curve, Elements, Evaluation, Rule, Side
from ._dispatch import evaluate, is_native
from ._make import make
from ._reference import losses_of, side_of

__all__ = [
    "Curve",
    "Elements",
    "Evaluation",
    "Rule",
    "Side",
    "evaluate",
    "is_native",
    "losses_of",
    "make",
    "side_of",
]
