"""What a call of the loss is given beside input and target."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from crossentropy.losses import Loss


class Options(NamedTuple):
    """The arguments of `cross_entropy`, by their names there."""

    loss: Loss
    weight: Tensor | None = None
    ignore_index: int = -100
    reduction: str = "mean"
    label_smoothing: float = 0.0
    sample_weight: Tensor | None = None
    temperature: float = 1.0
    logit_bias: Tensor | None = None
    softcap: float | None = None
    smoothing_prior: Tensor | None = None
    z_loss: float = 0.0
    normalizer: Tensor | float | str | None = None
    empty: str = "nan"
    inplace_backward: bool = False
    return_stats: bool = False
    mask: Tensor | None = None
