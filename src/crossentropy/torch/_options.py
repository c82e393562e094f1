"""What a call of the loss is given beside input and target."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from crossentropy.losses import Loss


class Options(NamedTuple):
    """The arguments of `cross_entropy`, by their names there."""

    weight: Tensor | None
    ignore_index: int
    reduction: str
    label_smoothing: float
    loss: Loss
    sample_weight: Tensor | None
    temperature: float
    logit_bias: Tensor | None
    softcap: float | None
    smoothing_prior: Tensor | None
    z_loss: float
    normalizer: Tensor | float | None
    empty: str
    inplace_backward: bool
    return_stats: bool
