"""The fused layer in plain torch operations, which hold the logits and which everything follows."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from ._linear_layer import block_dtype


class Operands(NamedTuple):
    """Of the layer, as they may ask for their gradients.

    Attributes
    ----------
    input
        (N, D).
    weight
        (C, P, D).
    bias
        (C, P), or None.
    """

    input: Tensor
    weight: Tensor
    bias: Tensor | None

    @property
    def given(self) -> tuple[Tensor, ...]:
        """Those that are there."""
        return self[:2] if self.bias is None else self[:3]  # type: ignore[return-value] # not None

    @property
    def shape(self) -> tuple[int, int, int]:
        """N, C and P."""
        return self.input.shape[0], self.weight.shape[0], self.weight.shape[1]


def logits_of(operands: Operands) -> Tensor:
    """(1, C, P·N): all logits, as planes, in the type that blocks have."""
    samples, classes, positions = operands.shape
    dtype = block_dtype(operands.input)
    z = operands.weight.flatten(0, 1).to(dtype) @ operands.input.to(dtype).t()
    if operands.bias is not None:
        z = z + operands.bias.reshape(-1, 1).to(dtype)
    return z.reshape(1, classes, positions * samples)


def by_position(values: Tensor, samples: int, positions: int) -> Tensor:
    """(N·P,) as (P·N,): the order of rows in blocks."""
    return values.reshape(samples, positions).t().reshape(-1)


def by_sample(values: Tensor, samples: int, positions: int) -> Tensor:
    """(…, P·N) as (…, N·P): the order of targets."""
    apart = values.reshape(*values.shape[:-1], positions, samples)
    return apart.transpose(-1, -2).reshape(values.shape)
