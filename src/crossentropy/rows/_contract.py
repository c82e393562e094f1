"""What goes into the row passes and what comes out, whichever implementation runs them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from crossentropy._arrays import Array, namespace

NOTHING = -(2**63)  # an ignore_index that no target has


class Rows(NamedTuple):
    """N rows of logits with their targets, and how to read them.

    The rule sees ``logits / temperature + bias``. Built by `make`, which checks it, or by a
    caller that has checked as much.

    Attributes
    ----------
    logits
        (N, C), floating point, C-contiguous.
    target
        (N,), int64: class indices, or `ignore_index`.
    weight
        (C,) of the logits' type, or None: the w of S = Σ_j w_j z_j.
    temperature
        Positive number that divides the logits.
    bias
        (C,) of the logits' type, or None: added after the temperature.
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
    ignore_index: int = NOTHING
    n_threads: int = 1


@dataclass(frozen=True, slots=True)
class RowStatistics:
    """The statistics of N rows, float64 each: all that a scalar rule may see.

    Attributes
    ----------
    table
        (3, N) or (4, N) float64: the rows below, in their order.
    """

    table: Array

    @property
    def target_logit(self) -> Array:
        """z_y, the target's logit."""
        return self.table[0, ...]

    @property
    def lse_rest(self) -> Array:
        """L₋, the logsumexp over j ≠ y."""
        return self.table[1, ...]

    @property
    def log_prob(self) -> Array:
        """U = log p_y = −softplus(−Δ), in nats, accurate however close p_y is to 1."""
        return self.table[2, ...]

    @property
    def weighted_nll(self) -> Array:
        """−Σ_j w_j log p_j = W·L − S, in nats."""
        return self.table[3, ...]

    @property
    def margin(self) -> Array:
        """Δ = z_y − L₋."""
        return self.target_logit - self.lse_rest

    @property
    def lse(self) -> Array:
        """L, the logsumexp over all classes."""
        xp = namespace(self.table)
        masked = self.target_logit == -xp.inf
        return xp.where(masked, self.lse_rest, self.target_logit - self.log_prob)

    @property
    def prob(self) -> Array:
        """p_y."""
        return namespace(self.table).exp(self.log_prob)

    @property
    def prob_rest(self) -> Array:
        """1 − p_y, accurate however small."""
        return -namespace(self.table).expm1(self.log_prob)


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
