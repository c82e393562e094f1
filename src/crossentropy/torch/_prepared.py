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

from . import _composite, _fused, _numpy
from ._fused import Call
from ._options import Options
from ._problem import problem_of

_MOST = sys.float_info.max
_MEMORY = _memory.torch_memory()


def call_of(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None,
    loss: object,
    ignore_index: int,
    reduction: str,
    label_smoothing: float,
    temperature: float,
    softcap: float | None,
    z_loss: float,
    empty: str,
) -> Call | None:
    """The call for plain rows of logits, with these arguments of `cross_entropy`.

    None where something is not plain and right: other routes check and explain.
    """
    if not (
        input.ndim == 2
        and input.dtype in _numpy.TYPES
        and target.dtype is torch.int64
        and target.shape == input.shape[:1]
        and _MEMORY.are_plain(input, target)
        and (weight is None or _is_constant(weight, input))
        and (
            loss is None or isinstance(loss, str) or (isinstance(loss, Loss) and is_portable(loss))
        )
        and rows.path() != "reference"
        and not _composite.transformed()
        and _fused.is_worth_it(input)
    ):
        return None
    try:
        call = _prepared(
            input.shape[1],
            loss,
            ignore_index,
            reduction,
            label_smoothing,
            temperature,
            softcap,
            z_loss,
            empty,
        )
    except TypeError:  # something has no hash, as an array among a loss's parameters
        return None
    return call if call is None or weight is None else call.weighted(weight)


@functools.lru_cache  # no tensors: those are their owner's to change and to drop
def _prepared(
    classes: int,
    loss: Loss | str | None,
    ignore_index: int,
    reduction: str,
    label_smoothing: float,
    temperature: float,
    softcap: float | None,
    z_loss: float,
    empty: str,
) -> Call | None:
    if not (
        reduction in ("mean", "sum")
        and _is_number(label_smoothing, 0, 1)
        and (_is_number(temperature, 0, _MOST) and temperature > 0)
        and (softcap is None or (_is_number(softcap, 0, _MOST) and softcap > 0))
        and _is_number(z_loss, 0, _MOST)
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
        empty=empty,
    )
    logits = torch.empty(0, classes)
    return _fused.call_of(problem_of(logits, options), logits)


def _is_number(value: object, least: float, most: float) -> bool:
    return isinstance(value, float | int) and least <= value <= most


def _is_constant(weight: Tensor, input: Tensor) -> bool:
    fits = weight.dtype is input.dtype and weight.shape == input.shape[1:]
    return fits and not weight.requires_grad and _MEMORY.are_plain(weight)
