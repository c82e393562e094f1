"""`LinearCrossEntropyLoss`, the module."""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
from torch import Tensor, nn

from crossentropy import losses
from crossentropy.losses import Loss

from . import _check
from ._functional import Rule
from ._linear import linear_cross_entropy
from ._linear_options import LinearOptions

_DEFAULTS = {
    "reduction": "mean",
    "ignore_index": -100,
    "label_smoothing": 0.0,
    "temperature": 1.0,
    "softcap": None,
    "z_loss": 0.0,
    "shift": False,
    "return_stats": False,
    "options": None,
}


class LinearCrossEntropyLoss(nn.Module):
    """`linear_cross_entropy` with a linear layer of its own, as `torch.nn.LinearCrossEntropyLoss`.

    The layer is `linear`, an `nn.Linear` of ``num_classes·d1·…`` outputs, so that state
    dictionaries are torch's.

    Parameters
    ----------
    in_features
        D.
    num_classes
        C.
    out_features
        (d1, …): positions with classes of their own each.
    bias
        Whether the layer has a bias.
    device, dtype
        Of the layer.
    weight
        (C,) class weights.
    reduction, ignore_index, label_smoothing, loss, temperature, softcap, z_loss, shift, \
return_stats, options
        As in `linear_cross_entropy`.

    Raises
    ------
    ValueError, RuntimeError, TypeError
        If an option is out of range.

    Examples
    --------
    >>> import torch
    >>> from crossentropy.torch import LinearCrossEntropyLoss
    >>> head = LinearCrossEntropyLoss(8, 50000)
    >>> head(torch.zeros(4, 8), torch.tensor([0, 1, 2, 3]))
    tensor(10.8198, grad_fn=<_LinearLossBackward>)
    """

    weight: Tensor | None

    def __init__(
        self,
        in_features: int,
        num_classes: int,
        *,
        out_features: tuple[int, ...] = (),
        bias: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        weight: Tensor | None = None,
        reduction: str = "mean",
        ignore_index: int | None = -100,
        label_smoothing: float = 0.0,
        loss: Loss | Rule | str | None = None,
        temperature: float = 1.0,
        softcap: float | None = None,
        z_loss: float = 0.0,
        shift: bool = False,
        return_stats: bool = False,
        options: LinearOptions | None = None,
    ) -> None:
        super().__init__()
        _check.numbers(temperature, softcap, z_loss, "nan")
        if weight is not None and weight.shape != (num_classes,):
            raise RuntimeError(
                f"expected weight shape to be {(num_classes,)}, got {tuple(weight.shape)}"
            )
        if not 0 <= label_smoothing <= 1:
            raise RuntimeError(
                f"expected label_smoothing to be in range [0, 1], got {label_smoothing}"
            )
        self.num_classes = num_classes
        self.out_features = tuple(out_features)
        outputs = num_classes * math.prod(out_features)
        self.linear = nn.Linear(in_features, outputs, bias=bias, device=device, dtype=dtype)
        self.register_buffer("weight", weight)
        self.reduction = reduction
        self.ignore_index = ignore_index
        self.label_smoothing = label_smoothing
        self.loss = losses.as_loss(loss)
        self.temperature = temperature
        self.softcap = softcap
        self.z_loss = z_loss
        self.shift = shift
        self.return_stats = return_stats
        self.options = options

    def forward(
        self,
        input: Tensor,
        target: Tensor,
        *,
        normalizer: Tensor | float | Literal["weights"] | None = None,
    ) -> Any:  # a Tensor, or a CrossEntropyResult with return_stats
        """Loss of a batch, to which `normalizer` belongs."""
        classes, bias = (self.num_classes, *self.out_features), self.linear.bias
        given: dict[str, Any] = {name: getattr(self, name) for name in _DEFAULTS}
        return linear_cross_entropy(
            input,
            self.linear.weight.reshape(*classes, self.linear.in_features),
            target,
            linear_bias=None if bias is None else bias.reshape(classes),
            weight=self.weight,
            loss=self.loss,
            normalizer=normalizer,
            **given,
        )

    def extra_repr(self) -> str:
        """The sizes, and the options that differ from plain cross entropy."""
        given = {name: getattr(self, name) for name in _DEFAULTS}
        differ = (f"{name}={x!r}" for name, x in given.items() if x != _DEFAULTS[name])
        sizes = f"num_classes={self.num_classes}", f"out_features={self.out_features}"
        return ", ".join([*sizes, repr(self.loss), *differ])
