"""What goes into the row passes and what comes out, whichever implementation runs them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from crossentropy._arrays import Array, device_of, namespace

NOTHING = -(2**63)  # an ignore_index that no target has


class Rows(NamedTuple):
    """N rows of logits with their targets, and how to read them.

    The rule sees ``softcap·tanh(logits / softcap) / temperature + bias``. Built by `make`, which
    checks it, or by a caller that has checked as much.

    Attributes
    ----------
    logits
        (N, C), or (B, C, P) of which each position is a row, N = B·P; floating point,
        C-contiguous.
    target
        (N,), int64: class indices, or `ignore_index`.
    weight
        (C,) of the statistics' type (`weight_dtype`), or None for ones: the w of S = Σ_j w_j z_j.
    temperature
        Positive number that divides the logits.
    bias
        (C,) like `weight`, or None: added after the temperature.
    softcap
        Positive number that bounds the logits, or None: applied before the temperature.
    ignore_index
        Rows with this target have zero loss and zero gradient; `NOTHING` ignores none.
    n_threads
        At most so many threads work on the rows; the result does not depend on it.
    """

    logits: Array
    target: Array
    weight: Array | None = None
    temperature: float = 1.0
    bias: Array | None = None
    softcap: float | None = None
    ignore_index: int = NOTHING
    n_threads: int = 1

    @property
    def classes(self) -> int:
        """C."""
        return int(self.logits.shape[1])


def weight_dtype(logits: Array) -> Any:
    """The type of what goes with the logits by class: theirs, or float32 where that is shorter."""
    short = getattr(logits.dtype, "itemsize", 4) < 4
    return namespace(logits).float32 if short else logits.dtype


@dataclass(frozen=True, slots=True)
class RowStatistics:
    """The statistics of N rows, float64 each: all that a scalar rule may see.

    Attributes
    ----------
    rows
        What they are the statistics of.
    table
        (4, N) or (5, N) float64: the statistics below, in their order.
    argmax
        (N,) int64, the class of the greatest logit as the rule sees it, where it was asked for.
    top_prob
        (N,) float64, the probability of that class, likewise; of no use in ignored rows.
    square_rest
        (N,) float64, the sum of p_j² over j ≠ y, where it was asked for; likewise.
    """

    rows: Rows
    table: Array
    argmax: Array | None = None
    top_prob: Array | None = None
    square_rest: Array | None = None

    @property
    def lse(self) -> Array:
        """L, the logsumexp over all classes."""
        return self.table[0, ...]

    @property
    def log_prob(self) -> Array:
        """U = log p_y = −softplus(−Δ), in nats, accurate however close p_y is to 1."""
        return self.table[1, ...]

    @property
    def prob(self) -> Array:
        """p_y."""
        return self.table[2, ...]

    @property
    def prob_rest(self) -> Array:
        """1 − p_y, accurate however small."""
        return self.table[3, ...]

    @property
    def weighted_nll(self) -> Array:
        """−Σ_j w_j log p_j = W·L − S, in nats."""
        return self.table[4, ...]

    @property
    def margin(self) -> Array:
        """Δ = z_y − L₋ = log p_y − log(1 − p_y), L₋ the logsumexp over j ≠ y."""
        xp = namespace(self.table)
        rest = self.prob_rest
        certain = rest == 0
        margin = self.log_prob - xp.log(xp.where(certain, 1.0, rest))
        return xp.where(certain, xp.inf, margin)

    def of_class(self, values: Array) -> Array:
        """values[y] of every row, 0 for ignored rows: (C,) to (N,) float64."""
        target = self.rows.target
        xp = namespace(self.table)
        values = xp.asarray(values, dtype=self.table.dtype, device=device_of(self.table))
        ignored = target == self.rows.ignore_index
        picked = xp.take(values, xp.where(ignored, xp.zeros_like(target), target), axis=0)
        return xp.where(ignored, 0.0, picked)


class Moments(NamedTuple):
    """Of the softmax of β·z, for N rows z of logits, float64 each.

    Attributes
    ----------
    lse
        The logsumexp of β·z. NaN where a logit is NaN or +inf, or all of them are −inf.
    mean
        E_p z.
    variance
        Var_p z.
    """

    lse: Array
    mean: Array
    variance: Array


class Slopes(NamedTuple):
    """A loss's slopes in the statistics: a = ∂f/∂L, b = −∂f/∂z_y, c = −∂f/∂S.

    Each a float64 array (N,), or a number for all rows; c is None where S is not used. The
    gradient of row i is ``a·softmax(z)_j − c·w_j − b·[j = y]``.
    """

    a: Array | float
    b: Array | float
    c: Array | float | None = None

    def scaled(self, factor: Array | float) -> Slopes:
        """Times a factor, one for all rows or one for each; a and b are often the same array."""
        a = self.a * factor
        b = a if self.b is self.a else self.b * factor
        return Slopes(a, b, None if self.c is None else self.c * factor)
