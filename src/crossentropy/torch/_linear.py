"""`linear_cross_entropy`, the function."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Literal, overload

import torch
from torch import Tensor

from crossentropy import losses
from crossentropy.losses import Loss

from . import _linear_check as _check
from . import _linear_routes
from ._functional import Rule
from ._layout import autocasts
from ._linear_options import LinearOptions
from ._linear_plain import Operands
from ._options import Options
from ._result import CrossEntropyResult, result_of


@overload
def linear_cross_entropy(
    input: Tensor,
    linear_weight: Tensor,
    target: Tensor,
    *,
    linear_bias: Tensor | None = None,
    weight: Tensor | None = None,
    reduction: str = "mean",
    ignore_index: int | None = -100,
    label_smoothing: float = 0.0,
    loss: Loss | Rule | str | None = None,
    temperature: float = 1.0,
    softcap: float | None = None,
    z_loss: float = 0.0,
    normalizer: Tensor | float | Literal["weights"] | None = None,
    shift: bool = False,
    return_stats: Literal[False] = False,
    options: LinearOptions | None = None,
) -> Tensor: ...


@overload
def linear_cross_entropy(
    input: Tensor,
    linear_weight: Tensor,
    target: Tensor,
    *,
    return_stats: Literal[True],
    **options: Any,
) -> CrossEntropyResult: ...


def linear_cross_entropy(  # type: ignore[misc] # the second signature is this one, abridged
    input: Tensor,
    linear_weight: Tensor,
    target: Tensor,
    *,
    linear_bias: Tensor | None = None,
    weight: Tensor | None = None,
    reduction: str = "mean",
    ignore_index: int | None = -100,
    label_smoothing: float = 0.0,
    loss: Loss | Rule | str | None = None,
    temperature: float = 1.0,
    softcap: float | None = None,
    z_loss: float = 0.0,
    normalizer: Tensor | float | Literal["weights"] | None = None,
    shift: bool = False,
    return_stats: bool = False,
    options: LinearOptions | None = None,
) -> Tensor | CrossEntropyResult:
    """Cross entropy of a linear layer's output, or another loss of the family, without the logits.

    ``cross_entropy(linear(input, linear_weight, linear_bias), target, …)``, computed block by
    block: the logits, the largest tensor of the step where classes are many, are never there as
    a whole. The arguments and their meaning are those of
    `torch.nn.functional.linear_cross_entropy` up to `label_smoothing`, and `cross_entropy`'s
    after that.

    Parameters
    ----------
    input
        (D,), (N, D) or (…, D): what goes into the layer.
    linear_weight
        (C, D), or (C, d1, …, D) with classes at each of the positions d1, ….
    target
        int64 class indices in [0, C) or `ignore_index`: ``input.shape[:-1]``, followed by d1, ….
        Or distributions over the classes, floating point, ``input.shape[:-1]`` followed by C, d1,
        …, which are as large as the logits themselves.
    linear_bias
        (C,), or (C, d1, …).
    weight
        (C,) class weights.
    reduction
        ``"mean"``, ``"sum"`` or ``"none"``, as in `cross_entropy`.
    ignore_index
        Targets with this value contribute neither loss nor gradient; None is -100.
    label_smoothing, loss, temperature, softcap, z_loss
        As in `cross_entropy`. Losses that read all logits (`Loss.needs_logits`) take memory of a
        few times a block's in float64.
    normalizer
        As in `cross_entropy`: what the sum is divided by, with ``reduction="mean"``.
    shift
        Whether each position of input (…, T, D) predicts the target of the next: targets (…, T)
        are shifted by one, and the last position has none. Nothing of input's size is copied.
    return_stats
        Whether to return a `CrossEntropyResult`: the loss with log p, logsumexp, prediction and
        correctness of each target, which perplexity and accuracy are made of. With ``shift``
        that of the next target stands at the position that predicts it.
    options
        `LinearOptions`: the memory that blocks may take.

    Returns
    -------
    Tensor or CrossEntropyResult
        The loss in nats and of input's type, float32 under autocast: a number, or of target's
        shape (of class indices' where targets are distributions) where reduction is ``"none"``.

    Raises
    ------
    IndexError
        If a target is out of range.
    RuntimeError, ValueError, TypeError
        As torch where its arguments do not fit; ValueError where ours do not.

    Notes
    -----
    Gradients of operands that do not ask for theirs are not computed, nor any without grad mode.
    Derivatives of gradients, forward mode and function transforms (`torch.func`) run plain torch
    operations, which hold the logits. Operands of 16 bits are multiplied in float32 unless the
    machine has instructions for them; their gradients are summed in float32 and rounded once.

    Examples
    --------
    >>> import torch
    >>> from crossentropy.torch import linear_cross_entropy
    >>> hidden = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    >>> weight = torch.tensor([[2.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
    >>> target = torch.tensor([0, 2])
    >>> linear_cross_entropy(hidden, weight, target)
    tensor(0.8955)
    >>> linear_cross_entropy(hidden, weight, target, return_stats=True).argmax
    tensor([0, 1])
    """
    input, linear_weight, linear_bias = _cast(input, linear_weight, linear_bias)
    _check.layer(input, linear_weight, linear_bias)
    _check.target(input, linear_weight, target, ignore_index, shift)
    ignore_index = -100 if ignore_index is None else ignore_index
    if shift:
        last = target.new_full((*target.shape[:-1], 1), ignore_index)
        target = torch.cat([target[..., 1:], last], -1)
    if isinstance(normalizer, str) and normalizer == "weights" and not target.is_floating_point():
        normalizer = None  # as it is for class indices
    given = Options(
        loss=losses.as_loss(loss),
        weight=weight,
        ignore_index=ignore_index,
        reduction=reduction,
        label_smoothing=label_smoothing,
        temperature=temperature,
        softcap=softcap,
        z_loss=z_loss,
        normalizer=normalizer,
        return_stats=return_stats,
    )
    classes, *out = linear_weight.shape[:-1]
    positions, features = math.prod(out), input.shape[-1]
    operands = Operands(
        input.reshape(math.prod(input.shape[:-1]), features),
        linear_weight.reshape(classes, positions, features),
        None if linear_bias is None else linear_bias.reshape(classes, positions),
    )
    samples = operands.input.shape[0]
    soft = target.is_floating_point()
    value, row = _linear_routes.loss(
        operands,
        target.reshape((samples, classes, positions) if soft else (samples, positions)),
        given,
        options or LinearOptions(),
    )
    if reduction == "none":
        value = value.reshape((*input.shape[:-1], *out))
    return value if row is None else result_of(value, row, target)


def _cast(*operands: Tensor | None) -> Iterator[Any]:
    """The operands in the type that autocast would have a linear layer run in."""
    for x in operands:
        if x is None or not autocasts(x.device.type) or x.dtype is torch.float64:
            yield x
        else:
            yield x.to(torch.get_autocast_dtype(x.device.type))
