"""`cross_entropy`, the function."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import _reduction

from crossentropy.losses import Loss, Objective

from . import _autograd, _check
from ._problem import Problem


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
    *,
    loss: Loss | str | None = None,
    sample_weight: Tensor | None = None,
    temperature: float = 1.0,
    logit_bias: Tensor | None = None,
    z_loss: float = 0.0,
    normalizer: Tensor | float | None = None,
) -> Tensor:
    """Cross entropy of logits and class indices, or another loss of the family.

    The arguments before the star are those of `torch.nn.functional.cross_entropy`, with its
    meaning and its errors. The row's loss is
    ``ω_y·((1 − ε)·f + λ·L²) + (ε/C)·Σ_j ω_j(−log p_j)`` with p the softmax of
    ``input / temperature + logit_bias`` and L its logsumexp.

    Parameters
    ----------
    input
        (C,), (N, C) or (N, C, d1, …) logits.
    target
        (), (N,) or (N, d1, …) int64 class indices in [0, C), or `ignore_index`.
    weight
        (C,) class weights ω.
    size_average, reduce
        Deprecated in torch; `reduction` says it.
    ignore_index
        Targets with this value contribute neither loss nor gradient.
    reduction
        ``"mean"`` divides the sum by that of the weights of the rows, ``"sum"`` does not,
        ``"none"`` gives a loss for each target.
    label_smoothing
        ε in [0, 1].
    loss
        f: a loss of `crossentropy.losses` or its name; cross entropy where None.
    sample_weight
        Of target's shape: a weight for each row.
    temperature
        Divides the logits.
    logit_bias
        (C,), added to the logits after that: `crossentropy.losses.logit_adjustment`.
    z_loss
        λ: keeps the logsumexp near 0. Elsewhere called `lse_square_scale`.
    normalizer
        What the sum is divided by instead, with ``reduction="mean"``: the number of targets in
        all micro-batches or on all machines makes accumulated gradients come out right.

    Returns
    -------
    Tensor
        In nats and of input's type: a number, or of target's shape where reduction is
        ``"none"``.

    Raises
    ------
    IndexError
        If a target is out of range.
    RuntimeError, ValueError, TypeError
        As torch where its arguments do not fit; ValueError where ours do not.
    NotImplementedError
        For class probabilities as targets, which are to come.

    Examples
    --------
    >>> import torch
    >>> from crossentropy.torch import cross_entropy
    >>> logits = torch.tensor([[2.0, 0.0], [0.0, 1.0]])
    >>> target = torch.tensor([0, 0])
    >>> cross_entropy(logits, target)
    tensor(0.7201)
    >>> cross_entropy(logits, target, loss="focal", reduction="none")
    tensor([0.0018, 0.7019])
    """
    if size_average is not None or reduce is not None:
        reduction = _reduction.legacy_get_string(size_average, reduce)
    _check.torch_arguments(input, target, weight, ignore_index, reduction, label_smoothing)
    _check.own_arguments(
        input, target, sample_weight, temperature, logit_bias, z_loss, normalizer, reduction
    )
    logits = _rows_of(input)
    per_class = (_per_class(values, logits) for values in (weight, logit_bias))
    class_weight, bias = per_class
    problem = Problem(
        objective=Objective(
            loss=_check.resolve(loss),
            classes=logits.shape[1],
            class_weight=class_weight,
            label_smoothing=label_smoothing,
            z_loss=z_loss,
            ignore_index=ignore_index,
        ),
        reduction=reduction,
        temperature=float(temperature),
        bias=bias,
        sample_weight=None if sample_weight is None else sample_weight.reshape(-1),
        normalizer=normalizer.reshape(()) if isinstance(normalizer, Tensor) else normalizer,
    )
    result = _autograd.loss(logits, target.reshape(-1).contiguous(), problem)
    return result.reshape(target.shape) if reduction == "none" else result


def _rows_of(input: Tensor) -> Tensor:
    """The logits as contiguous rows (N, C), in float32 where torch's own loss would be."""
    if input.dtype.itemsize < 4 and _autocasts(input.device.type):
        input = input.float()
    if input.ndim == 1:
        input = input.unsqueeze(0)
    elif input.ndim > 2:
        input = input.movedim(1, -1).flatten(0, -2)
    return input.contiguous()


def _autocasts(device: str) -> bool:
    return torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)


def _per_class(values: Tensor | None, logits: Tensor) -> Tensor | None:
    return None if values is None else values.to(logits).resolve_neg().contiguous()
