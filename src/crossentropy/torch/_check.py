"""The checks of `cross_entropy`: torch's own errors for torch's arguments, then ours."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from crossentropy.losses import CrossEntropy, _check

from ._options import Options


def are_tensors(input: object, target: object) -> None:
    """Raise torch's own error where they are not."""
    if not (isinstance(input, Tensor) and isinstance(target, Tensor)):
        functional.cross_entropy(input, target)  # type: ignore[arg-type] # whose error it is
        raise TypeError(f"input and target must be tensors, got {type(input)} and {type(target)}")


def arguments(input: Tensor, target: Tensor, options: Options) -> None:
    """Raise where input, target and options do not fit together."""
    _torchs(input, target, options)
    numbers(options.temperature, options.softcap, options.z_loss, options.empty)
    _tensors(input, target.shape, options)
    if options.inplace_backward and not _traced():
        _overwritable(input)


def soft_arguments(input: Tensor, target: Tensor, options: Options) -> None:
    """Raise where input, distributions as targets and options do not fit together."""
    weight = options.weight
    fits = (
        input.is_floating_point()
        and target.device == input.device
        and options.ignore_index < 0
        and _torchs_options_fit(input, options)
    )
    if not fits:
        _raise_torchs(input, target, options)
    for name, given in (
        ("loss", not isinstance(options.loss, CrossEntropy)),
        ("return_stats", options.return_stats),
        ("inplace_backward", options.inplace_backward),
    ):
        if given:
            raise ValueError(
                f"{name} goes with class indices as targets, got probabilities "
                f"{tuple(target.shape)}; leave it out, or give target.argmax(1)"
            )
    if weight is not None:
        _constant("weight", weight, "pass weight.detach()")
    numbers(options.temperature, options.softcap, options.z_loss, options.empty)
    _tensors(input, row_shape(input), options)
    if options.mask is not None:
        mask(options.mask, row_shape(input))


def row_shape(input: Tensor) -> torch.Size:
    """Of what there is one for each row."""
    return input.shape[:1] * (input.ndim > 1) + input.shape[2:]


def mask(mask: Tensor, shape: torch.Size) -> None:
    """Raise where a mask is none."""
    if mask.dtype != torch.bool or mask.shape != shape:
        raise ValueError(
            f"mask must be bool and have shape {tuple(shape)}, got {mask.dtype} and "
            f"{tuple(mask.shape)}"
        )


def numbers(temperature: float, softcap: float | None, z_loss: float, empty: str) -> None:
    """Raise where an option that is no tensor is out of range."""
    for name, number in (("temperature", temperature), ("softcap", softcap)):
        if isinstance(number, Tensor):
            raise TypeError(f"{name} must be a number, got a tensor; apply it to input instead")
        if number is not None and not 0 < number < math.inf:
            raise ValueError(f"{name} must be a positive number, got {number}")
    if not 0 <= z_loss < math.inf:
        raise ValueError(f"z_loss must be a number of at least 0, got {z_loss}")
    if empty not in ("nan", "zero"):
        raise ValueError(f"empty must be 'nan' or 'zero', got {empty!r}")


def distribution(prior: Tensor) -> None:
    """Raise where a smoothing prior is no distribution, if its numbers are at hand to look at."""
    if at_hand(prior):
        _check.distribution(prior, prior.numel(), "smoothing_prior")


def at_hand(tensor: Tensor) -> bool:
    """Whether a tensor's numbers can be looked at here and now, with no device to wait for."""
    return tensor.is_cpu and type(tensor) is Tensor and not _traced()


def _traced() -> bool:
    return torch.compiler.is_compiling() or torch._C._are_functorch_transforms_active()


def _torchs(input: Tensor, target: Tensor, options: Options) -> None:
    weight = options.weight
    fits = (
        input.ndim > 0
        and input.is_floating_point()
        and target.dtype == torch.int64
        and target.device == input.device
        and target.shape == row_shape(input)
        and _torchs_options_fit(input, options)
    )
    if fits:
        if weight is not None:
            _constant("weight", weight, "pass weight.detach()")
        return
    _raise_torchs(input, target, options)
    raise ValueError(
        "expected input (C,), (N, C) or (N, C, d1, ...) with int64 targets (), (N,) or "
        f"(N, d1, ...), got input {tuple(input.shape)} {input.dtype} and target "
        f"{tuple(target.shape)} {target.dtype}"
    )


def _torchs_options_fit(input: Tensor, options: Options) -> bool:
    weight = options.weight
    return (
        (weight is None or _is_torchs_weight(weight, input))
        and options.reduction in ("none", "mean", "sum")
        and 0 <= options.label_smoothing <= 1
    )


def _is_torchs_weight(weight: object, input: Tensor) -> bool:
    if not isinstance(weight, Tensor):
        return False
    return weight.shape == _classes(input) and weight.is_floating_point()


def _raise_torchs(input: Tensor, target: Tensor, options: Options) -> None:
    """Torch's own error, where it has one."""
    functional.cross_entropy(
        input,
        target,
        options.weight,
        ignore_index=options.ignore_index,
        reduction=options.reduction,
        label_smoothing=options.label_smoothing,
    )


def _tensors(input: Tensor, shape: torch.Size, options: Options) -> None:
    own, bias, prior = options.sample_weight, options.logit_bias, options.smoothing_prior
    if own is not None:
        _fits("sample_weight", own, shape, "multiply the losses of reduction='none'")
    if bias is not None:
        _fits("logit_bias", bias, _classes(input), "add it to input")
    if prior is not None:
        _fits("smoothing_prior", prior, _classes(input), "pass smoothing_prior.detach()")
        distribution(prior)
    normalizer = options.normalizer
    if normalizer is not None and options.reduction != "mean":
        raise ValueError(
            f"normalizer goes with reduction='mean', got reduction={options.reduction!r}"
        )
    if isinstance(normalizer, str) and normalizer != "weights":
        raise ValueError(f"normalizer must be a number, a tensor or 'weights', got {normalizer!r}")
    if isinstance(normalizer, Tensor):
        if normalizer.numel() != 1:
            raise ValueError(f"normalizer must be one number, got shape {tuple(normalizer.shape)}")
        _constant("normalizer", normalizer, "divide the loss of reduction='sum'")


def _classes(input: Tensor) -> torch.Size:
    return input.shape[:1] if input.ndim == 1 else input.shape[1:2]


def _fits(name: str, value: Tensor, shape: torch.Size, instead: str) -> None:
    if value.shape != shape:
        raise ValueError(f"{name} must have shape {tuple(shape)}, got {tuple(value.shape)}")
    _constant(name, value, instead)


def _constant(name: str, value: Tensor, instead: str) -> None:
    if value.requires_grad:
        raise RuntimeError(f"cross_entropy has no derivative in {name}; {instead} instead")


def _overwritable(input: Tensor) -> None:
    """A leaf's gradient in its own memory would replace its values."""
    base = input if input._base is None else input._base
    if base.is_leaf and base.requires_grad:
        raise RuntimeError(
            "inplace_backward=True writes the gradient over input, but input is a leaf tensor that "
            "requires grad, or a view of one; give the output of a layer, or leave it out"
        )
