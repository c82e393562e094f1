"""The checks of `binary_cross_entropy_with_logits`: torch's own errors, then ours."""

from __future__ import annotations

import math

from torch import Tensor
from torch.nn import functional


def arguments(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None,
    pos_weight: Tensor | None,
    reduction: str,
    label_smoothing: float,
    normalizer: Tensor | float | None,
    ignore_index: float | None,
) -> None:
    """Raise where the arguments do not fit together."""
    _torchs(input, target, weight, pos_weight, reduction)
    numbers(label_smoothing, ignore_index)
    if normalizer is None:
        return
    if reduction != "mean":
        raise ValueError(f"normalizer goes with reduction='mean', got reduction={reduction!r}")
    if isinstance(normalizer, Tensor) and normalizer.ndim:
        raise ValueError(f"normalizer must be one number, got shape {tuple(normalizer.shape)}")


def numbers(label_smoothing: float, ignore_index: float | None) -> None:
    """Raise where an option that is no tensor is out of range."""
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"label_smoothing must lie in [0, 1], got {label_smoothing}")
    if ignore_index is not None and math.isnan(ignore_index):
        raise ValueError("ignore_index must be a number, got NaN, which no target equals")


def _torchs(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None,
    pos_weight: Tensor | None,
    reduction: str,
) -> None:
    fits = (
        input.is_floating_point()
        and not target.is_complex()
        and input.shape == target.shape
        and input.device == target.device
        and broadcasts(weight, input)
        and broadcasts(pos_weight, input)
        and reduction in ("none", "mean", "sum")
    )
    if fits:
        return
    functional.binary_cross_entropy_with_logits(  # raises
        input, target, weight, reduction=reduction, pos_weight=pos_weight
    )
    raise ValueError(
        "expected input and target of one shape and device, a floating-point input, and weights "
        f"that broadcast to it, got input {tuple(input.shape)} {input.dtype} and target "
        f"{tuple(target.shape)} {target.dtype}"
    )


def broadcasts(weight: Tensor | None, input: Tensor) -> bool:
    """Whether a weight has real numbers that broadcast to input's shape."""
    if weight is None:
        return True
    if weight.is_complex() or weight.device != input.device or weight.ndim > input.ndim:
        return False
    pairs = zip(reversed(weight.shape), reversed(input.shape), strict=False)
    return all(mine in (1, theirs) for mine, theirs in pairs)
