"""`binary_cross_entropy_with_logits`, the function."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import _reduction

from crossentropy import losses
from crossentropy.elements import Elements
from crossentropy.losses import BinaryLoss, Loss

from . import _binary_routes
from . import _check_binary as _check
from ._binary_plain import Plain
from ._binary_routes import Call, cast, weight_dtype
from ._layout import autocasts

Rule = Callable[[Tensor], Tensor]  # losses from the signed margins


def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
    *,
    loss: BinaryLoss | Loss | Rule | str | None = None,
    label_smoothing: float = 0.0,
    normalizer: Tensor | float | None = None,
    ignore_index: float | None = None,
) -> Tensor:
    """Binary cross entropy of logits and targets in [0, 1], or another loss of one logit.

    The arguments before the star are those of
    `torch.nn.functional.binary_cross_entropy_with_logits`, with its meaning and its errors. The
    loss of an element is ``w·(v·y′·ℓ₊(z) + (1 − y′)·ℓ₋(−z))`` with y′ = y(1 − ε) + ε/2, v its
    `pos_weight` and ℓ the loss of a label by its margin, −log σ for binary cross entropy.

    Parameters
    ----------
    input
        Logits of any shape and floating-point type.
    target
        Of the same shape: labels 0 and 1 or probabilities of 1, of any real type.
    weight
        w; broadcasts to input's shape.
    size_average, reduce
        Deprecated in torch; `reduction` says it.
    reduction
        ``"mean"`` divides the sum by the number of elements, ``"sum"`` does not, ``"none"`` gives
        the loss of each.
    pos_weight
        v; broadcasts to input's shape, such as one for each label of the last axis.
    loss
        A binary loss of `crossentropy.losses`, such as `SigmoidFocal` or `Asymmetric`; a member of
        the family for both labels, such as `Poly` or `GeneralizedCrossEntropy`; the name of
        either; or a function of your own from the signed margins, float64 of input's shape, to
        the losses. Binary cross entropy where None.
    label_smoothing
        ε in [0, 1].
    normalizer
        What the sum is divided by instead, with ``reduction="mean"``, such as the number of
        positives.
    ignore_index
        Elements with this target contribute neither loss nor gradient, whatever their logits, and
        a mean does not count them. None ignores none.

    Returns
    -------
    Tensor
        The loss in nats: a number, or of input's shape where reduction is ``"none"``; of the type
        that input and target promote to.

    Raises
    ------
    ValueError
        If a target is outside [0, 1], which in compiled code, under function transforms and on
        other devices than the CPU gives a NaN instead; if an option is out of range.
    RuntimeError, ValueError, TypeError
        As torch where shapes or types do not fit.

    Examples
    --------
    >>> import torch
    >>> from crossentropy.torch import binary_cross_entropy_with_logits
    >>> logits, target = torch.tensor([2.0, -1.0, 0.0]), torch.tensor([1.0, 0.0, 1.0])
    >>> binary_cross_entropy_with_logits(logits, target)
    tensor(0.3778)
    >>> binary_cross_entropy_with_logits(logits, target, loss="sigmoid_focal", reduction="none")
    tensor([0.0005, 0.0170, 0.0433])
    """
    if (
        not torch.compiler.is_compiling()
        and normalizer is None
        and ignore_index is None
        and size_average is None
        and reduce is None
    ):
        plain = Plain(losses.as_binary_loss(loss), weight, pos_weight, reduction, label_smoothing)
        if plain.takes(input, target):
            return plain.loss(input, target)
    if size_average is not None or reduce is not None:
        reduction = _reduction.legacy_get_string(size_average, reduce)
    _check.arguments(
        input, target, weight, pos_weight, reduction, label_smoothing, normalizer, ignore_index
    )
    dtype = _dtype_of(input, target)
    given = Elements(
        cast(input, dtype),
        cast(target, dtype),
        _as_weight(weight, dtype),
        _as_weight(pos_weight, dtype),
        label_smoothing,
        ignore_index,
    )
    call = Call(losses.as_binary_loss(loss), reduction, normalizer)
    return _binary_routes.loss(given, call)


def _dtype_of(input: Tensor, target: Tensor) -> torch.dtype:
    """Of the loss: torch's, but for narrower targets, which are widened."""
    dtype = input.dtype
    if target.dtype is not dtype:
        dtype = torch.promote_types(dtype, target.dtype)
    short = dtype.itemsize < 4 and autocasts(input.device.type)
    return torch.float32 if short else dtype


def _as_weight(weight: Tensor | None, dtype: torch.dtype) -> Tensor | None:
    return None if weight is None else cast(weight, weight_dtype(dtype))
