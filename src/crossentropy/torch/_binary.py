"""`binary_cross_entropy_with_logits`, and its routes from the loss to the gradient.

Eager calls on the CPU compute the gradient with the loss, in one native pass that reads logits
and targets once. All else runs plain torch operations, which autograd, function transforms and
compilers follow: other devices, rules that the kernel does not know, gradients in the target.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import _reduction

from crossentropy import elements, losses
from crossentropy.elements import Elements
from crossentropy.losses import BinaryLoss, Loss
from crossentropy.rows import _native

from . import _check_binary as _check
from . import _composite
from ._layout import _autocasts

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
    if size_average is not None or reduce is not None:
        reduction = _reduction.legacy_get_string(size_average, reduce)
    _check.arguments(
        input, target, weight, pos_weight, reduction, label_smoothing, normalizer, ignore_index
    )
    dtype = _dtype_of(input, target)
    given = Elements(
        input.to(dtype),
        target.to(dtype),
        _as_weight(weight, dtype),
        _as_weight(pos_weight, dtype),
        label_smoothing,
        ignore_index,
        1 if torch.compiler.is_compiling() else torch.get_num_threads(),
    )
    call = _Call(losses.as_binary_loss(loss), reduction, normalizer)
    return _native_loss(given, call) if _is_native(given, call) else _composite_loss(given, call)


class _Call(NamedTuple):
    """What is asked for, beside the elements."""

    rule: BinaryLoss
    reduction: str
    normalizer: Tensor | float | None

    def divisor(self, given: Elements) -> Tensor | float:
        """What a mean divides by."""
        if self.normalizer is not None:
            return self.normalizer
        if given.ignore_index is None:
            return math.prod(given.logits.shape)
        counted: Tensor = given.target != given.ignore_index
        return counted.sum()

    def share(self, given: Elements) -> float:
        """What the sum of the losses is multiplied by."""
        if self.reduction != "mean":
            return 1.0
        divisor = float(self.divisor(given))
        return 1 / divisor if divisor else math.inf


def _dtype_of(input: Tensor, target: Tensor) -> torch.dtype:
    """Of the loss: torch's, but for narrower targets, which are widened."""
    dtype = torch.promote_types(input.dtype, target.dtype)
    short = dtype.itemsize < 4 and _autocasts(input.device.type)
    return torch.float32 if short else dtype


def _as_weight(weight: Tensor | None, dtype: torch.dtype) -> Tensor | None:
    return None if weight is None else weight.to(_weight_dtype(dtype))


def _weight_dtype(dtype: torch.dtype) -> torch.dtype:
    return torch.float32 if dtype.itemsize < 4 else dtype


# ---- plain torch operations ---------------------------------------------------------------------


def _composite_loss(given: Elements, call: _Call) -> Tensor:
    values: Tensor = elements.losses_of(given, call.rule)
    if call.reduction != "none":
        values = values.sum()
    if call.reduction == "mean":
        values = values / call.divisor(given)
    return values.to(given.logits.dtype)


# ---- the native pass ----------------------------------------------------------------------------


def _is_native(given: Elements, call: _Call) -> bool:
    """Whether the pass may take the place of the operations: nothing else is to follow them."""
    constants = given.target, given.weight, given.pos_weight, call.normalizer
    return (
        not torch.compiler.is_compiling()
        and elements.is_native(given, call.rule)
        and not _composite.transformed()
        and not any(isinstance(x, Tensor) and not _is_constant(x) for x in constants)
    )


def _is_constant(tensor: Tensor) -> bool:
    return _native.torch_memory().has_memory(tensor) and not tensor.requires_grad


def _native_loss(given: Elements, call: _Call) -> Tensor:
    logits = given.logits.contiguous()
    given = given._replace(logits=logits, target=given.target.contiguous())
    if not (logits.requires_grad and torch.is_grad_enabled()):
        return _evaluated(given, call, wants_gradient=False)[0]
    tensors = given.logits, given.target, given.weight, given.pos_weight
    options = given._replace(logits=None, target=None, weight=None, pos_weight=None)
    result: Tensor = _ElementLoss.apply(*tensors, options, call)  # type: ignore[no-untyped-call] # torch's
    return result


def _evaluated(
    given: Elements, call: _Call, *, wants_gradient: bool
) -> tuple[Tensor, Tensor | None]:
    """The reduced loss, and its gradient."""
    if call.reduction == "none":
        made = elements.evaluate(given, call.rule, losses=True)
        assert made.losses is not None
        return made.losses, None
    share = call.share(given)
    made = elements.evaluate(given, call.rule, gradient=wants_gradient, scale=share)
    return torch.tensor(made.total * share, dtype=given.logits.dtype), made.gradient


class _ElementLoss(torch.autograd.Function):
    """The gradient of a reduced loss comes with it, in the same pass.

    Not by element, where it waits for the upstream, nor in 16 bits, which would round it before
    the upstream, a scale of 2^16 as it may be, could lift it to where they are accurate.
    """

    @staticmethod
    def forward(
        ctx: Any,
        logits: Tensor,
        target: Tensor,
        weight: Tensor | None,
        pos_weight: Tensor | None,
        options: Elements,
        call: _Call,
    ) -> Tensor:
        ctx.save_for_backward(logits, target, weight, pos_weight)
        ctx.options, ctx.call = options, call
        given = options._replace(logits=logits, target=target, weight=weight, pos_weight=pos_weight)
        at_once = logits.dtype.itemsize >= 4
        value, ctx.gradient = _evaluated(given, call, wants_gradient=at_once)
        return value

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        names = "logits", "target", "weight", "pos_weight"
        given = ctx.options._replace(**dict(zip(names, ctx.saved_tensors, strict=True)))
        gradient, ctx.gradient = ctx.gradient, None  # the caller may write to it
        if torch.is_grad_enabled():
            gradient = _composite_gradient(given, ctx.call, upstream)
        else:
            gradient = _pulled_back(given, ctx.call, gradient, upstream)
        return gradient, *(None,) * 5


def _composite_gradient(given: Elements, call: _Call, upstream: Tensor) -> Tensor:
    """The gradient in the logits, as a function that autograd can differentiate again."""
    logits = given.logits
    if not logits.requires_grad:
        logits = logits.detach().requires_grad_()
    value = _composite_loss(given._replace(logits=logits), call)
    return torch.autograd.grad(value, logits, upstream, create_graph=True)[0]


def _pulled_back(given: Elements, call: _Call, gradient: Tensor | None, upstream: Tensor) -> Tensor:
    """The gradient times the upstream, from the gradient where it is there."""
    if not _composite.has_memory(upstream):  # one of many at once
        return (_gradient(given, call, 1.0) if gradient is None else gradient) * upstream
    if not _is_uniform(upstream):
        weight = upstream.to(_weight_dtype(upstream.dtype))
        if given.weight is not None:
            weight = weight * given.weight
        return _gradient(given._replace(weight=weight), call, 1.0)
    factor = upstream[(0,) * upstream.ndim].item()
    if gradient is None:
        return _gradient(given, call, factor)
    return gradient if factor == 1 else gradient.mul_(factor)


def _is_uniform(tensor: Tensor) -> bool:
    """Whether it is one number, expanded: as the upstream of a sum is."""
    return tensor.numel() > 0 and not any(tensor.stride())


def _gradient(given: Elements, call: _Call, factor: float) -> Tensor:
    scale = factor * call.share(given)
    gradient = elements.evaluate(given, call.rule, gradient=True, scale=scale).gradient
    assert gradient is not None
    result: Tensor = gradient
    return result
