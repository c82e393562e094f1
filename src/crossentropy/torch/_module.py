"""`CrossEntropyLoss`, the module."""

from __future__ import annotations

from typing import Any, Literal

from torch import Tensor, nn

from crossentropy import losses
from crossentropy.losses import Loss

from . import _check
from ._functional import Rule, cross_entropy

_DEFAULTS = {
    "label_smoothing": 0.0,
    "temperature": 1.0,
    "softcap": None,
    "z_loss": 0.0,
    "empty": "nan",
    "inplace_backward": False,
    "return_stats": False,
}
_OPTIONS = "loss", "ignore_index", "reduction", "logit_bias", "smoothing_prior", *_DEFAULTS


class CrossEntropyLoss(nn.CrossEntropyLoss):
    """`cross_entropy` as a module: torch's `CrossEntropyLoss` with the whole family.

    Parameters
    ----------
    weight, size_average, ignore_index, reduce, reduction, label_smoothing
        As in `torch.nn.CrossEntropyLoss`.
    loss, temperature, logit_bias, softcap, smoothing_prior, z_loss, empty, inplace_backward, \
return_stats
        As in `cross_entropy`.

    Raises
    ------
    ValueError, TypeError
        If an option is out of range.

    Examples
    --------
    >>> import torch
    >>> from crossentropy.torch import CrossEntropyLoss
    >>> criterion = CrossEntropyLoss(loss="generalized_cross_entropy")
    >>> criterion(torch.zeros(2, 4), torch.tensor([0, 3]))
    tensor(0.8872)
    """

    logit_bias: Tensor | None
    smoothing_prior: Tensor | None

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        ignore_index: int = -100,
        reduce: bool | None = None,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
        *,
        loss: Loss | Rule | str | None = None,
        temperature: float = 1.0,
        logit_bias: Tensor | None = None,
        softcap: float | None = None,
        smoothing_prior: Tensor | None = None,
        z_loss: float = 0.0,
        empty: str = "nan",
        inplace_backward: bool = False,
        return_stats: bool = False,
    ) -> None:
        super().__init__(weight, size_average, ignore_index, reduce, reduction, label_smoothing)
        _check.numbers(temperature, softcap, z_loss, empty)
        if smoothing_prior is not None:
            _check.distribution(smoothing_prior)
        self.loss = losses.as_loss(loss)
        self.temperature = temperature
        self.register_buffer("logit_bias", logit_bias)
        self.softcap = softcap
        self.register_buffer("smoothing_prior", smoothing_prior)
        self.z_loss = z_loss
        self.empty = empty
        self.inplace_backward = inplace_backward
        self.return_stats = return_stats

    def forward(
        self,
        input: Tensor,
        target: Tensor,
        *,
        sample_weight: Tensor | None = None,
        mask: Tensor | None = None,
        normalizer: Tensor | float | Literal["weights"] | None = None,
    ) -> Any:  # a Tensor, or a CrossEntropyResult with return_stats
        """Loss of a batch, to which `sample_weight`, `mask` and `normalizer` belong."""
        options: dict[str, Any] = {name: getattr(self, name) for name in _OPTIONS}
        options.update(sample_weight=sample_weight, mask=mask, normalizer=normalizer)
        return cross_entropy(input, target, self.weight, **options)

    def extra_repr(self) -> str:
        """The options that differ from plain cross entropy."""
        options = {name: getattr(self, name) for name in _DEFAULTS}
        differ = (f"{name}={x!r}" for name, x in options.items() if x != _DEFAULTS[name])
        return ", ".join([repr(self.loss), *differ])
