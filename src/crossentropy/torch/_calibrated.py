"""`Calibrated`: a network whose logits are those of a fitted calibrator."""

from __future__ import annotations

import math
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from crossentropy._fit import LogitMap


class Mapped(Protocol):
    """A fitted calibrator of `crossentropy.calibration` whose map of logits networks can apply."""

    def logit_map(self) -> LogitMap:
        """Return the map, in numbers."""
        ...


class Calibrated(nn.Module):
    r"""A network with a fitted calibrator behind it: logits in, calibrated logits out.

    With z the network's logits and C classes on axis 1, :math:`x = \beta z`, or with mixing m
    :math:`x = \log[(1 - m) \operatorname{softmax}(\beta z) + m / C]`, and the output is
    :math:`W x + b`, W a factor for each class or a matrix. Its softmax is what the calibrator
    predicts; ``argmax`` and losses take it as they took the network's.

    The numbers are buffers: they move with the module, are in its `state_dict`, and no optimizer
    trains them. They are applied in float32 at least.

    Parameters
    ----------
    network : Module
        Returns logits of shape (N, C) or (N, C, …).
    calibrator : fitted calibrator
        With a map of logits: `TemperatureScaling`, `VectorScaling`, `MatrixScaling`,
        `PriorShift` or `Identity` of `crossentropy.calibration`, fitted on logits.

    Attributes
    ----------
    beta, mixing : Tensor
        Inverse temperature, and share of the uniform distribution.
    weight : Tensor or None
        (C,) or (C, C).
    bias : Tensor or None
        (C,), in nats.

    Raises
    ------
    TypeError
        If the calibrator has no map of logits.
    ValueError
        If it is not fitted, or was fitted on probabilities.

    Examples
    --------
    >>> import torch
    >>> from crossentropy.calibration import TemperatureScaling
    >>> from crossentropy.torch import Calibrated
    >>> logits = torch.tensor([[9.0, 0.0], [9.0, 0.0], [0.0, 9.0], [0.0, 9.0]])
    >>> scaling = TemperatureScaling().fit(logits, [0, 1, 1, 1])
    >>> model = Calibrated(torch.nn.Identity(), scaling)
    >>> model.predict_proba(logits[:1])
    tensor([[0.7500, 0.2500]])
    """

    beta: Tensor
    mixing: Tensor
    weight: Tensor | None
    bias: Tensor | None

    def __init__(self, network: nn.Module, calibrator: Mapped) -> None:
        super().__init__()
        self.network = network
        given = _map_of(calibrator)
        for name, value in given._asdict().items():
            tensor = None if value is None else torch.as_tensor(value, dtype=torch.float32)
            self.register_buffer(name, tensor)
        self._mixes = given.mixing > 0

    def forward(self, *args: Any, **kwargs: Any) -> Tensor:
        """Calibrated logits of what the network is given."""
        z = self.network(*args, **kwargs)
        if z.dtype in (torch.float16, torch.bfloat16):
            z = z.float()
        x = torch.where(z == -math.inf, z, self.beta.to(z.dtype) * z)
        if self._mixes:
            p = x.softmax(1)
            x = (p + self.mixing.to(z.dtype) * (1 / z.shape[1] - p)).log()
        if self.weight is not None:
            x = self._weighted(x, self.weight.to(z.dtype))
        return x if self.bias is None else x + _by_class(self.bias.to(z.dtype), x)

    def predict_proba(self, *args: Any, **kwargs: Any) -> Tensor:
        """Calibrated probabilities of what the network is given."""
        logits: Tensor = self(*args, **kwargs)
        return logits.softmax(1)

    @staticmethod
    def _weighted(x: Tensor, weight: Tensor) -> Tensor:
        if weight.ndim == 1:
            return _by_class(weight, x) * x
        moved: Tensor = torch.tensordot(x, weight, dims=([1], [1])).movedim(-1, 1)
        return moved


def _by_class(values: Tensor, x: Tensor) -> Tensor:
    return values.reshape(-1, *(1,) * (x.ndim - 2))


def _map_of(calibrator: Any) -> LogitMap:
    name = type(calibrator).__name__
    if not hasattr(calibrator, "logit_map"):
        raise TypeError(
            "a network can apply temperature, vector and matrix scaling; "
            f"{name} is no map of logits"
        )
    if not hasattr(calibrator, "classes_"):
        raise ValueError(f"this {name} is not fitted yet: call fit first")
    if calibrator.input != "logits":
        raise ValueError(f'this {name} was fitted on probabilities; fit one with input="logits"')
    found: LogitMap = calibrator.logit_map()
    return found
