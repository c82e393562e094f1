"""Input of any shape and memory format as rows of logits, copied only where it has to be."""

from __future__ import annotations

import torch
from torch import Tensor


def rows_of(input: Tensor) -> Tensor:
    """Input (C,), (N, C) or (N, C, d1, …) as contiguous rows (N, C) or planes (B, C, P).

    In the row-major order of the targets. In float32 where torch's own loss would be.
    """
    input = as_autocast(input)
    if input.ndim == 1:
        return input.unsqueeze(0).contiguous()
    if input.ndim == 2:
        if input.is_contiguous() or not input.t().is_contiguous():
            return input.contiguous()
        return input.t().unsqueeze(0)  # class by class: planes of a batch of one
    classes_last = input.movedim(1, -1)
    if classes_last.is_contiguous():  # channels_last, or one position
        return classes_last.flatten(0, -2)
    return input.contiguous().flatten(2)


def as_autocast(input: Tensor) -> Tensor:
    """The input, in float32 where torch's own loss would be."""
    short = input.dtype.itemsize < 4 and autocasts(input.device.type)
    return input.float() if short else input


def autocasts(device: str) -> bool:
    """Whether autocast is at work."""
    return torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)


def without_autocast(like: Tensor) -> torch.autocast:
    """A while in which types are what they are."""
    return torch.autocast(like.device.type, enabled=False)
