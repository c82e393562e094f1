"""What a call of the loss is given beside input and target."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from crossentropy.losses import CrossEntropy, Loss


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
    normalizer: Tensor | float | None = None
    empty: str = "nan"
    inplace_backward: bool = False
    return_stats: bool = False

    @property
    def is_plain(self) -> bool:
        """Whether nothing is asked for but cross entropy with torch's options, T and z-loss."""
        return (
            type(self.loss) is CrossEntropy
            and self.sample_weight is None
            and self.logit_bias is None
            and self.softcap is None
            and self.smoothing_prior is None
            and self.normalizer is None
            and self.empty == "nan"
            and not self.inplace_backward
            and not self.return_stats
        )
