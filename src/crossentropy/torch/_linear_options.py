"""How the fused last layer spends memory, and what it may leave out."""

from __future__ import annotations

from dataclasses import dataclass

from crossentropy._errors import InputError
from crossentropy.rows._linear_blocks import MAX_BYTES


@dataclass(frozen=True)
class LinearOptions:
    """How `linear_cross_entropy` works, not what it computes.

    Parameters
    ----------
    max_bytes
        What its blocks of logits may take, with what else it needs beside inputs and gradients;
        64 MB where not said. Less is possible down to some kilobytes, at a cost in speed.
    gradient_filter
        ε: groups of 256 classes are left out of a block's products where no logit's gradient is
        above ε times the greatest of the block, in size. So each entry of the logits' gradient
        is off by no more than that, and the loss by nothing. 0 leaves nothing out.

    Raises
    ------
    ValueError
        If `max_bytes` is not positive, or `gradient_filter` is outside [0, 1).

    Examples
    --------
    >>> from crossentropy.torch import LinearOptions
    >>> LinearOptions(max_bytes=2**24)
    LinearOptions(max_bytes=16777216, gradient_filter=0.0)
    """

    max_bytes: int = MAX_BYTES
    gradient_filter: float = 0.0

    def __post_init__(self) -> None:
        if not self.max_bytes > 0:
            raise InputError(f"max_bytes must be a positive number, got {self.max_bytes}")
        if not 0 <= self.gradient_filter < 1:
            raise InputError(f"gradient_filter must be in [0, 1), got {self.gradient_filter}")
