"""`cross_entropy`, the function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, overload

import torch
from torch import Tensor
from torch.compiler import is_compiling
from torch.nn import _reduction

from crossentropy import losses
from crossentropy.losses import Loss

from . import _autograd, _check, _prepared
from ._layout import rows_of
from ._options import Options
from ._problem import problem_of
from ._result import CrossEntropyResult, result_of
from ._soft_cross_entropy import is_soft, soft_cross_entropy

Rule = Callable[[Tensor], Tensor]  # losses by row from log p of the target


@overload
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
    loss: Loss | Rule | str | None = None,
    sample_weight: Tensor | None = None,
    mask: Tensor | None = None,
    temperature: float = 1.0,
    logit_bias: Tensor | None = None,
    softcap: float | None = None,
    smoothing_prior: Tensor | None = None,
    z_loss: float = 0.0,
    normalizer: Tensor | float | Literal["weights"] | None = None,
    empty: str = "nan",
    inplace_backward: bool = False,
    return_stats: Literal[False] = False,
) -> Tensor: ...


@overload
def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    return_stats: Literal[True],
    **options: Any,
) -> CrossEntropyResult: ...


def cross_entropy(  # type: ignore[misc] # the second signature is this one, abridged
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
    *,
    loss: Loss | Rule | str | None = None,
    sample_weight: Tensor | None = None,
    mask: Tensor | None = None,
    temperature: float = 1.0,
    logit_bias: Tensor | None = None,
    softcap: float | None = None,
    smoothing_prior: Tensor | None = None,
    z_loss: float = 0.0,
    normalizer: Tensor | float | Literal["weights"] | None = None,
    empty: str = "nan",
    inplace_backward: bool = False,
    return_stats: bool = False,
) -> Tensor | CrossEntropyResult:
    """Cross entropy of logits and targets, or another loss of the family.

    The arguments before the star are those of `torch.nn.functional.cross_entropy`, with its
    meaning and its errors. The row's loss is
    ``ω_y·((1 − ε)·f + λ·L²) + ε·Σ_j π_j ω_j (−log p_j)`` with p the softmax of
    ``softcap·tanh(input / softcap) / temperature + logit_bias`` and L its logsumexp.

    Parameters
    ----------
    input
        (C,), (N, C) or (N, C, d1, …) logits of any floating-point type. Contiguous and
        channels_last ones are read where they lie.
    target
        (), (N,) or (N, d1, …) int64 class indices in [0, C), or `ignore_index`; or, of input's
        shape and floating-point, a distribution t over the classes for each row, whose loss is
        ``Σ_j w_j·(−log p_j) + λ·W·L²`` with ``w = ω·((1 − ε)·t + ε·π)`` and ``W = Σ_j ω_j·t_j``.
        It may ask for its gradient. No check is made that it sums to 1.
    weight
        (C,) class weights ω.
    size_average, reduce
        Deprecated in torch; `reduction` says it.
    ignore_index
        Targets with this value contribute neither loss nor gradient.
    reduction
        ``"mean"`` divides the sum by that of the weights of the rows, ``"sum"`` does not,
        ``"none"`` gives a loss for each row. For distributions a mean divides by the number of
        rows, whatever the class weights, as in torch; see `normalizer`.
    label_smoothing
        ε in [0, 1].
    loss
        f: a loss of `crossentropy.losses`, its name, or a function of your own from log p of the
        targets, (N,) float64, to the losses; cross entropy where None.
    sample_weight
        A weight for each row, of the shape of class indices.
    mask
        Likewise, bool: False where a row contributes neither loss nor gradient.
    temperature
        Divides the logits.
    logit_bias
        (C,), added to the logits after that: `crossentropy.losses.logit_adjustment`.
    softcap
        Bounds the logits before that, as ``softcap·tanh(input / softcap)``; None does not.
    smoothing_prior
        (C,), the distribution π that smoothed labels are drawn from; None is the uniform one.
    z_loss
        λ: keeps the logsumexp near 0. Liger's `lse_square_scale`.
    normalizer
        What the sum is divided by instead, with ``reduction="mean"``: the number of targets in
        all micro-batches or on all machines makes accumulated gradients come out right.
        ``"weights"`` is the sum of the weights that the targets have, ``Σ_i Σ_j ω_j·t_ij`` for
        distributions, so that they and the same targets as class indices agree.
    empty
        The mean over nothing, where all rows are ignored or weigh 0: ``"nan"`` as in torch, or
        ``"zero"``, a loss of 0 whose gradient is 0.
    inplace_backward
        Whether the backward pass writes the gradient over input's memory, which saves an array
        of input's size. Whoever else saved input for backward then gets torch's error of an
        in-place change, as does a second backward pass. Without effect on gradients of
        gradients, in compiled code, under function transforms, where saved tensors are packed by
        hooks, as in activation checkpointing, and with losses that read all logits
        (`Loss.needs_logits`), which take memory of a few times input's size in float64.
    return_stats
        Whether to return a `CrossEntropyResult`: the loss with log p, logsumexp, prediction and
        correctness of each row, from the same pass over the logits.

    Returns
    -------
    Tensor or CrossEntropyResult
        The loss in nats and of input's type: a number, or of target's shape where reduction is
        ``"none"``.

    Raises
    ------
    IndexError
        If a target is out of range.
    RuntimeError, ValueError, TypeError
        As torch where its arguments do not fit; ValueError where ours do not; RuntimeError for
        a tensor that has no derivative here but requires one, or an `input` that
        `inplace_backward` must not write to.

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
    >>> cross_entropy(logits, target, return_stats=True).correct
    tensor([ True, False])
    """
    if (
        not is_compiling()
        and smoothing_prior is None
        and mask is None
        and size_average is None
        and reduce is None
        and not (inplace_backward or return_stats)
    ):
        value = _prepared.loss(
            input,
            target,
            weight,
            logit_bias,
            sample_weight,
            loss,
            ignore_index,
            reduction,
            label_smoothing,
            temperature,
            softcap,
            z_loss,
            normalizer,
            empty,
        )
        if value is not None:
            return value
    _check.are_tensors(input, target)
    if size_average is not None or reduce is not None:
        reduction = _reduction.legacy_get_string(size_average, reduce)
    options = Options(
        weight=weight,
        ignore_index=ignore_index,
        reduction=reduction,
        label_smoothing=label_smoothing,
        loss=losses.as_loss(loss),
        sample_weight=sample_weight,
        temperature=temperature,
        logit_bias=logit_bias,
        softcap=softcap,
        smoothing_prior=smoothing_prior,
        z_loss=z_loss,
        normalizer=normalizer,
        empty=empty,
        inplace_backward=inplace_backward,
        return_stats=return_stats,
        mask=mask,
    )
    if is_soft(input, target):
        return soft_cross_entropy(input, target, options)
    if mask is not None:
        _check.mask(mask, target.shape)
        target = torch.where(mask, target, ignore_index)
    if isinstance(normalizer, str) and normalizer == "weights":  # as it is for class indices
        options = options._replace(normalizer=None)
    _check.arguments(input, target, options)
    logits = rows_of(input)
    value, row = _autograd.loss(
        logits,
        target.reshape(-1).contiguous(),
        problem_of(logits, options),
        argmax=return_stats,
        inplace=inplace_backward,
    )
    if reduction == "none":
        value = value.reshape(target.shape)
    return value if row is None or not return_stats else result_of(value, row, target)
