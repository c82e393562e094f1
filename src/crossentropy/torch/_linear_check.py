"""The checks of `linear_cross_entropy`: of the layer here, with torch's errors; then the loss's."""

from __future__ import annotations

from torch import Tensor

from . import _check
from ._options import Options


def layer(input: Tensor, linear_weight: Tensor, linear_bias: Tensor | None) -> None:
    """Raise where the operands do not fit together."""
    if input.ndim < 1:
        raise RuntimeError(f"expected input with dimensionality at least 1, got {input.ndim}")
    if linear_weight.ndim < 2:
        raise RuntimeError(
            f"expected linear_weight with dimensionality at least 2, got {linear_weight.ndim}"
        )
    if input.shape[-1] != linear_weight.shape[-1]:
        raise RuntimeError(
            "expected equal input and linear_weight last dimensions (in_features), got "
            f"{input.shape[-1]} and {linear_weight.shape[-1]}, respectively"
        )
    classes = tuple(linear_weight.shape[:-1])
    if linear_bias is not None and tuple(linear_bias.shape) != classes:
        raise RuntimeError(f"expected linear_bias shape {classes}, got {tuple(linear_bias.shape)}")
    if len(classes) > 1 and input.ndim == 1:
        raise RuntimeError(
            f"K-dimensional loss defined by linear_weight shape {tuple(linear_weight.shape)} "
            f"requires batched input, (N, {input.shape[-1]}), got unbatched input with shape "
            f"{tuple(input.shape)}"
        )
    _types(input, linear_weight, linear_bias)


def _types(input: Tensor, linear_weight: Tensor, linear_bias: Tensor | None) -> None:
    if not input.is_floating_point():
        raise RuntimeError(f"expected floating-point input, got {input.dtype}")
    others = {"linear_weight": linear_weight, "linear_bias": linear_bias}
    for name, other in others.items():
        if other is not None and (other.dtype, other.device) != (input.dtype, input.device):
            raise RuntimeError(
                f"expected input and {name} of one type on one device, got {input.dtype} on "
                f"{input.device} and {other.dtype} on {other.device}"
            )


def target(
    input: Tensor, linear_weight: Tensor, target: Tensor, ignore_index: int | None, shift: bool
) -> None:
    """Raise where targets do not fit the layer."""
    classes, *out = linear_weight.shape[:-1]
    indices, probs = (*input.shape[:-1], *out), (*input.shape[:-1], classes, *out)
    soft = target.is_floating_point()
    if tuple(target.shape) != (probs if soft else indices):
        raise ValueError(
            f"expected int64 class indices of shape {indices} or probabilities of shape {probs} "
            f"as target, got {tuple(target.shape)} {target.dtype}"
        )
    if soft and ignore_index is not None and ignore_index >= 0:
        raise RuntimeError("ignore_index cannot be specified when target contains probabilities")
    if shift and (soft or out or input.ndim < 2):
        raise ValueError(
            "shift=True goes with class indices (..., T) and input (..., T, D), got target "
            f"{tuple(target.shape)} {target.dtype} and input {tuple(input.shape)}"
        )


def loss(stand_in: Tensor, target: Tensor, options: Options) -> None:
    """Raise where target and options do not fit logits of this shape and type."""
    if target.is_floating_point():
        _check.soft_arguments(stand_in, target, options)
    else:
        _check.arguments(stand_in, target, options)
