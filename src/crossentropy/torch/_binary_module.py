"""`BCEWithLogitsLoss`, the module."""

from __future__ import annotations

from torch import Tensor, nn

from crossentropy import losses
from crossentropy.losses import BinaryLoss, Loss

from . import _check_binary as _check
from ._binary import Rule, binary_cross_entropy_with_logits


class BCEWithLogitsLoss(nn.BCEWithLogitsLoss):
    """`binary_cross_entropy_with_logits` as a module: torch's, with the other binary losses.

    Parameters
    ----------
    weight, size_average, reduce, reduction, pos_weight
        As in `torch.nn.BCEWithLogitsLoss`.
    loss, label_smoothing, ignore_index
        As in `binary_cross_entropy_with_logits`.

    Raises
    ------
    ValueError, TypeError
        If an option is out of range.

    Examples
    --------
    >>> import torch
    >>> from crossentropy.torch import BCEWithLogitsLoss
    >>> criterion = BCEWithLogitsLoss(loss="asymmetric")
    >>> criterion(torch.zeros(2, 3), torch.eye(2, 3))
    tensor(0.1319)
    """

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
        pos_weight: Tensor | None = None,
        *,
        loss: BinaryLoss | Loss | Rule | str | None = None,
        label_smoothing: float = 0.0,
        ignore_index: float | None = None,
    ) -> None:
        super().__init__(weight, size_average, reduce, reduction, pos_weight)
        _check.numbers(label_smoothing, ignore_index)
        self.loss = losses.as_binary_loss(loss)
        self.label_smoothing = label_smoothing
        self.ignore_index = ignore_index

    def forward(
        self, input: Tensor, target: Tensor, *, normalizer: Tensor | float | None = None
    ) -> Tensor:
        """Loss of a batch, to which `normalizer` belongs."""
        return binary_cross_entropy_with_logits(
            input,
            target,
            self.weight,
            reduction=self.reduction,
            pos_weight=self.pos_weight,
            loss=self.loss,
            label_smoothing=self.label_smoothing,
            normalizer=normalizer,
            ignore_index=self.ignore_index,
        )

    def extra_repr(self) -> str:
        """The options that differ from plain binary cross entropy."""
        options = {"label_smoothing": 0.0, "ignore_index": None}
        given = {name: getattr(self, name) for name in options}
        differ = (f"{name}={x!r}" for name, x in given.items() if x != options[name])
        return ", ".join([repr(self.loss), *differ])
