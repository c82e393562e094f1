"""A training loss in numbers: what the kernels evaluate in one go, its gradient with it."""

from __future__ import annotations

import enum
import math
from typing import NamedTuple

from crossentropy._arrays import Array


class RuleKind(enum.IntEnum):
    """The rules that the kernels know, in their order."""

    LOG_PROB = 0  # −log p
    PROB_REST = 1  # 1 − p
    FOCAL = 2  # (1 − p)^γ·(−log p)
    DEFORMED = 3  # (1 − p^q)/q
    TAYLOR = 4  # Σ_{i ≤ T} (1 − p)^i/i
    MARGIN = 5  # softplus(s − Δ)
    NORMALIZED = 6  # −log p over Σ_j −log p_j, with `Rows.weight` None


class RuleTerm(NamedTuple):
    """A factor times a rule that the kernels know, a function of the target's probability p.

    The parameter is γ, q, T or s, and p in ``DEFORMED`` no less than `least`.
    """

    kind: RuleKind
    factor: float = 1.0
    parameter: float = 0.0
    least: float = 0.0


class Training(NamedTuple):
    """A reduced loss that the kernels evaluate in one go: `losses.Objective` in numbers.

    Attributes
    ----------
    rule
        The loss, as a sum of terms.
    class_weight
        ω, (C,), of the type that goes with the logits (`weight_dtype`), or None for ones.
    sample_weight
        (N,) float64, or None for ones.
    label_smoothing
        ε.
    share
        What multiplies −Σ_j w_j log p_j, with the w of `Rows.weight`, where ε is not 0.
    z_loss
        λ.
    mean
        Whether the sum is divided, by the normalizer.
    normalizer
        A number, or NaN for the weights' sum.
    empty_is_zero
        Whether a mean over nothing is 0, not NaN.
    """

    rule: tuple[RuleTerm, ...] = (RuleTerm(RuleKind.LOG_PROB),)
    class_weight: Array | None = None
    sample_weight: Array | None = None
    label_smoothing: float = 0.0
    share: float = 0.0
    z_loss: float = 0.0
    mean: bool = True
    normalizer: float = math.nan
    empty_is_zero: bool = False


class SoftTarget(NamedTuple):
    """How the kernels read targets that are distributions, but for the targets themselves.

    The loss of a row is Σ_j w_j (−log p_j) + λ·W·L², with
    w_j = ω_j·(keep·t_j + spread·π_j) and W = Σ_j ω_j·t_j; for a teacher it is the divergence
    KL(t‖p) with t the softmax of its logits.

    Attributes
    ----------
    is_teacher
        Whether targets are logits.
    teacher_scale
        What multiplies them, 1 / temperature.
    class_weight, prior
        ω and π, (C,), of the type that goes with the logits, or None for ones.
    keep, spread
        1 − ε and, of label smoothing, ε or ε/C.
    z_loss
        λ.
    mask
        (N,) bool or None: False where a row counts for nothing.
    """

    is_teacher: bool = False
    teacher_scale: float = 1.0
    class_weight: Array | None = None
    prior: Array | None = None
    keep: float = 1.0
    spread: float = 0.0
    z_loss: float = 0.0
    mask: Array | None = None
