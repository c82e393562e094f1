"""Calls of the loss whose options are numbers: made once, and remembered.

A small batch waits for Python: checks, options and rules of a call take longer than its kernel.
"""

from __future__ import annotations

import functools
import sys

import torch
from torch import Tensor

from crossentropy import losses, rows
from crossentropy.losses import Loss
from crossentropy.losses._registry import is_portable
from crossentropy.rows import _memory

from . import _composite, _fused
from ._fused import Call
from ._layout import autocasts
from ._options import Options
from ._problem import problem_of

_MOST = sys.float_info.max
_TENSORS = _memory.torch_memory().tensors


def loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None,
    logit_bias: Tensor | None,
    sample_weight: Tensor | None,
    loss: object,
    ignore_index: int,
    reduction: str,
    label_smoothing: float,
    temperature: float,
    softcap: float | None,
    z_loss: float,
    normalizer: object,
    empty: str,
) -> Tensor | None:
    """The loss of plain logits (N, C) or (N, C, d1, …), with these arguments of `cross_entropy`.

    None where something is not plain and right: other routes check and explain.
    """
    if not (
        _TENSORS
        and isinstance(input, Tensor)
        and input.ndim >= 2
        and (weight is None or _is_constant(weight))
        and (logit_bias is None or _is_constant(logit_bias))
        and (sample_weight is None or _is_constant(sample_weight))
        and (normalizer is None or isinstance(normalizer, float | int))
        and (
            loss is None or isinstance(loss, str) or (isinstance(loss, Loss) and is_portable(loss))
        )
        and (input.dtype.itemsize >= 4 or not autocasts("cpu"))
        and rows.path() != "reference"
        and not _composite.transformed()
        and _fused.is_worth_it(input)
    ):
        return None
    try:
        call = _call(
            input.shape[1],
            weight is not None,
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
    except TypeError:  # something has no hash, as an array among a loss's parameters
        return None
    if call is None:
        return None
    constants = weight, logit_bias, sample_weight
    return _fused.plain_loss(input, target, constants, call, _TENSORS)


def _is_constant(value: object) -> bool:
    return isinstance(value, Tensor) and not value.requires_grad


@functools.lru_cache  # no tensors: those are their owner's to change and to drop
def _call(
    classes: int,
    is_weighted: bool,
    loss: Loss | str | None,
    ignore_index: int,
    reduction: str,
    label_smoothing: float,
    temperature: float,
    softcap: float | None,
    z_loss: float,
    normalizer: float | None,
    empty: str,
) -> Call | None:
    if not (
        reduction in ("mean", "sum")
        and _is_number(label_smoothing, 0, 1)
        and (_is_number(temperature, 0, _MOST) and temperature > 0)
        and (softcap is None or (_is_number(softcap, 0, _MOST) and softcap > 0))
        and _is_number(z_loss, 0, _MOST)
        and (normalizer is None or reduction == "mean")
        and empty in ("nan", "zero")
    ):
        return None
    options = Options(
        losses.as_loss(loss),
        ignore_index=ignore_index,
        reduction=reduction,
        label_smoothing=label_smoothing,
        temperature=temperature,
        softcap=softcap,
        z_loss=z_loss,
        normalizer=normalizer,
        empty=empty,
    )
    logits = torch.empty(0, classes)
    problem = problem_of(logits, options)
    if is_weighted:
        problem.weighted(logits.new_ones(classes))  # an error where the loss has no place for them
    return _fused.call_of(problem, logits)


def _is_number(value: object, least: float, most: float) -> bool:
    return isinstance(value, float | int) and least <= value <= most
