"""The checks of `cross_entropy`: torch's own errors for torch's arguments, then ours."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from crossentropy import losses
from crossentropy.losses import Loss


def torch_arguments(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None,
    ignore_index: int,
    reduction: str,
    label_smoothing: float,
) -> None:
    """Raise torch's error where input, target or weight do not fit together."""
    if target.is_floating_point() and target.shape == input.shape and input.ndim > 0:
        raise NotImplementedError(
            "class probabilities as targets are not supported yet; give class indices, or use "
            "torch.nn.functional.cross_entropy"
        )
    fits = (
        input.ndim > 0
        and input.is_floating_point()
        and target.dtype == torch.int64
        and target.device == input.device
        and target.shape == input.shape[:1] * (input.ndim > 1) + input.shape[2:]
        and (weight is None or (weight.shape == _classes(input) and weight.is_floating_point()))
        and reduction in ("none", "mean", "sum")
        and 0 <= label_smoothing <= 1
    )
    if fits:
        if weight is not None:
            _constant("weight", weight, "pass weight.detach()")
        return
    functional.cross_entropy(  # raises
        input,
        target,
        weight,
        ignore_index=ignore_index,
        reduction=reduction,
        label_smoothing=label_smoothing,
    )
    raise ValueError(
        "expected input (C,), (N, C) or (N, C, d1, ...) with int64 targets (), (N,) or "
        f"(N, d1, ...), got input {tuple(input.shape)} {input.dtype} and target "
        f"{tuple(target.shape)} {target.dtype}"
    )


def _classes(input: Tensor) -> torch.Size:
    return input.shape[:1] if input.ndim == 1 else input.shape[1:2]


def own_arguments(
    input: Tensor,
    target: Tensor,
    sample_weight: Tensor | None,
    temperature: float,
    logit_bias: Tensor | None,
    z_loss: float,
    normalizer: Tensor | float | None,
    reduction: str,
) -> None:
    """Raise where our keyword arguments do not fit."""
    if not 0 < temperature < math.inf:
        raise ValueError(f"temperature must be a positive number, got {temperature}")
    if not 0 <= z_loss < math.inf:
        raise ValueError(f"z_loss must be a number of at least 0, got {z_loss}")
    if normalizer is not None and reduction != "mean":
        raise ValueError(f"normalizer goes with reduction='mean', got reduction={reduction!r}")
    if isinstance(normalizer, Tensor):
        if normalizer.numel() != 1:
            raise ValueError(f"normalizer must be one number, got shape {tuple(normalizer.shape)}")
        _constant("normalizer", normalizer, "divide the loss of reduction='sum'")
    _fits("sample_weight", sample_weight, target.shape, "multiply the losses of reduction='none'")
    _fits("logit_bias", logit_bias, _classes(input), "add it to input")


def _fits(name: str, value: Tensor | None, shape: torch.Size, instead: str) -> None:
    if value is None:
        return
    if value.shape != shape:
        raise ValueError(f"{name} must have shape {tuple(shape)}, got {tuple(value.shape)}")
    _constant(name, value, instead)


def _constant(name: str, value: Tensor, instead: str) -> None:
    if value.requires_grad:
        raise RuntimeError(f"cross_entropy has no derivative in {name}; {instead} instead")


def resolve(loss: Loss | str | None) -> Loss:
    """The loss object for what was given as `loss=`."""
    if loss is None:
        return losses.CrossEntropy()
    if isinstance(loss, str):
        return losses.get(loss)
    if isinstance(loss, Loss):
        return loss
    raise TypeError(f"loss must be a crossentropy loss or its name, got {type(loss).__name__}")
