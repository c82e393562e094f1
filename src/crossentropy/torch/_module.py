"""`CrossEntropyLoss`, the module."""

from __future__ import annotations

from torch import Tensor, nn

from crossentropy.losses import Loss

from ._check import resolve
from ._functional import cross_entropy


class CrossEntropyLoss(nn.CrossEntropyLoss):
    """`cross_entropy` as a module: torch's `CrossEntropyLoss` with the whole family.

    Parameters
    ----------
    weight, size_average, ignore_index, reduce, reduction, label_smoothing
        As in `torch.nn.CrossEntropyLoss`.
    loss, temperature, logit_bias, z_loss
        As in `cross_entropy`.

    Examples
    --------
    >>> import torch
    >>> from crossentropy.torch import CrossEntropyLoss
    >>> criterion = CrossEntropyLoss(loss="generalized_cross_entropy")
    >>> criterion(torch.zeros(2, 4), torch.tensor([0, 3]))
    tensor(0.8872)
    """

    logit_bias: Tensor | None

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        ignore_index: int = -100,
        reduce: bool | None = None,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
        *,
        loss: Loss | str | None = None,
        temperature: float = 1.0,
        logit_bias: Tensor | None = None,
        z_loss: float = 0.0,
    ) -> None:
        super().__init__(weight, size_average, ignore_index, reduce, reduction, label_smoothing)
        self.loss = resolve(loss)
        self.temperature = temperature
        self.register_buffer("logit_bias", logit_bias)
        self.z_loss = z_loss

    def forward(
        self,
        input: Tensor,
        target: Tensor,
        *,
        sample_weight: Tensor | None = None,
        normalizer: Tensor | float | None = None,
    ) -> Tensor:
        """Loss of a batch; `sample_weight` and `normalizer` belong to the batch."""
        return cross_entropy(
            input,
            target,
            self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            label_smoothing=self.label_smoothing,
            loss=self.loss,
            sample_weight=sample_weight,
            temperature=self.temperature,
            logit_bias=self.logit_bias,
            z_loss=self.z_loss,
            normalizer=normalizer,
        )

    def extra_repr(self) -> str:
        """The options that differ from plain cross entropy."""
        options = [repr(self.loss)]
        if self.label_smoothing:
            options.append(f"label_smoothing={self.label_smoothing}")
        if self.temperature != 1.0:
            options.append(f"temperature={self.temperature}")
        if self.z_loss:
            options.append(f"z_loss={self.z_loss}")
        return ", ".join(options)
